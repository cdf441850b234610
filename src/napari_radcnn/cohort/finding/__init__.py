"""Cases found in a folder: images, a BIDS tree, an export of DICOM files; every choice says why."""

from napari_radcnn.cohort.finding.find import find_cases
from napari_radcnn.cohort.finding.rules import Rule, parse_rule, parse_rules

__all__ = ["Rule", "find_cases", "parse_rule", "parse_rules"]

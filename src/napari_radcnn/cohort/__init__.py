"""Cohorts: an operation over many cases, on one computer or many; nothing is lost and nothing counts twice."""

from napari_radcnn.cohort.cases import Case, CaseList
from napari_radcnn.cohort.chain import Step, read_chain
from napari_radcnn.cohort.finding import find_cases, parse_rules
from napari_radcnn.cohort.runner import Summary, run
from napari_radcnn.cohort.tables import read_list, write_list

__all__ = [
    "Case",
    "CaseList",
    "Step",
    "Summary",
    "find_cases",
    "parse_rules",
    "read_chain",
    "read_list",
    "run",
    "write_list",
]

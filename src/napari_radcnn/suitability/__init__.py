"""What a scan is, and whether a model suits it: one place that decides, for every model and every face."""

from napari_radcnn.suitability.judge import STATES, Suitability, judge
from napari_radcnn.suitability.lines import trait_lines
from napari_radcnn.suitability.traits import Trait, Traits
from napari_radcnn.suitability.what import what_is

__all__ = ["STATES", "Suitability", "Trait", "Traits", "judge", "trait_lines", "what_is"]

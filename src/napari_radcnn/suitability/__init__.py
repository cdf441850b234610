"""What a scan is, and whether a model suits it: one place that decides, for every model and every face."""

from napari_radcnn.suitability.judge import STATES, Suitability, judge
from napari_radcnn.suitability.telling import told_of
from napari_radcnn.suitability.traits import Trait, Traits
from napari_radcnn.suitability.what import what_is

__all__ = ["STATES", "Suitability", "Trait", "Traits", "judge", "told_of", "what_is"]

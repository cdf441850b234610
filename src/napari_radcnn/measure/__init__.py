"""Numbers with a definition: what every label of a label map measures, rulers, and what each figure follows."""

from napari_radcnn.measure.features import FEATURES, Feature
from napari_radcnn.measure.recist import Visit, follow_up
from napari_radcnn.measure.ruler_table import read_rulers, write_rulers
from napari_radcnn.measure.rulers import Ruler
from napari_radcnn.measure.segments import segments
from napari_radcnn.measure.table import as_csv, write_table

__all__ = [
    "FEATURES",
    "Feature",
    "Ruler",
    "Visit",
    "as_csv",
    "follow_up",
    "read_rulers",
    "segments",
    "write_rulers",
    "write_table",
]

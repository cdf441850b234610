"""Numbers with a definition: what every label of a label map measures, and what each figure follows."""

from napari_radcnn.measure.features import FEATURES, Feature
from napari_radcnn.measure.segments import segments
from napari_radcnn.measure.table import as_csv, write_table

__all__ = ["FEATURES", "Feature", "as_csv", "segments", "write_table"]

"""DICOM pictures: headers first, then geometry, then pixels; nothing is stacked that does not belong together."""

from napari_radcnn.io.dicom.dicomdir import find_dicomdir, is_dicomdir_start
from napari_radcnn.io.dicom.headers import is_dicom_start
from napari_radcnn.io.dicom.irregular import OnIrregular, check_on_irregular
from napari_radcnn.io.dicom.series import DicomFolder, SeriesInfo, find_dicom, series_infos

__all__ = [
    "DicomFolder",
    "OnIrregular",
    "SeriesInfo",
    "check_on_irregular",
    "find_dicom",
    "find_dicomdir",
    "is_dicom_start",
    "is_dicomdir_start",
    "series_infos",
]

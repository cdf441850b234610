"""Results as the hospital's systems take them: DICOM segmentations, reports and derived series, and reading them back.

Whatever is written refers to the DICOM series that the scan came from; without that series nothing is written.
"""

from napari_radcnn.io.dicom_results.read.labels import read_result
from napari_radcnn.io.dicom_results.read.report import is_report, read_report
from napari_radcnn.io.dicom_results.read.rulers import is_ruler_report, read_ruler_report
from napari_radcnn.io.dicom_results.source import Reference
from napari_radcnn.io.dicom_results.write.answers import write_answer_report
from napari_radcnn.io.dicom_results.write.derived import check_series, write_derived
from napari_radcnn.io.dicom_results.write.landmarks import write_landmark_report
from napari_radcnn.io.dicom_results.write.report import write_detection_report, write_report
from napari_radcnn.io.dicom_results.write.rulers import write_ruler_report
from napari_radcnn.io.dicom_results.write.segmentation import as_label_map, write_segmentation

__all__ = [
    "Reference",
    "as_label_map",
    "check_series",
    "is_report",
    "is_ruler_report",
    "read_report",
    "read_result",
    "read_ruler_report",
    "write_answer_report",
    "write_derived",
    "write_detection_report",
    "write_landmark_report",
    "write_report",
    "write_ruler_report",
    "write_segmentation",
]

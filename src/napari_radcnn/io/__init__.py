"""Reading scans and writing results: `read` and `write` are all that most callers need."""

from napari_radcnn.io.contents import Kind, ScansAtPath, find_scans, kind_of, list_series
from napari_radcnn.io.dicom import OnIrregular, SeriesInfo
from napari_radcnn.io.dicom_reading import read_series
from napari_radcnn.io.dicom_results import is_report, read_report
from napari_radcnn.io.dicom_results.deidentify import Deidentifier
from napari_radcnn.io.formats import FORMATS, Format, formats, readable_suffixes, sniff, writable_suffixes
from napari_radcnn.io.problems import Problem
from napari_radcnn.io.reading import read
from napari_radcnn.io.writing import check_source, check_suffix, write

__all__ = [
    "FORMATS",
    "Deidentifier",
    "Format",
    "Kind",
    "OnIrregular",
    "Problem",
    "ScansAtPath",
    "SeriesInfo",
    "check_source",
    "check_suffix",
    "find_scans",
    "formats",
    "is_report",
    "kind_of",
    "list_series",
    "read",
    "read_report",
    "read_series",
    "readable_suffixes",
    "sniff",
    "writable_suffixes",
    "write",
]

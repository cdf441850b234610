"""Read what others made of a scan: segmentations and contours, on the grid of the series they belong to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_radcnn.io.dicom.headers import Instance, NoImage, quiet, read_header
from napari_radcnn.io.dicom.series import Series, volumes_of_series
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.io.dicom_results.read.contours import read_contours
from napari_radcnn.io.dicom_results.read.segmentation import read_segmentation
from napari_radcnn.volume import Volume

#: How many files beside a result are looked at for the series that it belongs to.
_MOST_FILES = 3000
_READERS = {"SEG": read_segmentation, "RTSTRUCT": read_contours}


def is_readable(item: NoImage) -> bool:
    """Whether the object holds labels that `read_result` reads."""
    return item.modality in _READERS


def read_result(item: NoImage, series: Sequence[Series] = ()) -> list[Volume]:
    """Read a segmentation or a set of contours.

    Parameters
    ----------
    item : NoImage
        The file.
    series : sequence of Series
        The series that were found with it. Without any, files of its folder and the folders in it are looked at, at
        most 3000.

    Returns
    -------
    list of Volume
        Label volumes.

    Raises
    ------
    ReadError
        If it is damaged, or contours lack their series.
    """
    stacks = _stacks(list(series)) or stacks_beside(item.path, item.study_uid)
    return _READERS[item.modality](item.path, stacks)


def stacks_beside(path: Path, study_uid: str) -> list[Stack]:
    """Return the volumes of the same study that lie beside a file, or below its folder."""
    return _stacks(_series_beside(path, study_uid))


def _stacks(series: list[Series]) -> list[Stack]:
    return [stack for found in volumes_of_series(series) for stack in found.stacks]


def _series_beside(path: Path, study_uid: str) -> list[Series]:
    """Return the series of the same study beside a file."""
    instances: dict[str, list[Instance]] = {}
    left = _MOST_FILES
    with quiet():
        for parent, folders, names in os.walk(path.parent):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                left -= 1
                if left < 0:
                    return []  # half a series would be a wrong grid
                try:
                    item = read_header(Path(parent) / name)
                except OSError:
                    continue
                if isinstance(item, Instance) and str(item.dataset.get("StudyInstanceUID", "")) == study_uid:
                    instances.setdefault(str(item.dataset.get("SeriesInstanceUID", "")), []).append(item)
    return [Series(found) for found in instances.values()]

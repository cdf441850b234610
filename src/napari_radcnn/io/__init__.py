"""Reading scans and writing results: `read` and `write` are all that most callers need."""

from __future__ import annotations

from pathlib import Path

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io.contents import read_folder
from napari_radcnn.io.dicom import OnIrregular, SeriesInfo, check_on_irregular, list_series, read_series
from napari_radcnn.io.dicom_results import (
    Reference,
    as_label_map,
    check_series,
    is_report,
    read_report,
    write_derived,
    write_detection_report,
    write_report,
    write_segmentation,
)
from napari_radcnn.io.dicom_results.deidentify import Deidentifier
from napari_radcnn.io.formats import FORMATS, Format, readable_suffixes, sniff, writable_suffixes
from napari_radcnn.io.omezarr import is_zarr, read_omezarr
from napari_radcnn.io.problems import Problem
from napari_radcnn.io.reference import check_place
from napari_radcnn.io.reports import write_classification, write_detections
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.volume import Volume

__all__ = [
    "FORMATS",
    "Deidentifier",
    "Format",
    "OnIrregular",
    "Problem",
    "SeriesInfo",
    "check_source",
    "check_suffix",
    "is_report",
    "list_series",
    "read",
    "read_report",
    "read_series",
    "readable_suffixes",
    "sniff",
    "writable_suffixes",
    "write",
]


#: How names of contour files end.
_CONTOURS = (".rtstruct", ".rtstruct.dcm", ".rtss", ".rtss.dcm")


def read(
    path: str | Path,
    *,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    on_irregular: OnIrregular = "refuse",
) -> list[Volume]:
    """Read every volume of a file or folder.

    Parameters
    ----------
    path : path
        An image file, or a folder: of DICOM files, at any depth, of other images, or an OME-Zarr store.
    progress : callable, optional
        Called as ``progress(done, total, message)``.
    cancel : threading.Event, optional
        Set it to stop.
    on_irregular : {"refuse", "resample", "split"}
        What to do with a DICOM series whose slices are not evenly spaced, such as one with a missing slice.
        ``"refuse"`` raises an error that names the files around the gap. ``"resample"`` interpolates linearly between
        neighboring slices onto an even grid, which keeps the first and the last slice in their places, and all
        others where a grid of at least a quarter of the median gap meets them; masks and labels are taken from the
        nearest slice instead. ``"split"`` makes every run of evenly spaced slices a volume of its own. What was done
        stands in the warnings of the volumes. Other formats, and DICOM segmentations and contours, are read as ever.

    Returns
    -------
    list of Volume
        At least one. What a user must be told before relying on one stands in its ``warnings``.

    Raises
    ------
    ReadError
        If nothing can be read rightly; names the file and the cause.
    CancelledError
        If `cancel` was set.
    OptionError
        If `on_irregular` is no choice.
    """
    check_on_irregular(on_irregular)
    path = Path(path)
    try:
        if is_zarr(path):
            return read_omezarr(path, progress, cancel)
        if path.is_dir():
            return read_folder(path, progress, cancel, on_irregular)
        if not path.exists():
            raise ReadError(f"{path}: no such file or folder; check the name.")
        if not path.is_file():
            raise ReadError(f"{path}: neither a file nor a folder.")
        if path.stat().st_size == 0:
            raise ReadError(f"{path.name}: the file is empty (0 bytes); copy it again.")
        found = sniff(path)
        if found is None:
            with path.open("rb"):  # says "permission denied" where that is why nothing was found
                pass
            raise ReadError(f"{path.name}: not an image this program knows. Readable are DICOM, {_suffixes()}.")
        return found.read(path, progress, cancel, on_irregular)
    except PermissionError as error:
        raise ReadError(f"{error.filename or path}: permission denied; ask its owner for access.") from error
    except MemoryError as error:
        raise ReadError(f"{path.name}: the image is too large for this computer's memory.") from error
    except OSError as error:
        raise ReadError(f"{error.filename or path}: cannot be read: {error.strerror or error}.") from error


def write(
    obj: Volume | LabelMap | Detections | Classification,
    path: str | Path,
    *,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentify: bool | Deidentifier = False,
) -> Path:
    """Write a volume or a result in the format that the suffix says, completely or not at all.

    Parameters
    ----------
    obj : Volume, LabelMap, Detections or Classification
        Images go to ``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha``, ``.mhd`` or ``.ome.zarr``; detections to ``.json``
        or ``.csv``; a classification to ``.json``. What was made from a DICOM series goes back to DICOM, too: labels
        to ``.dcm`` or ``.seg.dcm`` (a segmentation) or ``.sr.dcm`` (a report of their volumes, with the segmentation
        beside it), detections to ``.sr.dcm``, and an image to a name without a suffix: a folder with a derived series.
    path : path
        Its folder must exist.
    overwrite : bool
        Whether the file may exist.
    reference : path or Volume, optional
        For DICOM: the series that the result belongs to, where the result does not know it.
    deidentify : bool or Deidentifier
        Whether to take the patient out of what is written: names, numbers, dates, UIDs and free text (DICOM PS3.15,
        Annex E, Basic Profile). Voxels stay as they are. With one `Deidentifier` for several calls, the new UIDs of
        what is written fit together.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    WriteError
        If the file exists already, the suffix is not one of those, the file cannot be written, or DICOM is asked for
        and the DICOM series that the result came from is not there.
    """
    path = Path(path)
    if not isinstance(obj, Volume | LabelMap | Detections | Classification):
        raise WriteError(f"{path}: objects of type {type(obj).__name__} cannot be written.")
    if isinstance(obj, Volume) and obj.metadata.is_label and path.name.lower().endswith(".dcm"):
        obj = as_label_map(obj)
    suffix = check_suffix(type(obj), path)
    deidentifier = _deidentifier(deidentify)
    if deidentifier is not None:
        obj = deidentifier.prepared(obj, path, is_dicom=suffix == "" or suffix.endswith(".dcm"))
    if suffix == "" and isinstance(obj, Volume):
        if reference is not None:
            check_place(obj, path, reference)
        write_derived(obj, path, overwrite, reference, deidentifier)
    elif suffix == ".sr.dcm" and isinstance(obj, Detections):
        write_detection_report(obj, path, overwrite, reference, deidentifier)
    elif suffix == ".sr.dcm" and isinstance(obj, LabelMap):
        write_report(obj, path, overwrite, reference, deidentifier)
    elif suffix.endswith(".dcm") and isinstance(obj, LabelMap):
        write_segmentation(obj, path, overwrite, reference, deidentifier)
    elif isinstance(obj, Detections):
        write_detections(obj, path, overwrite)
    elif isinstance(obj, Classification):
        write_classification(obj, path, overwrite)
    else:
        writer = next(f.writer for f in FORMATS if suffix in f.writes)
        if writer is not None:
            writer(obj, path, overwrite)
    return path


def check_suffix(kind: type, path: Path) -> str:
    """Return the suffix that says how an object of `kind` is written to `path`; empty for a folder of DICOM files.

    Raises
    ------
    WriteError
        If objects of that kind are not written under such a name.
    """
    name = path.name.lower()
    if name.endswith(_CONTOURS):  # without this, "x.rtstruct.dcm" would be a segmentation under a wrong name
        raise WriteError(
            f"{path}: contours (RTSTRUCT) are read, but not written, since they do not hold labels voxel for voxel; "
            "write a DICOM segmentation (.seg.dcm) instead."
        )
    if issubclass(kind, Detections):
        return _suffix_of(path, (".json", ".csv", ".sr.dcm"), "detections are")
    if issubclass(kind, Classification):
        return _suffix_of(path, (".json",), "a classification is")
    if issubclass(kind, LabelMap):
        return _suffix_of(path, (*writable_suffixes(), ".sr.dcm", ".seg.dcm", ".dcm"), "labels are")
    if not path.suffix:
        return ""
    return _suffix_of(
        path, writable_suffixes(), "images are", ", or to a folder of DICOM files, whose name has no suffix"
    )


def check_source(kind: type, path: Path, scan: Volume) -> None:
    """Refuse a name of a DICOM object before the work, if a result of `scan` could not be written under it.

    Raises
    ------
    WriteError
        As `check_suffix` does, or if the DICOM series that `scan` came from is not there.
    """
    suffix = check_suffix(kind, path)
    if suffix == "" or suffix.endswith(".dcm"):
        check_series(scan, path)


def _deidentifier(given: bool | Deidentifier) -> Deidentifier | None:
    if isinstance(given, Deidentifier):
        return given
    return Deidentifier() if given else None


def _suffix_of(path: Path, allowed: tuple[str, ...], what: str, more: str = "") -> str:
    name = path.name.lower()
    for suffix in allowed:
        if name.endswith(suffix) and name != suffix:
            return suffix
    given = f"the suffix '{path.suffix}'" if path.suffix else "no suffix"
    raise WriteError(f"{path}: the name has {given}, but {what} written as {', '.join(allowed)}{more}.")


def _suffixes() -> str:
    return ", ".join(s for s in readable_suffixes() if s not in (".dcm", ".dicom", ".ima"))

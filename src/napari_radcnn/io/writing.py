"""`write`: a volume or a result in the format that the suffix says, completely or not at all."""

from __future__ import annotations

from pathlib import Path

from napari_radcnn.errors import WriteError
from napari_radcnn.io.dicom_results import (
    Reference,
    as_label_map,
    check_series,
    write_derived,
    write_detection_report,
    write_report,
    write_segmentation,
)
from napari_radcnn.io.dicom_results.deidentify import Deidentifier, Writable
from napari_radcnn.io.dicom_results.source import check_source_pixels
from napari_radcnn.io.formats import FORMATS, writable_suffixes
from napari_radcnn.io.reference import check_place
from napari_radcnn.io.reports import write_classification, write_detections
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.volume import Volume

#: How names of contour files end.
_CONTOURS = (".rtstruct", ".rtstruct.dcm", ".rtss", ".rtss.dcm")


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
        obj = _deidentified(obj, path, suffix, deidentifier)
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


def _deidentified(obj: Writable, path: Path, suffix: str, deidentifier: Deidentifier) -> Writable:
    """Return what may be handed to a writer.

    Raises
    ------
    WriteError
        If the scan says that text is burned into its pictures.
    """
    is_dicom = suffix == "" or suffix.endswith(".dcm")
    if isinstance(obj, Volume) and not is_dicom:
        check_source_pixels(obj, path)
    return deidentifier.prepared(obj, is_dicom=is_dicom)


def _suffix_of(path: Path, allowed: tuple[str, ...], what: str, more: str = "") -> str:
    name = path.name.lower()
    for suffix in allowed:
        if name.endswith(suffix) and name != suffix:
            return suffix
    given = f"the suffix '{path.suffix}'" if path.suffix else "no suffix"
    raise WriteError(f"{path}: the name has {given}, but {what} written as {', '.join(allowed)}{more}.")

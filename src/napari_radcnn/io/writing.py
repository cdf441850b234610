"""`write`: a volume or a result in the format that the suffix says, completely or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_radcnn.errors import WriteError
from napari_radcnn.files import check_name
from napari_radcnn.io.dicom_results import Reference, as_label_map, check_series
from napari_radcnn.io.dicom_results.deidentify import Deidentifier, Writable
from napari_radcnn.io.dicom_results.source import check_source_pixels
from napari_radcnn.io.formats import FORMATS, formats, writable_suffixes
from napari_radcnn.io.omezarr import write_label_image
from napari_radcnn.io.own_file import replaces_own_file
from napari_radcnn.io.reference import check_place
from napari_radcnn.io.targets import refuse_sources, sources_in, sources_of
from napari_radcnn.results import Result
from napari_radcnn.schemas import label_store
from napari_radcnn.tasks import ResultKind, kind_of, kind_of_class, load
from napari_radcnn.volume import Volume

#: What stands for a suffix where labels are added to the store of their scan.
_IN_STORE = "labels/"
#: How names of contour files end.
_CONTOURS = (".rtstruct", ".rtstruct.dcm", ".rtss", ".rtss.dcm")


def write(
    obj: Result,
    path: str | Path,
    *,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentify: bool | Deidentifier = False,
) -> Path:
    """Write a volume or a result in the format that the suffix says, completely or not at all.

    Parameters
    ----------
    obj : Volume, LabelMap, Detections, Classification or another result of `napari_radcnn.tasks`
        Images go to ``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha``, ``.mhd`` or ``.ome.zarr``, labels also into the store
        of their scan, ``STORE.ome.zarr/labels/NAME``; detections to ``.json`` or ``.csv``; a classification to
        ``.json``. What was made from a DICOM series goes back to DICOM, too: labels
        to ``.dcm`` or ``.seg.dcm`` (a segmentation) or ``.sr.dcm`` (a report of their volumes, with the segmentation
        beside it), detections to ``.sr.dcm``, and an image to a name without a suffix: a folder with a derived series.
    path : path
        Its folder must exist. It must not be, hold or lie in what `obj` was read or made from; labels alone may replace
        the file that they were read from, where it holds nothing else (``.nii``, ``.nii.gz``, ``.nrrd``).
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
        If the file exists already or is an input, the suffix is not one of those, the file cannot be written, or DICOM
        is asked for and the DICOM series that the result came from is not there.
    """
    path = Path(path)
    check_name(path)
    if kind_of(obj) is None:
        raise WriteError(f"{path}: objects of type {type(obj).__name__} cannot be written.")
    refuse_inputs(obj, path, reference)
    given: Any = obj
    if isinstance(obj, Volume) and obj.metadata.is_label and path.name.lower().endswith(".dcm"):
        given = as_label_map(obj)
    suffix = check_suffix(type(given), path)
    deidentifier = _deidentifier(deidentify)
    if deidentifier is not None:
        given = _deidentified(given, path, suffix, deidentifier)
    writer = _writer(type(given), suffix, path)
    if not _is_dicom(suffix):
        writer(given, path, overwrite)
        return path
    if suffix == "" and reference is not None:
        check_place(given, path, reference)
    writer(given, path, overwrite, reference, deidentifier)
    return path


def refuse_inputs(obj: Result, path: Path, reference: Reference | None = None) -> None:
    """Refuse a target that is, holds or lies in what the object was read or made from, see `refuse_sources`.

    Labels may be written over the file that they were read from where that loses nothing, see `replaces_own_file`.
    """
    of_reference = sources_of(reference) if isinstance(reference, Volume) else [Path(reference)] if reference else []
    own = sources_in(obj.provenance) if replaces_own_file(obj, path) else sources_of(obj)
    refuse_sources(path, [*own, *of_reference])


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
            f"{path}: contours (RTSTRUCT) can be read but not written, because they cannot represent labels voxel by "
            "voxel; write a DICOM segmentation (.seg.dcm) instead."
        )
    known = _kind_of_class(kind, path)
    if known.is_image and label_store(path) is not None:
        return _IN_STORE
    if "" in known.writers and not path.suffix:
        return ""
    results = tuple(filter(None, known.writers))
    own = (*(suffix for found in FORMATS for suffix in found.writes), *results) if known.is_image else results
    suffix = _suffix_of(path, own)
    if suffix is None and known.is_image:  # only then are packages looked at that add formats
        own = (*writable_suffixes(), *results)
        suffix = _suffix_of(path, own)
    if suffix is not None:
        return suffix
    folder = ", or to a folder of DICOM files, whose name has no suffix" if "" in known.writers else ""
    has = f"the suffix '{path.suffix}'" if path.suffix else "no suffix"
    raise WriteError(f"{path}: the name has {has}, but {known.described} written as {', '.join(own)}{folder}.")


def check_source(kind: type, path: Path, scan: Volume) -> None:
    """Refuse a name of a DICOM object before the work, if a result of `scan` could not be written under it.

    Raises
    ------
    WriteError
        As `check_suffix` does, or if the DICOM series that `scan` came from is not there.
    """
    if _is_dicom(check_suffix(kind, path)):
        check_series(scan, path)


def _is_dicom(suffix: str) -> bool:
    return suffix == "" or suffix.endswith(".dcm")


def _kind_of_class(kind: type, path: Path) -> ResultKind:
    known = kind_of_class(kind)
    if known is None:
        raise WriteError(f"{path}: objects of type {kind.__name__} cannot be written.")
    return known


def _writer(kind: type, suffix: str, path: Path) -> Callable[..., object]:
    """Return what writes objects of a class under a suffix that `check_suffix` returned."""
    if suffix == _IN_STORE:
        return write_label_image
    place = _kind_of_class(kind, path).writers.get(suffix)
    found = next((known.write for known in formats() if suffix in known.writes), None) if place is None else load(place)
    if found is None:
        raise WriteError(f"{path}: writing {suffix} is not supported.")
    return found


def _deidentifier(option: bool | Deidentifier) -> Deidentifier | None:
    if isinstance(option, Deidentifier):
        return option
    return Deidentifier() if option else None


def _deidentified(obj: Writable, path: Path, suffix: str, deidentifier: Deidentifier) -> Writable:
    """Return what may be handed to a writer.

    Raises
    ------
    WriteError
        If the scan says that text is burned into its pictures.
    """
    is_dicom = _is_dicom(suffix)
    if isinstance(obj, Volume) and not is_dicom:
        check_source_pixels(obj, path)
    return deidentifier.prepared(obj, is_dicom=is_dicom)


def _suffix_of(path: Path, allowed: tuple[str, ...]) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in allowed if name.endswith(suffix) and name != suffix), None)

"""From a layer to files on the disk: what there is to choose from, safe names, the result and its manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_radcnn.gui.layers import METADATA_KEY, is_ours
from napari_radcnn.io.manifest import manifest_of, manifest_path
from napari_radcnn.io.registry import FORMATS
from napari_radcnn.volume import Volume

#: For whom each format is readable, by its name in the registry.
_READERS = {
    "NIfTI": "research tools: FSL, ITK-SNAP, 3D Slicer, nnU-Net",
    "NRRD": "3D Slicer, ITK, MITK",
    "MetaImage": "ITK, SimpleITK, elastix, 3D Slicer",
    "OME-Zarr": "napari and bio-imaging tools that read OME-NGFF; also over a network, piece by piece",
}
#: What is worth knowing of a suffix, where a format has several.
_REMARKS = {
    ".nii": "not compressed",
    ".nii.gz": "compressed",
    ".mhd": "text header and .raw file beside it",
    ".zarr": "the same as .ome.zarr, for programs that expect this name",
}


@dataclass(frozen=True)
class Choice:
    """One way to write a layer.

    Attributes
    ----------
    title : str
        As it stands in the list.
    suffix : str
        What the file's name ends with; empty for a folder.
    line : str
        What is written, and who can read it.
    needs_series : bool
        Whether the DICOM series must be at hand that the scan came from.
    """

    title: str
    suffix: str
    line: str
    needs_series: bool = False


_DICOM_LABELS = (
    Choice(
        "DICOM SEG (.seg.dcm)",
        ".seg.dcm",
        "A DICOM segmentation: hospital PACS, OHIF, 3D Slicer. Needs the DICOM series the scan came from.",
        True,
    ),
    Choice(
        "DICOM SR (.sr.dcm)",
        ".sr.dcm",
        "A DICOM report of the labels' volumes, with the segmentation beside it (.seg.dcm): hospital PACS, OHIF. "
        "Needs the DICOM series the scan came from.",
        True,
    ),
)
_DICOM_IMAGE = (
    Choice(
        "DICOM series (a folder)",
        "",
        "A folder with a new DICOM series of the same patient and study, one file a slice: hospital PACS and every "
        "DICOM viewer. Needs the DICOM series the scan came from.",
        True,
    ),
)


def choices(is_labels: bool) -> list[Choice]:
    """Return what a layer of scans, or of labels, can be written as: all that `napari_radcnn.io` writes."""
    what = "The labels" if is_labels else "The scan"
    found = []
    for known in FORMATS:
        readers = _READERS.get(known.name, "programs that know the format")
        for suffix in known.writes:
            remark = f" ({_REMARKS[suffix]})" if suffix in _REMARKS else ""
            line = f"{what} on its own grid. {known.name}{remark}: {readers}."
            found.append(Choice(f"{known.name} ({suffix})", suffix, line.replace("labels on its", "labels on their")))
    return [*found, *(_DICOM_LABELS if is_labels else _DICOM_IMAGE)]


def knows_series(layer: Any) -> bool:
    """Whether a layer says itself which DICOM series it belongs to."""
    if not is_ours(layer):
        return False
    kept = layer.metadata[METADATA_KEY]
    scan = kept.get("volume") or kept.get("labels")
    if scan is None:
        return False
    given = manifest_of(scan).get("input")
    return bool(scan.metadata.series_uid or (isinstance(given, Mapping) and given.get("series_uid")))


def series_of(layer: Any) -> Volume | None:
    """Return the scan of a layer that was read from a DICOM series."""
    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    is_dicom = isinstance(volume, Volume) and bool(volume.metadata.series_uid)
    return volume if is_dicom else None


def without_suffix(name: str) -> str:
    """Return a file's name without a suffix that some format here has."""
    known = {choice.suffix for kind in (True, False) for choice in choices(is_labels=kind)}
    found = [suffix for suffix in sorted(known, key=len) if name.lower().endswith(suffix)]
    return name[: len(name) - len(found[-1])] if found else name


def safe_stem(name: str) -> str:
    """Return a layer's name as a file's name without suffix: letters, digits, dot, underscore and minus only.

    Examples
    --------
    >>> safe_stem("CT 3 · brain-extraction")
    'CT_3_brain-extraction'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-") or "scan"


def files_in_the_way(path: Path) -> list[Path]:
    """Return what exists already of a file and its manifest; nothing where the folder may not be looked into."""
    try:
        return [target for target in (path, manifest_path(path)) if target.exists() or target.is_symlink()]
    except OSError:  # writing says why
        return []

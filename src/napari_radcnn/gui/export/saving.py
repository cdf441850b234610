"""From a layer to files on the disk: what there is to choose from, safe names, the result and its manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from napari_radcnn.gui.findings.layer import findings_from_layer, frozen_findings, review_of
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours, scan_from_layer, snapshot
from napari_radcnn.io.formats import formats
from napari_radcnn.io.own_file import replaces_own_file
from napari_radcnn.io.targets import sources_in, sources_of
from napari_radcnn.manifest import manifest_path
from napari_radcnn.results import Detections, LabelMap
from napari_radcnn.volume import Volume

#: What a layer holds that can be written.
Kind = Literal["image", "labels", "findings"]

#: For whom each format is readable, by its name in the registry.
_READERS = {
    "NIfTI": "research tools: FSL, ITK-SNAP, 3D Slicer, nnU-Net",
    "NRRD": "3D Slicer, ITK, MITK",
    "MetaImage": "ITK, SimpleITK, elastix, 3D Slicer",
    "OME-Zarr": "napari and bio-imaging tools that read OME-NGFF; can be streamed over a network",
}
#: What is worth knowing of a suffix, where a format has several.
_REMARKS = {
    ".nii": "not compressed",
    ".nii.gz": "compressed",
    ".mhd": "text header with the voxels in a .zraw file beside it",
    ".zarr": "same as .ome.zarr, for programs that expect this suffix",
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
        "A DICOM segmentation: hospital PACS, OHIF, 3D Slicer. Needs the original DICOM series of the scan.",
        True,
    ),
    Choice(
        "DICOM SR (.sr.dcm)",
        ".sr.dcm",
        "A DICOM report of the labels' volumes, together with the segmentation (.seg.dcm): hospital PACS, OHIF. "
        "Needs the original DICOM series of the scan.",
        True,
    ),
)
_DICOM_IMAGE = (
    Choice(
        "DICOM series (a folder)",
        "",
        "A folder with a new DICOM series of the same patient and study, one file a slice: hospital PACS and every "
        "DICOM viewer. Needs the original DICOM series of the scan.",
        True,
    ),
)
_LEFT_OUT = "Rejected findings and those below the score are left out; the manifest records how many."
_FINDINGS = (
    Choice("JSON (.json)", ".json", f"The findings in mm, with each decision; can be opened here again. {_LEFT_OUT}"),
    Choice("Table (.csv)", ".csv", f"One row per finding, in mm: for spreadsheets. {_LEFT_OUT}"),
    Choice(
        "DICOM SR (.sr.dcm)",
        ".sr.dcm",
        "A DICOM report with an ellipsoid for each finding: hospital PACS, OHIF, 3D Slicer. Needs the original DICOM "
        f"series of the scan. {_LEFT_OUT}",
        True,
    ),
)


def kind_of(layer: Any) -> Kind | None:
    """Return what a layer holds; None for what cannot be written here."""
    from napari.layers import Image, Labels

    if isinstance(layer, Labels):
        return "labels"
    if isinstance(layer, Image):
        return "image"
    return None if review_of(layer) is None else "findings"


def frozen(layer: Any) -> Any:
    """Return a layer that holds what another does, and that further work on the other does not change."""
    return snapshot(layer) if review_of(layer) is None else frozen_findings(layer)


def result_of(layer: Any) -> Volume | LabelMap | Detections:
    """Return what a layer is written as.

    Raises
    ------
    RadcnnError
        If it holds nothing that can be written.
    """
    return scan_from_layer(layer) if review_of(layer) is None else findings_from_layer(layer)


def sources_of_layer(layer: Any, target: Path) -> list[Path]:
    """Return the files that what a layer holds was read or made from, without computing what it is written as.

    Parameters
    ----------
    layer : napari.layers.Layer
        One of ours, or any other, which has none.
    target : path
        Where it is to go: edited labels may replace the file that they were read from, which is then left out.
    """
    review = review_of(layer)
    if review is not None:
        return sources_of(review.detections)
    kept = layer.metadata.get(METADATA_KEY, {}) if is_ours(layer) else {}
    found = [kept[key] for key in ("volume", "labels") if kept.get(key) is not None]
    is_own = kind_of(layer) == "labels"
    return [
        path
        for one in found
        for path in (sources_in(one.provenance) if is_own and replaces_own_file(one, target) else sources_of(one))
    ]


def choices(kind: Kind) -> list[Choice]:
    """Return what a layer of each kind can be written as: all that `napari_radcnn.io` writes."""
    if kind == "findings":
        return list(_FINDINGS)
    is_labels = kind == "labels"
    what = "The labels" if is_labels else "The scan"
    found = []
    for known in formats():
        readers = _READERS.get(known.name, "programs that read the format")
        for suffix in known.writes:
            remark = f" ({_REMARKS[suffix]})" if suffix in _REMARKS else ""
            line = f"{what} on its own grid. {known.name}{remark}: {readers}."
            found.append(Choice(f"{known.name} ({suffix})", suffix, line.replace("labels on its", "labels on their")))
    return [*found, *(_DICOM_LABELS if is_labels else _DICOM_IMAGE)]


def knows_series(layer: Any) -> bool:
    """Whether a layer says itself which DICOM series it belongs to."""
    review = review_of(layer)
    if review is not None:
        return _names_series(review.detections.provenance)
    if not is_ours(layer):
        return False
    kept = layer.metadata[METADATA_KEY]
    scan = kept.get("volume") or kept.get("labels")
    if scan is None:
        return False
    return bool(scan.metadata.series_uid) or _names_series(scan.provenance)


def _names_series(manifest: Mapping[str, Any]) -> bool:
    given = manifest.get("input")
    return isinstance(given, Mapping) and bool(given.get("series_uid"))


def series_of(layer: Any) -> Volume | None:
    """Return the scan of a layer that was read from a DICOM series."""
    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    is_dicom = isinstance(volume, Volume) and bool(volume.metadata.series_uid)
    return volume if is_dicom else None


def without_suffix(name: str) -> str:
    """Return a file's name without a suffix that some format here has."""
    known = {choice.suffix for kind in get_args(Kind) for choice in choices(kind)}
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

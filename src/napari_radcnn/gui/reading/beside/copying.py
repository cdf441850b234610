"""Labels and findings of one scan copied to another: on its grid, as layers that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.findings.layer import detections_layer, findings_from_layer, frozen_findings, review_of
from napari_radcnn.gui.layers.belonging import identity, made_of
from napari_radcnn.gui.layers.layers import LayerData, label_map_from_layer, layer_data, snapshot, volume_from_layer
from napari_radcnn.gui.reading.beside.pairs import native_of, owner_of
from napari_radcnn.gui.reading.beside.spaces import Link
from napari_radcnn.operations import resample_to
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import Detections, LabelMap
from napari_radcnn.volume import Volume


def can_be_copied(layer: Any) -> bool:
    """Whether a layer can be copied to another scan: labels in memory, and findings."""
    from napari.layers import Labels

    if isinstance(layer, Labels):
        return not layer.multiscale and layer.ndim == 3
    return review_of(layer) is not None


def copyable(layers: Sequence[Any], scan: Any) -> list[Any]:
    """Return the layers of a scan that can be copied to another one."""
    return [layer for layer in layers if layer is not scan and can_be_copied(layer) and owner_of(layer, layers) is scan]


def frozen(layer: Any) -> Any:
    """Return a layer of the same labels or findings that what is done meanwhile does not change."""
    return snapshot(layer) if review_of(layer) is None else frozen_findings(layer)


def copied(
    layer: Any,
    source: str,
    target: Any,
    link: Link,
    *,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> LayerData:
    """Return the layer of labels or findings of one scan as they are in another.

    Parameters
    ----------
    layer : napari layer
        As of `frozen`.
    source : str
        What the scan that they were made of is called.
    target : napari layer
        Of the other scan.
    link : Link
        From positions in the first scan to those in the other.
    progress, cancel : optional
        As in `napari_radcnn.resample_to`.

    Raises
    ------
    GeometryError
        If they do not overlap with the other scan at all.
    CancelledError
        If `cancel` was set.
    """
    told = f"Copied from '{source}' ({link.words})."
    scan = volume_from_layer(target)
    if review_of(layer) is not None:
        data = detections_layer(moved_findings(findings_from_layer(layer), link, told), native_of(target))
    else:
        data = layer_data(moved_labels(label_map_from_layer(layer), scan, link, told, progress, cancel))
    array, arguments, kind = made_of(data, identity(target))
    return array, arguments | {"name": f"{layer.name} (from {source})"}, kind


def moved_labels(
    labels: LabelMap,
    scan: Volume,
    link: Link,
    told: str,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> LabelMap:
    """Return labels on the grid of another scan: of each of its voxels the label of the nearest one.

    Parameters
    ----------
    labels : LabelMap
        Of the first scan.
    scan : Volume
        The other one; what is written says that they belong to it.
    link : Link
        From positions in the first scan to those in the other.
    told : str
        What is said of the result.
    progress, cancel : optional
        As in `napari_radcnn.resample_to`.
    """
    affine = labels.geometry.affine.copy()
    affine[:3, 3] += link.offset
    there = replace(labels, geometry=Geometry(labels.geometry.shape, affine), maps=())
    found = cast(LabelMap, resample_to(there, scan, progress=progress, cancel=cancel))
    provenance = {**labels.provenance, "copied_onto": scan.name} if labels.provenance else {}
    return replace(found, metadata=scan.metadata, provenance=provenance, warnings=(*labels.warnings, told))


def moved_findings(findings: Detections, link: Link, told: str) -> Detections:
    """Return findings at their places in another scan, with what was decided of each."""
    boxes = []
    for box in findings.boxes:
        x, y, z = link.to_second(box.center).tolist()
        boxes.append(replace(box, center=(x, y, z)))
    return replace(findings, boxes=tuple(boxes), warnings=(*findings.warnings, told), evidence=())

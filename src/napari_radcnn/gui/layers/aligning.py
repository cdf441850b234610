"""A scan in the viewer put where an alignment says, with the labels that lie on it; and put back.

Only grids move: the layers stay the layers that they are, and their voxels those that were read. What is turned out of
the axes is resampled for the screen, as any oblique scan is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

from napari_radcnn.alignment import Alignment
from napari_radcnn.errors import OptionError
from napari_radcnn.gui.layers.belonging import is_made_of, is_map, is_scan, scan_of
from napari_radcnn.gui.layers.layers import (
    METADATA_KEY,
    LayerData,
    is_ours,
    label_map_from_layer,
    layer_data,
    points_data,
    points_of,
    volume_from_layer,
)
from napari_radcnn.gui.layers.time_points import TimePoints
from napari_radcnn.volume import Volume

#: Of a scan's layer below the package's key: what took it to where it lies now.
ALIGNMENT = "alignment"
#: Below that key: what names the patient space that it was put into, for scans side by side.
SPACE = "space"


@dataclass(frozen=True)
class Placed:
    """What was put elsewhere.

    Attributes
    ----------
    undo : callable
        Puts it back.
    left : tuple of str
        Names of layers that lie on the scan and could not be moved.
    """

    undo: Callable[[], None]
    left: tuple[str, ...]


def place(viewer: Any, scan: Any, alignment: Alignment, whose: str, space: Hashable | None = None) -> Placed:
    """Put the layer of a scan, and the labels and maps that were made of it, where an alignment says.

    Parameters
    ----------
    viewer : napari.Viewer
        Where they are.
    scan : napari layer
        The moving scan.
    alignment : Alignment
        What moves it.
    whose : str
        What the fixed scan is called, for what is told of the moved one.
    space : Hashable, optional
        What names the patient space of the fixed scan, which the moved one lies in from now on.

    Raises
    ------
    OptionError
        If a session works on the scan, or its voxels stay on the disk.
    """
    followers = [layer for layer in viewer.layers if layer is not scan and _lies_on(layer, scan, viewer.layers)]
    moved = [scan, *(layer for layer in followers if is_ours(layer) and _is_of_voxels(layer))]
    for layer in moved:
        if layer.metadata[METADATA_KEY].get("is_session", False):
            raise OptionError(f"A session works on '{scan.name}': end it first.")
        if layer.multiscale:
            raise OptionError(
                f"The voxels of '{layer.name}' stay on the disk: only what is in memory can be moved here."
            )
    told = f"Lies where it was aligned to '{whose}' (residual {alignment.residual_mm:.2f} mm), not where its file says."
    kept = [_State.of(layer) for layer in moved if is_scan(layer) or is_map(layer)]
    labels = [layer for layer in moved if not (is_scan(layer) or is_map(layer))]
    for layer in moved:
        _move(layer, alignment, told)
    scan.metadata[METADATA_KEY][ALIGNMENT] = alignment
    scan.metadata[METADATA_KEY][SPACE] = space

    def undo() -> None:
        for state in kept:
            if state.layer in viewer.layers:
                state.restore()
        for layer in labels:
            if layer in viewer.layers:  # not its voxels before: it may have been painted in since
                _move(layer, alignment.inverse, "")

    return Placed(undo, tuple(layer.name for layer in followers if layer not in moved))


def alignment_of(layer: Any) -> Alignment | None:
    """Return what took the layer of a scan to where it lies; None where it lies as its file says."""
    found = layer.metadata[METADATA_KEY].get(ALIGNMENT) if is_ours(layer) else None
    return found if isinstance(found, Alignment) else None


@dataclass(frozen=True)
class _State:
    """What an image layer was before."""

    layer: Any
    data: Any
    scale: Any
    translate: Any
    kept: dict[str, Any]

    @classmethod
    def of(cls, layer: Any) -> _State:
        return cls(layer, layer.data, layer.scale.copy(), layer.translate.copy(), layer.metadata[METADATA_KEY])

    def restore(self) -> None:
        layer = self.layer
        layer.metadata = {**layer.metadata, METADATA_KEY: self.kept}
        layer.data = self.data
        layer.scale, layer.translate = self.scale, self.translate


def _lies_on(layer: Any, scan: Any, layers: Any) -> bool:
    return is_made_of(layer, scan) or (not is_scan(layer) and scan_of(layer, layers) is scan)


def _is_of_voxels(layer: Any) -> bool:
    from napari.layers import Image, Labels

    return isinstance(layer, Image | Labels)


def _move(layer: Any, alignment: Alignment, told: str) -> None:
    array, arguments, _ = _data_of(layer, alignment, (told,) if told else ())
    before = layer.metadata[METADATA_KEY]
    kept = {**before, **arguments["metadata"][METADATA_KEY]}
    if "look" in before:
        kept["look"] = before["look"]
    layer.metadata = {**layer.metadata, METADATA_KEY: kept}
    layer.data = array
    layer.scale, layer.translate = arguments["scale"], arguments["translate"]


def _data_of(layer: Any, alignment: Alignment, told: tuple[str, ...]) -> LayerData:
    from napari.layers import Labels

    if isinstance(layer, Labels):
        labels = alignment.moved(label_map_from_layer(layer))
        return layer_data(replace(labels, warnings=(*labels.warnings, *told)))
    points = points_of(layer)
    if points is None:
        return layer_data(_moved(volume_from_layer(layer), alignment, told))
    volumes = [_moved(volume_from_layer(layer, n), alignment, told) for n in range(len(points))]
    return points_data(TimePoints(volumes, points.labels, points.axis).at(points.shown), layer.name)


def _moved(volume: Volume, alignment: Alignment, told: tuple[str, ...]) -> Volume:
    moved = alignment.moved(volume)
    return replace(moved, warnings=(*moved.warnings, *told))

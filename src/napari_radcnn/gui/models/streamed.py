"""Labels that do not fit into memory: written to a store as they are found, and seen in the viewer meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.gui.layers.colors import label_colormap
from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, Place, is_ours, layer_data
from napari_radcnn.gui.layers.multiscale import shown_levels
from napari_radcnn.memory import free_memory
from napari_radcnn.models import ModelSpec
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.tasks import LABELS, TASKS
from napari_radcnn.volume import Volume
from napari_radcnn.voxels import box_ends

#: Labels that take more of the free memory than this go to a store.
_PART_OF_FREE = 0.25
#: The most voxels of what is seen while a model runs.
_MOST_SEEN = 16_000_000
#: What is said where a worker elsewhere was to find them.
TOO_LARGE_FOR_CLUSTER = (
    "The labels are too large for this computer's memory, into which a cluster sends them back: choose "
    "'This computer', which writes them to a folder, or run `radcnn cohort run` on the cluster."
)


def must_stream(spec: ModelSpec, layer: Any) -> bool:
    """Whether a model's labels of a layer's scan go to a store: the scan is in one, and they would not fit."""
    from napari_radcnn.operations import can_stream

    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    if (
        not isinstance(volume, Volume)
        or volume.source is None
        or volume.is_loaded
        or TASKS[spec.task].kind is not LABELS
    ):
        return False
    return label_bytes(spec, volume) > _PART_OF_FREE * _free() and can_stream(spec)


def label_bytes(spec: ModelSpec, volume: Volume) -> int:
    """Return how many bytes a model's labels of a scan take."""
    return prod(volume.shape[:3]) * (1 if max(spec.labels, default=0) < 256 else 2)


class Preview:
    """A coarse label map that is filled block by block while a model runs, and the layer that shows it.

    Parameters
    ----------
    spec : ModelSpec
        The model, for names and colors.
    geometry : Geometry
        The scan's own grid.
    name : str
        Of the layer.
    """

    def __init__(self, spec: ModelSpec, geometry: Geometry, name: str) -> None:
        self._shape, self._factors = geometry.shape, _factors(geometry)
        first = tuple(factor // 2 for factor in self._factors)
        shape = tuple(
            -(-(size - start) // factor)
            for size, start, factor in zip(geometry.shape, first, self._factors, strict=True)
        )
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = np.diag(self._factors), first
        coarse = Geometry((shape[0], shape[1], shape[2]), geometry.affine @ step)
        dtype = np.uint8 if max(spec.labels, default=0) < 256 else np.uint16
        self.labels = LabelMap(np.zeros(shape, dtype), coarse, dict(spec.labels), name)
        #: Whether something was put in since it was last asked.
        self._is_new = False

    @property
    def can_be_shown(self) -> bool:
        """Whether a layer can show it while it is filled: an oblique one would have to be resampled every time."""
        return self.labels.geometry.is_axis_aligned

    def layer_data(self) -> LayerData:
        """Return the layer, whose array is this one: what is put in is seen when the layer is refreshed."""
        return layer_data(self.labels)

    def put(self, box: Box, values: npt.NDArray[Any]) -> None:
        """Take from a block of the full resolution what is seen; in the thread that runs the model."""
        target, picked = [], []
        for (begin, end), factor in zip(box_ends(box, self._shape), self._factors, strict=True):
            start = factor // 2
            low, high = (-(-max(edge - start, 0) // factor) for edge in (begin, end))
            target.append(slice(low, high))
            picked.append(slice(low * factor + start - begin, None, factor))
        self.labels.array[tuple(target)] = values[tuple(picked)]
        self._is_new = True

    def take_news(self) -> bool:
        """Return whether something was put in since the last call."""
        is_new, self._is_new = self._is_new, False
        return is_new


def stored_layer(
    volume: Volume, labels: Mapping[int, Label], progress: Progress | None = None, cancel: CancelEvent | None = None
) -> LayerData:
    """Return the layer of labels that stay in their store; of oblique ones a resolution that fits into memory.

    Parameters
    ----------
    volume : Volume
        What was written.
    labels : mapping of int to Label
        The model's classes.
    progress, cancel : optional
        For an oblique one, which is loaded.

    Raises
    ------
    RadcnnError
        If an oblique one has no resolution that fits.
    CancelledError
        If `cancel` was set.
    """
    place = Place.of(volume.geometry)
    if place.axis_map is None or volume.source is None or not volume.source.levels:
        return layer_data(volume, progress=progress, cancel=cancel)  # one resolution only: a small store
    names = {0: "background", **{value: label.name for value, label in labels.items()}}
    data = shown_levels(volume.source, volume.geometry, place.axis_map)
    if len(data) == 1:  # its coarser ones cannot be placed; napari takes a list of one for the array itself
        data.append(data[0].thinned(2))
    arguments = place.layer_arguments | {
        "name": volume.name,
        "multiscale": True,
        "features": {"index": list(names), "name": list(names.values())},
        "metadata": {
            METADATA_KEY: {
                "place": place,
                "volume": volume,
                "warnings": volume.warnings,
                "provenance": dict(volume.metadata.provenance),
            }
        },
    }
    colormap = label_colormap(labels)
    if colormap is not None:
        arguments["colormap"] = colormap
    return data, arguments, "labels"


def _factors(geometry: Geometry) -> tuple[int, int, int]:
    """Return every which voxel is seen along each axis: the finest axes are thinned first."""
    factors = [1, 1, 1]
    while prod(-(-size // factor) for size, factor in zip(geometry.shape, factors, strict=True)) > _MOST_SEEN:
        steps = [
            spacing * factor if size > factor else np.inf
            for spacing, factor, size in zip(geometry.spacing, factors, geometry.shape, strict=True)
        ]
        factors[int(np.argmin(steps))] *= 2
    return factors[0], factors[1], factors[2]


def _free() -> int:
    return free_memory()

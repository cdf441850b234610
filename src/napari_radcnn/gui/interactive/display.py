"""A session's label map as a layer shows it: the same memory for an aligned scan, resampled piece by piece else."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.gui.layers.layers import Place, to_display, to_patient
from napari_radcnn.preprocessing import resample


class ShownLabels:
    """Labels on a scan's own grid, brought to the upright grid of the screen.

    Parameters
    ----------
    labels : (k, j, i) array of unsigned integer
        Not copied; it may change while it is shown, and `redraw` is called then.
    geometry : Geometry
        Its grid.

    Attributes
    ----------
    data : (s, p, l) array
        For the layer. Where the scan lies along the patient's axes it is a view of `labels`.
    """

    def __init__(self, labels: npt.NDArray[Any], geometry: Geometry) -> None:
        self.place = Place.of(geometry)
        self._labels = labels
        self.data: npt.NDArray[Any]
        if self.place.axis_map is not None:
            self.data = self.place.axis_map.apply(labels)
        else:
            self.data = np.zeros(self.place.shown.shape, labels.dtype)

    def redraw(self, box: Box | None) -> None:
        """Bring `data` up to date where voxels of a box changed; of an aligned scan it is already."""
        if box is None or self.place.axis_map is not None:
            return
        native, shown = self.place.native, self.place.shown
        ends = [(extent.start - 0.5, extent.stop - 0.5) for extent in box]
        corners = shown.to_index(native.to_world(np.array(list(product(*ends)))))
        low = np.clip(np.floor(corners.min(0)).astype(int), 0, shown.shape)
        high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, shown.shape)
        if (high <= low).any():
            return
        part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        self.data[part] = resample(self._labels, native, shown.cropped(part), interpolation="nearest", antialias=False)

    def on_slice(self, point: npt.ArrayLike, displayed: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """Return the LPS mm position of a napari world point, with the axes that are not shown on the slice that is.

        Parameters
        ----------
        point : (n,) array of float
            napari's world point; its last three axes are the patient's.
        displayed : tuple of int
            Those of the three axes, S, P, L, that run along the screen.
        """
        world = np.array(point, float)[-3:]
        scale, origin = np.array(self.place.shown.spacing), to_display(self.place.shown.origin)
        index = np.rint((world - origin) / scale)
        for axis in range(3):
            if axis not in displayed:
                world[axis] = origin[axis] + index[axis] * scale[axis]
        return to_patient(world)

    def in_layer(self, positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return (fractional) indices of `data`, ``(..., 3)``, of LPS mm positions ``(..., 3)``."""
        return self.place.shown.to_index(positions)

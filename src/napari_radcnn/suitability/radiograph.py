"""A radiograph as it is looked at, upright and low values dark, shrunk to few pixels; and whether it shows a chest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import AxisMap, Geometry
from napari_radcnn.volume import Volume

#: Sides of the small picture, pixels.
SIDE = 28
#: What tells a frontal radiograph of a chest: made by `napari_radcnn.training.classifiers.frontal_chest`.
_FILE = "frontal-chest.npz"


@dataclass(frozen=True, eq=False)
class FrontalChest:
    """A small network that tells upright frontal radiographs of chests from other pictures.

    Attributes
    ----------
    layers : tuple of (weights, bias)
        ``(before, after)`` and ``(after,)`` arrays; between two layers negative values become 0. The last gives one
        number.
    low, high : float
        Numbers below which a picture is something else for sure, and above which it is one.
    """

    layers: tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]
    low: float
    high: float

    def score(self, small: npt.NDArray) -> float:
        """Return the number of a small picture `(28, 28)`; minus infinity for a constant one."""
        values = np.asarray(small, np.float64).ravel()
        if not np.isfinite(values).all() or values.std() == 0:
            return float("-inf")
        values = (values - values.mean()) / values.std()
        for number, (weights, bias) in enumerate(self.layers):
            values = (np.maximum(values, 0) if number else values) @ weights + bias
        return float(values[0])


@cache
def frontal_chest() -> FrontalChest:
    """Return what tells frontal radiographs of chests."""
    held = resources.files("napari_radcnn.suitability") / _FILE
    with resources.as_file(held) as path, np.load(path, allow_pickle=False) as stored:
        count = sum(name.startswith("weights") for name in stored.files)
        layers = [(stored[f"weights{n}"].astype(np.float32), stored[f"bias{n}"]) for n in range(count)]
        return FrontalChest(tuple(layers), float(stored["low"]), float(stored["high"]))


def small_picture(volume: Volume) -> npt.NDArray[np.float64]:
    """Return the middle square of a single picture, upright, `(28, 28)`: each pixel the mean of what lies under it.

    Raises
    ------
    GeometryError
        If there are several pictures, or it has fewer pixels.
    """
    picture = np.asarray(upright_map(volume.geometry).apply(volume.array)[0], np.float64)
    rows, columns = picture.shape
    side = min(rows, columns)
    if side < SIDE:
        raise GeometryError(f"'{volume.name}' has {rows} x {columns} pixels; {SIDE} x {SIDE} is the least.")
    top, left = (rows - side) // 2, (columns - side) // 2
    shrink = area_weights(side, SIDE)
    return shrink @ windowed(picture, volume)[top : top + side, left : left + side] @ shrink.T


def windowed(picture: npt.NDArray[np.float64], volume: Volume) -> npt.NDArray[np.float64]:
    """Return what a display would show: cut at the window the picture carries, low values dark."""
    about = volume.metadata
    if about.window_center is not None and about.window_width is not None and about.window_width > 0:
        half = about.window_width / 2
        cut = np.clip(picture, about.window_center - half, about.window_center + half)
        if cut.max() > cut.min():  # a window that shows nothing is somebody's mistake
            picture = cut
    return -picture if about.is_inverted else picture


def upright_map(geometry: Geometry) -> AxisMap:
    """Return how the one picture of a grid comes to stand upright, its thin axis first.

    Raises
    ------
    GeometryError
        If there are several pictures.
    """
    thin = [axis for axis, size in enumerate(geometry.shape) if size == 1]
    if len(thin) != 1:
        size = " x ".join(str(n) for n in geometry.shape)
        raise GeometryError(
            f"This model takes one radiograph, but the volume has {size} voxels: choose a picture of one slice."
        )
    letters = geometry.orientation
    if letters[thin[0]] in "AP":
        return geometry.axis_map(letters[thin[0]] + "IL")
    if letters[thin[0]] in "RL":
        return geometry.axis_map(letters[thin[0]] + "IP")
    # Without a known position the picture lies as if across the body: then it is stored as it is shown.
    others = [axis for axis in range(3) if axis != thin[0]]
    return AxisMap((thin[0], others[0], others[1]), (False, False, False))


def area_weights(many: int, few: int) -> npt.NDArray[np.float64]:
    """Return the matrix `(few, many)` that takes means of what lies under each of a few wide pixels."""
    edges = np.linspace(0, many, few + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(many)
    covered = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return covered / covered.sum(1, keepdims=True)

"""Changes that a scan may meet between two scanners: dose, kernel, thickness, rotation, noise, mirror images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.models.ct_denoise.noise import noise_level
from napari_radcnn.preprocessing import resample
from napari_radcnn.training.physics.low_dose import filtered, kernel
from napari_radcnn.volume import Volume

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

#: Air outside of a CT, HU.
AIR = -1024.0
#: Degrees by which a patient is turned around the long axis.
DEGREES = 5.0
#: mm of a Gaussian within slices: what a soft kernel takes, and a sharp one adds once more.
_SOFT_MM, _SHARP_MM = 1.0, 0.6
#: Of the scan's own dose, what is left; mm of thick slices of CT and MR.
_DOSE, _CT_THICK_MM, _MR_THICK_MM = 0.25, 5.0, (3.0, 5.0)
#: Of what the scan's brightest percent begins at: the spread of noise; and what a coil's sensitivity adds or takes.
_MR_NOISE, _BIAS = 0.05, 0.3
#: Half of the amplitude of CT noise is left at so many cycles a pixel, and how steeply it falls there.
_TEXTURE = (0.3, 2.5)


def _same(array: Array) -> Array:
    return array


def _stays(position: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return position


@dataclass(frozen=True, eq=False)
class Changed:
    """A scan after a change, and where its parts lay before.

    Attributes
    ----------
    title : str
        As in the card.
    scan : Volume
        Axes as before.
    reference : Volume
        What an image made of it should look like: the changed scan, too, unless the change is noise.
    back : callable
        Brings an array on its grid to the grid from before, nearest neighbors.
    position_back : callable
        Brings positions ``(..., 3)``, LPS mm, to where they were before.
    """

    title: str
    scan: Volume
    reference: Volume
    back: Callable[[Array], Array] = field(default=_same)
    position_back: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] = field(default=_stays)

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """The voxels of the grid from before that the changed scan shows."""
        return np.asarray(self.back(np.ones(self.scan.geometry.shape, np.uint8))) > 0


def ct_changes(scan: Volume) -> Iterator[Changed]:
    """Yield a CT after each change.

    Parameters
    ----------
    scan : Volume
        HU, axes towards S, P, L, or the other way along any of them.
    """
    hu = np.asarray(scan.array, np.float32)
    step = scan.geometry.spacing[1]
    noisy = scan.with_array(hu + _dose_noise(hu))
    yield Changed("noise of a quarter of the dose", noisy, scan)
    sharp = scan.with_array(2 * hu - ndimage.gaussian_filter(hu, (0, _SHARP_MM / step, _SHARP_MM / step)))
    yield Changed("sharper kernel", sharp, sharp)
    soft = scan.with_array(ndimage.gaussian_filter(hu, (0, _SOFT_MM / step, _SOFT_MM / step)))
    yield Changed("softer kernel", soft, soft)
    yield thick(scan, _CT_THICK_MM)
    yield turned(scan, AIR)
    yield mirrored(scan)


def mr_changes(scan: Volume) -> Iterator[Changed]:
    """Yield an MR after each change; what is exactly 0 was masked out and stays 0.

    Parameters
    ----------
    scan : Volume
        Axes towards S, then the others in any order and direction.
    """
    values = np.asarray(scan.array, np.float32)
    shown = values != 0
    level = _MR_NOISE * float(np.percentile(values[shown], 99))
    rng = np.random.default_rng(0)
    real, imaginary = (rng.normal(0, level, values.shape).astype(np.float32) for _ in range(2))
    magnitude = np.where(shown, np.hypot(values + real, imaginary), 0).astype(np.float32)
    yield Changed(f"noise of {_MR_NOISE:.0%}", scan.with_array(magnitude), scan)
    biased = scan.with_array(values * bias_field(values.shape))
    yield Changed(f"bright and dark by {_BIAS:.0%}, as near a coil", biased, biased)
    for size in _MR_THICK_MM:
        yield thick(scan, size)
    yield turned(scan, float(values.min()))
    yield mirrored(scan)


# -- the changes ----------------------------------------------------------------------------------------------------


def _dose_noise(hu: Floats) -> Floats:
    """Return what less dose adds: of the texture of a reconstruction, with as much variance as brings it to the dose.

    The scan's own noise is measured in its middle slice; scans without soft tissue there get none.
    """
    rng = np.random.default_rng(0)
    middle = hu[hu.shape[0] // 2]
    own = noise_level(middle)
    drawn = filtered(rng.standard_normal(hu.shape).astype(np.float32), kernel(hu.shape[1:], *_TEXTURE))
    drawn /= drawn.std()
    strengths = [own * f / 2 for f in range(1, 13)]
    shown = [noise_level(middle + s * drawn[hu.shape[0] // 2]) for s in strengths]
    strength = float(np.interp(own / np.sqrt(_DOSE), shown, strengths)) if own else 0.0
    return np.asarray(strength * drawn, np.float32)


def bias_field(shape: tuple[int, ...]) -> Floats:
    """Return a smooth field from ``1 - _BIAS`` to ``1 + _BIAS``: a straight slope, bent once."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    field_ = 0.5 * k + 0.8 * j + 0.6 * i - 0.5 * j * i
    low, high = float(field_.min()), float(field_.max())
    return np.asarray(1 - _BIAS + 2 * _BIAS * (field_ - low) / (high - low), np.float32)


def thick(scan: Volume, size: float) -> Changed:
    """Return a scan whose slices are averaged to about so many mm, at least two together."""
    geometry = scan.geometry
    count = max(2, round(size / geometry.spacing[0]))
    depth = geometry.shape[0] // count * count
    values = np.asarray(scan.array[:depth], np.float32).reshape(-1, count, *geometry.shape[1:]).mean(1)
    grid = geometry.cropped((slice(0, depth), slice(None), slice(None))).with_shape(values.shape)

    def back(array: Array) -> Array:
        whole = np.zeros(geometry.shape, array.dtype)
        whole[:depth] = np.repeat(array, count, 0)
        return whole

    made = Volume(values, grid, scan.metadata)
    return Changed(f"slices of {grid.spacing[0]:.2g} mm", made, made, back)


def turned(scan: Volume, outside: float, degrees: float = DEGREES) -> Changed:
    """Return a scan on a grid of the same shape, turned around its middle and the long axis of the patient."""
    geometry = scan.geometry
    angle = np.radians(degrees)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    middle = geometry.to_world((np.array(geometry.shape) - 1) / 2)
    rotation[:3, 3] = middle - rotation[:3, :3] @ middle
    grid = Geometry(geometry.shape, rotation @ geometry.affine)
    values = resample(np.asarray(scan.array, np.float32), geometry, grid, interpolation="linear", fill=outside)

    def back(array: Array) -> Array:
        return resample(array, grid, geometry, interpolation="nearest")

    made = Volume(values, grid, scan.metadata)
    return Changed(f"turned by {degrees:.0f} degrees", made, made, back)


def mirrored(scan: Volume) -> Changed:
    """Return a scan in which left and right of the patient are exchanged."""
    geometry = scan.geometry
    axis = next(n for n, letter in enumerate(geometry.orientation) if letter in "LR")
    made = scan.with_array(np.ascontiguousarray(np.flip(scan.array, axis)))

    def back(array: Array) -> Array:
        return np.flip(array, axis)

    def position_back(position: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        index = geometry.to_index(position)
        index[..., axis] = geometry.shape[axis] - 1 - index[..., axis]
        return geometry.to_world(index)

    return Changed("left and right exchanged", made, made, back, position_back)


# -- radiographs ------------------------------------------------------------------------------------------------------


def film_changes(pictures: npt.NDArray[np.uint8]) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield radiographs ``(n, rows, columns)`` after each change, with its title; 0 to 255."""
    gray = pictures.astype(np.float32)
    rng = np.random.default_rng(0)

    def kept(values: Array) -> npt.NDArray[np.uint8]:
        return np.rint(np.clip(values, 0, 255)).astype(np.uint8)

    yield "noise of 5% of the range", kept(gray + rng.normal(0, 0.05 * 255, gray.shape))
    yield "blurred by one pixel", kept(ndimage.gaussian_filter(gray, (0, 1, 1)))
    for degrees in (DEGREES, 15.0):
        turn = ndimage.rotate(gray, degrees, axes=(1, 2), reshape=False, order=1, mode="nearest")
        yield f"turned by {degrees:.0f} degrees", kept(turn)
    yield "half of the contrast", kept(64 + gray / 2)
    yield "gamma of 0.7", kept(255 * (gray / 255) ** 0.7)
    yield "moved by a tenth", _moved(pictures)
    yield "left and right exchanged", pictures[..., ::-1]
    yield "upside down", pictures[:, ::-1]
    yield "black and white exchanged, unsaid", np.uint8(255) - pictures


def _moved(pictures: npt.NDArray[np.uint8], share: float = 0.1) -> npt.NDArray[np.uint8]:
    """Return pictures moved down and to the left by a share of their sides; what leaves comes in at the other side."""
    fine = 10
    large = pictures.repeat(fine, 1).repeat(fine, 2)
    rows, columns = (round(share * fine * n) for n in pictures.shape[1:])
    large = np.roll(large, (rows, -columns), (1, 2)).astype(np.float32)
    n, height, width = pictures.shape
    return np.rint(large.reshape(n, height, fine, width, fine).mean((2, 4))).astype(np.uint8)

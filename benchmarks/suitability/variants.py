"""What is done to a scan to make a pair of it: cut, turned, flipped, scaled, resampled, and scans made from nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import disks, head, world_field
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume, VolumeMetadata

Change = Callable[[Volume], Volume]


def bare(volume: Volume) -> Volume:
    """Return a scan without anything that its header says, its values as they are shown."""
    if volume.metadata.is_inverted:
        volume = inverted(volume)
    return replace(volume, metadata=VolumeMetadata(name=volume.name), warnings=(), suvbw_factor=None)


def stated(modality: str) -> Change:
    """Return what makes a header say this modality."""
    return lambda volume: volume.with_metadata(modality=modality)


def middle(mm: float) -> Change:
    """Return what cuts a cube of `mm` out of the middle."""

    def cut(volume: Volume) -> Volume:
        box = []
        for count, spacing in zip(volume.geometry.shape, volume.geometry.spacing, strict=True):
            half = max(1, round(mm / spacing / 2))
            box.append(slice(max(0, count // 2 - half), min(count, count // 2 + half)))
        return _cropped(volume, box)

    return cut


def part(low: float, high: float, axis: str = "S") -> Change:
    """Return what keeps a part of the scan along an axis of the patient, 0 to 1 towards `axis`."""

    def cut(volume: Volume) -> Volume:
        letters = volume.geometry.orientation
        opposite = {"S": "I", "P": "A", "L": "R"}[axis]
        where = next(n for n, letter in enumerate(letters) if letter in (axis, opposite))
        first, last = (low, high) if letters[where] == axis else (1 - high, 1 - low)
        count = volume.geometry.shape[where]
        box = [slice(None)] * 3
        box[where] = slice(int(first * count), max(int(first * count) + 1, int(last * count)))
        return _cropped(volume, box)

    return cut


def _cropped(volume: Volume, box: list[slice]) -> Volume:
    box = [slice(*one.indices(count)) for one, count in zip(box, volume.geometry.shape, strict=True)]
    return volume.with_array(np.ascontiguousarray(volume.array[tuple(box)]), volume.geometry.cropped(box))


def reordered(volume: Volume) -> Volume:
    """Return the same scan, in the same place, with its axes in another order."""
    return volume.reoriented("RAI")


def flipped(direction: str) -> Change:
    """Return what turns the voxels round along an axis of the patient, without saying so."""

    def turn(volume: Volume) -> Volume:
        pair = next(p for p in ("SI", "PA", "LR") if direction in p)
        axis = next(n for n, letter in enumerate(volume.geometry.orientation) if letter in pair)
        return volume.with_array(np.ascontiguousarray(np.flip(volume.array, axis)))

    return turn


def on_its_side(volume: Volume) -> Volume:
    """Return the voxels with two axes exchanged, without saying so: left is where front was."""
    upright = volume.reoriented("SPL")
    array = np.ascontiguousarray(np.swapaxes(upright.array, 1, 2))
    spacing = upright.geometry.spacing
    geometry = Geometry.from_parts(array.shape, (spacing[0], spacing[2], spacing[1]), (0.0, 0.0, 0.0))
    return upright.with_array(array, geometry)


def lying(volume: Volume) -> Volume:
    """Return the voxels with the body's axis where front and back were, without saying so."""
    upright = volume.reoriented("SPL")
    array = np.ascontiguousarray(np.swapaxes(upright.array, 0, 1))
    spacing = upright.geometry.spacing
    geometry = Geometry.from_parts(array.shape, (spacing[1], spacing[0], spacing[2]), (0.0, 0.0, 0.0))
    return upright.with_array(array, geometry)


def scaled(factor: float, offset: float = 0.0) -> Change:
    """Return what scales all values."""
    return lambda volume: volume.with_array(np.asarray(volume.array, np.float32) * factor + offset)


def inverted(volume: Volume) -> Volume:
    """Return a scan whose bright is dark."""
    values = np.asarray(volume.array, np.float32)
    return volume.with_array(values.max() + values.min() - values)


def unsigned(volume: Volume) -> Volume:
    """Return a CT as it is stored before its rescaling."""
    return volume.with_array(np.clip(np.asarray(volume.array, np.float32) + 1024, 0, 4095).astype(np.uint16))


def standardized(volume: Volume) -> Volume:
    """Return a scan with mean 0 and standard deviation 1."""
    values = np.asarray(volume.array, np.float32)
    return volume.with_array((values - values.mean()) / values.std())


def windowed(low: float, high: float) -> Change:
    """Return what a picture of 8 bits keeps of a scan."""

    def shown(volume: Volume) -> Volume:
        values = (np.asarray(volume.array, np.float32) - low) / (high - low)
        return volume.with_array((np.clip(values, 0, 1) * 255).astype(np.uint8))

    return shown


def resampled(k: float, j: float, i: float) -> Change:
    """Return what brings a scan to other voxels, mm towards S, P and L."""

    def moved(volume: Volume) -> Volume:
        upright = volume.reoriented("SPL")
        grid = upright.geometry.with_spacing((k, j, i))
        array = np.asarray(upright.array, np.float32)
        return upright.with_array(
            resample(array, upright.geometry, grid, interpolation="linear", fill=float(array.min())), grid
        )

    return moved


def missing(share: float) -> Change:
    """Return what replaces a share of the voxels by NaN."""

    def holed(volume: Volume) -> Volume:
        values = np.array(volume.array, np.float32)
        values[: max(1, round(share * len(values)))] = np.nan
        return volume.with_array(values)

    return holed


def slice_of(orientation: str, at: float = 0.5) -> Change:
    """Return what takes one plane out of a scan, as a picture that stands alone; it lies across the first letter."""

    def taken(volume: Volume) -> Volume:
        turned = volume.reoriented(orientation)
        values = np.ascontiguousarray(turned.array[int(at * turned.shape[0])])[None]
        _, row, column = turned.geometry.spacing
        return Volume(values, Geometry.from_parts(values.shape, (1.0, row, column), (0.0, 0.0, 0.0)))

    return taken


def projected(orientation: str) -> Change:
    """Return what makes a radiograph of a CT: the rays run along the first letter."""

    def shone(volume: Volume) -> Volume:
        turned = volume.reoriented(orientation)
        depth, row, column = turned.geometry.spacing
        water = np.clip(np.asarray(turned.array, np.float32) / 1000 + 1, 0, None).sum(0) * depth * 0.02
        values = (4095 * (1 - np.exp(-water / 2))).astype(np.uint16)[None]
        return Volume(values, Geometry.from_parts(values.shape, (1.0, row, column), (0.0, 0.0, 0.0)))

    return shone


def _grid(shape: tuple[int, int, int] = (60, 160, 150), spacing: tuple[float, float, float] = (3.0, 1.5, 1.6)):  # type: ignore[no-untyped-def]
    return Geometry.from_parts(shape, spacing, (-10.0, 20.0, 30.0))


def made_up() -> Mapping[str, Callable[[], Volume]]:
    """Return scans that show no patient."""
    rng = np.random.default_rng(7)

    def volume(values: np.ndarray) -> Volume:
        return Volume(values, _grid(values.shape))

    def ball() -> Volume:
        z, y, x = np.indices((60, 120, 110))
        inside = ((z - 30) * 3) ** 2 + ((y - 60) * 1.5) ** 2 + ((x - 55) * 1.6) ** 2 < 70**2
        return volume(np.where(inside, 40, -1000).astype(np.int16))

    def blobs(shape: tuple[int, int, int]) -> np.ndarray:
        return ndimage.gaussian_filter(rng.normal(size=shape), (0 if shape[0] == 1 else 4, 8, 8))

    return {
        "noise-hu": lambda: volume(rng.normal(-300, 500, (60, 160, 150)).astype(np.int16)),
        "noise-unit": lambda: volume(rng.random((60, 160, 150)).astype(np.float32)),
        "noise-bytes": lambda: volume(rng.integers(0, 256, (40, 120, 130)).astype(np.uint8)),
        "noise-rician": lambda: volume(np.hypot(*rng.normal(0, 30, (2, 60, 160, 150))).astype(np.float32)),
        "gradient": lambda: world_field(_grid()),
        "gradient-hu": lambda: volume(np.linspace(-1000, 1000, 60 * 160 * 150).reshape(60, 160, 150)),
        "constant": lambda: volume(np.full((60, 160, 150), 37, np.int16)),
        "zeros": lambda: volume(np.zeros((60, 160, 150), np.float32)),
        "nothing": lambda: volume(np.full((60, 160, 150), np.nan, np.float32)),
        "blobs": lambda: volume(blobs((60, 160, 150)).astype(np.float32)),
        "checkers": lambda: volume((np.indices((60, 160, 150)) // 10).sum(0) % 2 * 1000.0),
        "ball-hu": ball,
        "head-phantom": lambda: bare(head()),
        "disk-phantom": lambda: bare(disks()[0]),
        "picture-noise": lambda: volume(rng.normal(100, 30, (1, 512, 512)).astype(np.float32)),
        "picture-noise-bytes": lambda: volume(rng.integers(0, 256, (1, 300, 280)).astype(np.uint8)),
        "picture-gradient": lambda: volume(np.linspace(0, 255, 400 * 380).reshape(1, 400, 380)),
        "picture-black": lambda: volume(np.zeros((1, 400, 380), np.uint8)),
        "picture-white-frame": lambda: volume(np.pad(np.full((1, 300, 300), 250.0), ((0, 0), (40, 40), (40, 40)))),
        "picture-blobs": lambda: volume(blobs((1, 400, 380)).astype(np.float32)),
        "picture-small-noise": lambda: volume(rng.normal(100, 30, (1, 28, 28)).astype(np.float32)),
        "two-slices": lambda: volume(blobs((2, 160, 150)).astype(np.float32)),
    }

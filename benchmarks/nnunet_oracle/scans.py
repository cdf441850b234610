"""Small synthetic scans with labels for nnU-Net: asymmetric, anisotropic, oblique, textured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage


@dataclass(frozen=True)
class Kind:
    """What the scans of a data set look like.

    Attributes
    ----------
    channels : tuple of tuple of float
        For each channel the value outside, in the body, and in each label.
    noise : tuple of float
        Standard deviation for each channel.
    shape, spacing : tuple
        Voxels and mm along (k, j, i), before each scan's own variation.
    oblique : bool
        Whether the scans are turned in the patient.
    """

    channels: tuple[tuple[float, ...], ...]
    noise: tuple[float, ...]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    oblique: bool = True


#: Centers and radii of body and labels, as fractions of the field of view; later ones lie over earlier ones.
_BODY = ((0.5, 0.5, 0.48), (0.47, 0.40, 0.36))
_PARTS = (
    ((0.52, 0.46, 0.36), (0.30, 0.20, 0.15)),
    ((0.45, 0.42, 0.62), (0.22, 0.15, 0.11)),
    ((0.60, 0.66, 0.55), (0.25, 0.09, 0.14)),
)


def draw(kind: Kind, seed: int) -> tuple[list[sitk.Image], sitk.Image]:
    """Return the channels and the labels of one scan."""
    random = np.random.default_rng(seed)
    shape = tuple(int(n * random.uniform(0.85, 1.15)) for n in kind.shape)
    spacing = tuple(float(s * random.uniform(0.9, 1.12)) for s in kind.spacing)
    grid = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape), indexing="ij"))
    wave = np.stack([_smooth(random, shape, 0.18) * 0.03 for _ in range(3)])
    labels = np.zeros(shape, np.uint8)
    body = _inside(grid + wave, *_BODY)
    for value, (center, radii) in enumerate(_PARTS[: len(kind.channels[0]) - 2], 1):
        moved = np.array(center) + random.uniform(-0.03, 0.03, 3)
        labels[_inside(grid + wave, moved, np.array(radii) * random.uniform(0.85, 1.15, 3))] = value
    labels[~body] = 0
    images = []
    for values, noise in zip(kind.channels, kind.noise, strict=True):
        table = np.array(values, np.float32)
        image = np.where(body, table[1:][labels], table[0]).astype(np.float32)
        texture = _smooth(random, shape, 0.05) * noise + random.normal(0, noise, shape)
        image = image + (texture if values[0] != 0 else np.where(body, texture, 0))
        if values[0] == 0:  # as after skull stripping: exactly zero outside, never zero inside
            image = np.where(body, np.maximum(image, 1), 0)
        images.append(np.rint(image).astype(np.int16))
    place = _placed(random, spacing, kind.oblique)
    return [place(image) for image in images], place(labels)


def write(kind: Kind, folder: Path, name: str, seed: int, labels: Path) -> None:
    """Write the channels of a scan the way nnU-Net names them, and its labels."""
    folder.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    images, truth = draw(kind, seed)
    for number, image in enumerate(images):
        sitk.WriteImage(image, str(folder / f"{name}_{number:04d}.nii.gz"), True)
    sitk.WriteImage(truth, str(labels / f"{name}.nii.gz"), True)


def _inside(
    grid: np.ndarray, center: tuple[float, ...] | np.ndarray, radii: tuple[float, ...] | np.ndarray
) -> np.ndarray:
    offset = grid - np.reshape(center, (3, 1, 1, 1))
    return ((offset / np.reshape(radii, (3, 1, 1, 1))) ** 2).sum(0) <= 1


def _smooth(random: np.random.Generator, shape: tuple[int, ...], width: float) -> np.ndarray:
    field = ndimage.gaussian_filter(random.normal(size=shape), [width * n for n in shape], mode="nearest")
    return field / field.std()


def _placed(random: np.random.Generator, spacing: tuple[float, ...], oblique: bool):
    angles = np.radians(random.uniform(-12, 12, 3)) if oblique else np.zeros(3)
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        one = np.eye(3)
        one[a, a], one[a, b], one[b, a], one[b, b] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = one @ turn
    direction = turn @ np.diag([-1.0, 1.0, 1.0]) if random.random() < 0.5 else turn
    origin = random.uniform(-80, 80, 3)

    def place(array: np.ndarray) -> sitk.Image:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([round(s, 4) for s in spacing[::-1]])
        image.SetDirection(direction.ravel().tolist())
        image.SetOrigin(origin.tolist())
        return image

    return place

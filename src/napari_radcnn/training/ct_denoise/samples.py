"""Samples for `ct-denoise`: scans as they are, and noise of a lower dose to be taken off them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.models.ct_denoise.network import CENTER, SLICES, UNIT
from napari_radcnn.models.ct_denoise.noise import TISSUE, fine_detail, spread
from napari_radcnn.training.physics.low_dose import filtered, kernel, noise

Floats = npt.NDArray[np.float32]

#: Volumes, and the file of single slices of which the first are learned from; the others are for validation and test.
VOLUMES = (
    "ct_chest_thin/ct_hu.nii.gz",
    "ct_totalsegmentator/aorta_cta/ct_cropped.nii.gz",
    "ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz",
)
SINGLE = "ct_slices/covid_ny_sbu_slices.npz"
TRAIN, VALIDATE, TEST = slice(0, 36), slice(36, 42), slice(42, 58)
#: How likely a sample is of the first volume, of the other volumes, of the single slices, of drawn shapes.
_SHARES = (0.37, 0.08, 0.25, 0.3)
#: How likely drawn shapes have pairs of lines and small faint disks among them.
_FINE = 0.7
#: How likely noise is white, as resampling or a phantom of others makes it.
_WHITE = 0.15
#: Pixels that the filters of a kernel spoil at each border.
_MARGIN = 8
_AIR, _BONE = -1024.0, 3071.0
#: Of the body what counts in full, and how much the rest counts.
_COUNTS, _REST = (-200.0, 300.0), 0.25


@dataclass(frozen=True, eq=False)
class Sample:
    """What is learned from.

    Attributes
    ----------
    channels : (6, j, i) array of float32
        As the network takes them.
    noise : (1, j, i) array of float32
        What it shall answer.
    weight : (1, j, i) array of float32
        How much each pixel counts; the noise's variance is divided out.
    """

    channels: Floats
    noise: Floats
    weight: Floats


def names() -> list[str]:
    """Return the names of the scans that are learned from."""
    return [*VOLUMES, f"{SINGLE}, slices {TRAIN.start} to {TRAIN.stop - 1}"]


def load_scans(data: Path) -> tuple[list[npt.NDArray[np.int16]], list[float]]:
    """Return the scans in (k, j, i) and their pixel spacing in mm: the volumes, then the single slices for training.

    Raises
    ------
    ReadError
        If one is missing.
    """
    import nibabel

    scans: list[npt.NDArray[np.int16]] = []
    spacings: list[float] = []
    for name in VOLUMES:
        if not (data / name).is_file():
            raise ReadError(f"{data / name} is missing: --data must name the folder that contains {name}.")
        image = nibabel.load(data / name)
        scans.append(np.ascontiguousarray(np.asarray(image.dataobj).T).clip(_AIR, _BONE).astype(np.int16))  # type: ignore[attr-defined]
        spacings.append(float(image.header.get_zooms()[0]))  # type: ignore[attr-defined]
    slices, theirs = load_single(data)
    return [*scans, *slices[TRAIN, None]], [*spacings, *theirs[TRAIN]]


def load_single(data: Path) -> tuple[npt.NDArray[np.int16], list[float]]:
    """Return all single slices and their pixel spacing in mm.

    Raises
    ------
    ReadError
        If the file is missing.
    """
    if not (data / SINGLE).is_file():
        raise ReadError(f"{data / SINGLE} is missing: --data must name the folder that contains {SINGLE}.")
    with np.load(data / SINGLE, allow_pickle=False) as file:
        slices, spacings = file["hu"], file["pixel_spacing_mm"]
    return slices.clip(_AIR, _BONE).astype(np.int16), [float(value) for value in spacings[:, 0]]


def make_bank(
    scans: Sequence[npt.NDArray[np.int16]], spacings: Sequence[float], slices: int, rng: np.random.Generator
) -> npt.NDArray[np.float16]:
    """Return noise of the bare ramp, five images a slice: of a thick scan's slices and of single ones in turn.

    Returns
    -------
    (slices, 5, 512, 512) array of float16
        With a spread of about 1.
    """
    bank = np.empty((slices, SLICES, 512, 512), np.float16)
    for n in range(slices):
        is_single = n % 2 == 1 and len(scans) > len(VOLUMES)
        chosen = int(rng.integers(len(VOLUMES), len(scans))) if is_single else 0
        scan = scans[chosen]
        hu = np.full((512, 512), _AIR)
        part = scan[int(rng.integers(len(scan)))][:512, :512]
        hu[: part.shape[0], : part.shape[1]] = part
        # thin and thick patients: the more a ray loses, the more the noise is made of streaks
        drawn = noise(hu, spacings[chosen] * rng.uniform(0.8, 1.2), SLICES, rng, photons=10 ** rng.uniform(4.5, 5.5))
        bank[n] = drawn / drawn.std()
    return bank


class Sampler:
    """Draws samples.

    Parameters
    ----------
    scans : sequence of (k, j, i) array
        As of `load_scans`.
    bank : (slices, 5, 512, 512) array
        As of `make_bank`.
    size : int
        Pixels along a side of a sample.
    rng : numpy.random.Generator
        Source of randomness.
    """

    def __init__(
        self,
        scans: Sequence[npt.NDArray[np.int16]],
        bank: npt.NDArray[np.float16],
        size: int,
        rng: np.random.Generator,
    ) -> None:
        self._scans, self._bank, self._size, self._rng = scans, bank, size, rng

    def draw(self) -> Sample:
        """Return one sample."""
        rng, size = self._rng, self._size
        cutoff, order = rng.uniform(0.2, 0.5), rng.uniform(2.0, 4.0)
        shape = (size + 2 * _MARGIN, size + 2 * _MARGIN)
        inner = slice(_MARGIN, -_MARGIN)
        group = int(rng.choice(4, p=_SHARES))
        is_drawn = group == 3
        slab, is_single = self._shapes() if is_drawn else self._slab(group)
        if rng.random() < (0.3 if is_drawn else 0.6):  # as a softer kernel would have made it, with less noise
            slab = filtered(slab, kernel(shape, cutoff * rng.uniform(0.9, 1.6), order))
        if rng.random() < _WHITE:
            added = self._white(shape, is_single)
        else:
            added = filtered(self._noise(shape, is_single), kernel(shape, cutoff, order))
        slab, added = slab[:, inner, inner], added[:, inner, inner]
        added, own = self._scaled(slab, added)
        noisy = slab + added
        level = np.hypot(own, spread(fine_detail(added))) * rng.lognormal(0, 0.1)
        # The network shall find all of the noise, of which only what was added is known: given both, that part is
        # on average the whole times its share of the variance.
        share = max(0.7, 1 - (own / max(level, 1e-3)) ** 2)
        middle = SLICES // 2
        target = added[middle] / share
        tissue = (slab[middle] > _COUNTS[0]) & (slab[middle] < _COUNTS[1])
        weight = np.where(tissue, 1, _REST) / max(float(added[middle].var()), 1.0)
        channels = np.concatenate([(noisy - CENTER) / UNIT, np.full((1, size, size), level / UNIT)])
        turned = _turned(np.concatenate([channels, target[None], weight[None]]).astype(np.float32), rng)
        self._lose_neighbors(turned[:SLICES], is_single)
        return Sample(turned[: SLICES + 1], turned[SLICES + 1 : SLICES + 2] / UNIT, turned[SLICES + 2 :] * UNIT**2)

    def _shapes(self) -> tuple[Floats, bool]:
        """Return five slices of ellipses and half-planes with sharp edges, which move a little from slice to slice.

        Scans have no edge that is sharp to the pixel, few faint disks, and no lines side by side: all shall stay.
        """
        rng, size = self._rng, self._size + 2 * _MARGIN
        j, i = np.indices((size, size), np.float32)
        slab = np.full((SLICES, size, size), rng.uniform(-120, 120), np.float32)
        drift = np.arange(SLICES)[:, None, None] - SLICES // 2
        for _ in range(int(rng.integers(3, 14))):
            angle, (row, column) = rng.uniform(0, 2 * np.pi), rng.uniform(0, size, 2)
            row, column = row + drift * rng.normal(0, 0.7), column + drift * rng.normal(0, 0.7)
            along = (i - column) * np.cos(angle) + (j - row) * np.sin(angle)
            across = (j - row) * np.cos(angle) - (i - column) * np.sin(angle)
            long = 10 ** rng.uniform(0.2, 1.6)
            inside = np.hypot(along / long, across / (long * rng.uniform(0.3, 1))) < 1
            inside = inside if rng.random() < 0.85 else along > 0
            if rng.random() < 0.1:
                slab[inside] = rng.choice((-1000.0, -850.0, 1000.0))
            else:
                slab[inside] += rng.choice((-1, 1)) * 10 ** rng.uniform(0.7, 2.6)
        if rng.random() < _FINE:
            for _ in range(int(rng.integers(1, 5))):
                self._put_lines(slab, drift)
            for _ in range(int(rng.integers(0, 8))):
                self._put_disk(slab, drift)
        is_single = rng.random() < 0.5
        slab = slab.clip(_AIR, _BONE)
        return (np.repeat(slab[:1], SLICES, 0) if is_single else slab), is_single

    def _put_lines(self, slab: Floats, drift: npt.NDArray[np.int_]) -> None:
        """Put a field of parallel lines into slices, in place: 3 to 12 pixels from line to line, sharp or soft."""
        rng, size = self._rng, slab.shape[-1]
        j, i = np.indices((size, size), np.float32)
        angle = float(rng.choice((0, np.pi / 2))) if rng.random() < 0.3 else rng.uniform(0, np.pi)
        row, column = rng.uniform(0, size, 2)
        shift = drift * rng.choice((0.0, rng.normal(0, 0.5)))
        along = (i - column - shift) * np.cos(angle) + (j - row) * np.sin(angle)
        across = (j - row) * np.cos(angle) - (i - column - shift) * np.sin(angle)
        period, phase = 10 ** rng.uniform(np.log10(3), np.log10(12)), rng.uniform(0, 2 * np.pi)
        wave = np.cos(2 * np.pi * along / period + phase)
        if rng.random() < 0.6:
            wave = np.sign(wave)
        inside = (np.abs(along) < rng.uniform(4, 22)) & (np.abs(across) < rng.uniform(4, 22))
        slab += np.float32(10 ** rng.uniform(0.9, 2.3)) * wave.astype(np.float32) * inside

    def _put_disk(self, slab: Floats, drift: npt.NDArray[np.int_]) -> None:
        """Put a disk of 3 to 10 pixels and 5 to 60 HU into slices, in place."""
        rng, size = self._rng, slab.shape[-1]
        j, i = np.indices((size, size), np.float32)
        (row, column), shift = rng.uniform(0, size, 2), drift * rng.normal(0, 0.3)
        inside = np.hypot(i - column - shift, j - row) < rng.uniform(1.5, 5)
        slab[inside] += np.float32(rng.choice((-1, 1)) * 10 ** rng.uniform(0.7, 1.8))

    def _white(self, shape: tuple[int, int], is_single: bool) -> Floats:
        drawn = self._rng.standard_normal((1 if is_single else SLICES, *shape), np.float32)
        return np.repeat(drawn, SLICES, 0) if is_single else drawn

    def _slab(self, group: int) -> tuple[Floats, bool]:
        """Return five neighboring slices with a margin, and whether they are one and the same."""
        rng, size = self._rng, self._size + 2 * _MARGIN
        first, last = ((0, 1), (1, len(VOLUMES)), (len(VOLUMES), len(self._scans)))[group]
        scan = self._scans[int(rng.integers(first, last))]
        for _ in range(8):  # air is no lesson
            rows = int(rng.integers(scan.shape[1] - size + 1)) if scan.shape[1] > size else 0
            columns = int(rng.integers(scan.shape[2] - size + 1)) if scan.shape[2] > size else 0
            k = int(rng.integers(len(scan)))
            if (scan[k, rows : rows + size, columns : columns + size] > -300).mean() > 0.4:
                break
        part = scan[:, rows : rows + size, columns : columns + size]
        if len(scan) == 1:
            slab = np.repeat(part, SLICES, 0).astype(np.float32)
        else:
            thick = int(rng.choice((1, 1, 2, 3, 5)))
            step = max(1, thick - int(rng.integers(2)) * (thick // 2))  # some scans overlap
            middles = k + step * (np.arange(SLICES) - SLICES // 2)
            at = (middles[:, None] + np.arange(thick) - thick // 2).clip(0, len(scan) - 1)
            slab = part[at].astype(np.float32).mean(1)
        if slab.shape[1:] != (size, size):
            short = (size - slab.shape[1], size - slab.shape[2])
            slab = np.pad(slab, ((0, 0), (0, short[0]), (0, short[1])), mode="reflect")
        return slab, len(scan) == 1

    def _noise(self, shape: tuple[int, int], is_single: bool) -> Floats:
        rng = self._rng
        images = self._bank[int(rng.integers(len(self._bank)))]
        row, column = (int(rng.integers(40, 512 - 40 - n + 1)) for n in shape)
        drawn = images[:, row : row + shape[0], column : column + shape[1]].astype(np.float32)
        drawn = drawn[rng.permutation(SLICES)]
        if is_single:
            return np.repeat(drawn[:1], SLICES, 0)
        if rng.random() < 0.3:  # overlapping slices share some of their noise
            shared = rng.uniform(0, 0.5)
            drawn += shared * (np.roll(drawn, 1, 0) + np.roll(drawn, -1, 0))
        return _turned(drawn, rng)

    def _scaled(self, slab: Floats, added: Floats) -> tuple[Floats, float]:
        """Return the noise as strong as a random dose makes it, and the level of the scan's own."""
        rng = self._rng
        middle = slab[SLICES // 2]
        inside = (middle > TISSUE[0]) & (middle < TISSUE[1])
        own = spread(fine_detail(middle)[inside[2:-2, 2:-2]])
        dose = 10 ** rng.uniform(np.log10(0.06), np.log10(0.45))
        wanted = max(own, rng.uniform(2, 12)) * np.sqrt(1 / dose - 1)
        found = spread(fine_detail(added))
        # soft kernels leave so little fine detail that the rest would be without bounds
        factor = min(wanted / max(found, 1e-3), 90 / max(float(added.std()), 1e-3))
        return added * np.float32(factor), min(own, factor * found)

    def _lose_neighbors(self, slices: Floats, is_single: bool) -> None:
        """Put the nearest slice in the place of those that are missing."""
        middle = SLICES // 2
        chance = self._rng.random()
        if is_single or chance < 0.25:
            slices[:] = slices[middle]
        elif chance < 0.4:
            kept = middle + int(self._rng.integers(2))
            slices[kept:] = slices[kept]
            if self._rng.random() < 0.5:
                slices[:] = slices[::-1].copy()


def _turned(images: Floats, rng: np.random.Generator) -> Floats:
    """Return square images turned and mirrored at random, all alike."""
    turned = np.rot90(images, int(rng.integers(4)), (1, 2))
    return np.ascontiguousarray(turned[:, ::-1] if rng.random() < 0.5 else turned)

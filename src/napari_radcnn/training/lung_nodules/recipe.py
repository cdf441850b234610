"""How `lung-nodules` was made: drawn nodules are put into scans of real lungs, and two networks look for them.

The finder learns to point at their centers; the second network learns to tell them from what the finder takes for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.lung_nodules.network import (
    FOLD,
    MULTIPLE,
    OUTSIDE,
    SIDE,
    SPACING,
    build_finder,
    build_second,
)
from napari_radcnn.models.lung_nodules.places import Places, cubes, find_places, fold, in_lung, shown
from napari_radcnn.training.lung_nodules.lessons import Lesson, judge, make_lesson, mirrored
from napari_radcnn.training.lung_nodules.samples import Nodule, Sample, Sampler
from napari_radcnn.training.lung_nodules.scans import AROUND_LUNG, NOWHERE, SCANS, STEP, Chest, load_chests
from napari_radcnn.training.run import Schedule, Training, mixed_precision

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]

#: Places this near to the surface of a cube (voxels) are not shown to the second network: too much is missing there.
_RIM = 8
#: Cubes that the scores are fitted to, and false findings a scan that was learned from at a score of 0.5.
_CALIBRATION_CUBES, _FALSE_A_SCAN = 200, 1.0


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    size : int
        Voxels along a side of the cube.
    batch : int
        Cubes a step of the finder: half are new, the others were shown before and are mirrored.
    kept : int
        Cubes that are kept to be shown again.
    finder : float
        Share of the time that the finder gets; the second network gets the rest.
    second_size : int
        Voxels along a side of the cubes that the second network's places lie in.
    places : int
        Places a cube that the second network is shown.
    looks : int
        Places a step of the second network.
    """

    minutes: float = 70.0
    rate: float = 2e-3
    average: float = 0.998
    size: int = 64
    batch: int = 4
    kept: int = 80
    finder: float = 0.625
    second_size: int = 80
    places: int = 24
    looks: int = 32


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train both networks, going on from the checkpoints in `out`, and return the finder's file of weights.

    Weights to begin with, and what is frozen, are the finder's; the second network begins with the file of its own that
    lies beside them, or anew.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.lung_nodules.scans`.
    out : Path
        Folder for the finder's checkpoint, ``log.csv`` and both networks' weights; the second network's checkpoint and
        log lie in ``second`` there.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    chests = load_chests(data)
    finder = _Finder(out, replace(recipe, minutes=recipe.minutes * recipe.finder))
    if finder.share < 1:
        _teach_finder(finder, Sampler(chests, recipe.size, recipe.seed + finder.steps), recipe)
    own = replace(
        recipe, minutes=recipe.minutes * (1 - recipe.finder), init_from=_second_beside(recipe.init_from), frozen=()
    )
    second = _Second(build_second, out / "second", own)
    sampler = Sampler(chests, recipe.second_size, recipe.seed + finder.steps + second.steps)
    if second.share < 1:
        _teach_second(second, finder, sampler, recipe)
    names = list(SCANS)
    # not the folders of whoever trained it
    whole = asdict(recipe) | ({"init_from": Path(recipe.init_from).name} if recipe.init_from else {})
    for path in _files(second.write("lung-nodules-second", names, recipe=whole)):
        path.replace(out / path.name)
    calibration = _calibrate(finder, second, sampler, chests, recipe)
    return finder.write("lung-nodules", names, recipe=whole, second_steps=second.steps, calibration=calibration)


def _second_beside(init_from: str) -> str:
    """Return the second network's weights beside the finder's, or nothing."""
    if not init_from:
        return ""
    path = Path(init_from).with_name("lung-nodules-second.safetensors")
    return str(path) if path.is_file() else ""


def _files(weights: Path) -> list[Path]:
    return [weights, weights.with_suffix(".json")]


# -- the finder -------------------------------------------------------------------------------------------------------


class _Finder(Training):
    """A training of the finder."""

    def __init__(self, out: Path, schedule: Schedule) -> None:
        super().__init__(build_finder, out, schedule)
        import torch

        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def fit(self, lessons: Sequence[Lesson]) -> None:
        """Learn from a batch."""
        import torch

        cells, peaks, weight, places = (
            torch.from_numpy(np.stack([getattr(lesson, name) for lesson in lessons]))
            for name in ("cells", "peaks", "weight", "places")
        )
        with mixed_precision():
            answer = self.network(cells.contiguous(memory_format=torch.channels_last_3d))
        loss, figures = _loss(answer.float(), peaks, weight, places)
        self.learn(loss, **figures)

    def places_of(self, sample: Sample, most: int) -> tuple[Floats, Places]:
        """Return a cube as networks see it, and where the running average of the weights sees nodules."""
        import torch

        voxels = shown(sample.hu)
        with torch.inference_mode(), mixed_precision():
            answer = self.average(torch.from_numpy(fold(voxels))[None])[0].float().numpy()
        return voxels, in_lung(voxels, find_places(answer, fold(sample.depth).max(0) > AROUND_LUNG, most))


def _teach_finder(finder: _Finder, sampler: Sampler, recipe: Recipe) -> None:
    rng = np.random.default_rng(recipe.seed + finder.steps)
    lessons: list[Lesson] = []
    finder.begin()
    while finder.share < 1:
        new = [make_lesson(sampler.draw()) for _ in range(max(1, recipe.batch // 2))]
        lessons = [*lessons, *new][-recipe.kept :]
        again = rng.integers(len(lessons), size=recipe.batch - len(new))
        finder.fit([*new, *(mirrored(rng, lessons[number]) for number in again)])
        finder.keep()
    finder.keep(now=True)


def _loss(
    answer: torch.Tensor, peaks: torch.Tensor, weight: torch.Tensor, places: torch.Tensor
) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the focal loss of the peaks (Law and Deng 2018, CornerNet) plus that of places and sizes near them."""
    import torch

    logits = answer[:, 0]
    share = torch.sigmoid(logits)
    is_center = (peaks == 1) & (weight > 0)
    hits = -torch.nn.functional.logsigmoid(logits) * (1 - share).square()
    misses = -torch.nn.functional.logsigmoid(-logits) * share.square() * (1 - peaks).pow(4) * weight
    count = is_center.sum().clamp(min=1)
    focal = (hits[is_center].sum() + misses[~is_center].sum()) / count
    near = ((peaks > 0.5) & (weight > 0)).float() * peaks
    away = (answer[:, 1:] - places).abs() * near[:, None]
    off = away.sum() / (4 * near.sum()).clamp(min=1)
    figures = {
        "focal": float(focal.detach()),
        "off": float(off.detach()),
        "found": float(share[is_center].detach().sum() / count),
        "false": float((share * weight * (peaks < 0.05)).detach().amax((1, 2, 3)).mean()),
    }
    return focal + off, figures


# -- the second network -----------------------------------------------------------------------------------------------


class _Second(Training):
    """A training of the second network."""

    def fit(self, batch: Floats, is_nodule: npt.NDArray[np.bool_]) -> None:
        """Learn from a batch of cubes."""
        import torch

        target = torch.from_numpy(is_nodule.astype(np.float32))
        with mixed_precision():
            logits = self.network(torch.from_numpy(batch).contiguous(memory_format=torch.channels_last_3d))
        logits = logits.float()[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        right = ((logits > 0) == (target > 0.5)).float()
        self.learn(loss, right=float(right.mean()))

    def logits_of(self, voxels: Floats, centers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return what the running average of the weights says of places."""
        import torch

        with torch.inference_mode(), mixed_precision():
            found = [self.average(torch.from_numpy(cubes(voxels, center[None]))).float()[0, 0] for center in centers]
        return np.array(found, float)


class _Bank:
    """Places that were seen before: nodules and others, half of each in a batch."""

    def __init__(self, rng: np.random.Generator, most: int = 1500) -> None:
        self._rng, self._most = rng, most
        self._kept: tuple[list[Floats], list[Floats]] = ([], [])

    def add(self, cubes: Floats, kinds: npt.NDArray[np.int_]) -> None:
        """Keep cubes whose kind is known, the newest of them."""
        for cube, kind in zip(cubes, kinds, strict=True):
            if kind >= 0:
                self._kept[kind].append(cube.astype(np.float16))
                del self._kept[kind][: -self._most]

    @property
    def is_filled(self) -> bool:
        """Whether there are some of both kinds."""
        return min(map(len, self._kept)) >= 8

    def take(self, count: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return cubes, turned and mirrored, and which of them are nodules."""
        seen = np.empty((count, 2, SIDE, SIDE, SIDE), np.float32)
        is_nodule = np.arange(count) % 2 == 0
        for number, kind in enumerate(is_nodule):
            among = self._kept[int(kind)]
            cube = among[int(self._rng.integers(len(among)))].transpose(0, *(1 + self._rng.permutation(3)))
            seen[number] = np.flip(cube, tuple(axis + 1 for axis in range(3) if self._rng.random() < 0.5))
        return seen, is_nodule


def _teach_second(second: _Second, finder: _Finder, sampler: Sampler, recipe: Recipe) -> None:
    rng = np.random.default_rng(recipe.seed + 7 + second.steps)
    bank = _Bank(rng)

    def look() -> None:
        sample = sampler.draw()
        voxels, places = finder.places_of(sample, recipe.places)
        centers = np.concatenate([places.centers, _beside(rng, sample.nodules)])
        centers = centers[np.all((centers > _RIM) & (centers < recipe.second_size - 1 - _RIM), 1)]
        bank.add(cubes(voxels, centers + rng.uniform(-0.7, 0.7, centers.shape)), judge(centers, sample.nodules))

    while not bank.is_filled:
        look()
    second.begin()
    while second.share < 1:
        look()
        for _ in range(2):
            second.fit(*bank.take(recipe.looks))
        second.keep()
    second.keep(now=True)


def _beside(rng: np.random.Generator, nodules: Sequence[Nodule]) -> npt.NDArray[np.float64]:
    """Return places within the nodules, not quite in their middle."""
    found = [nodule.center + rng.uniform(-0.25, 0.25, 3) * nodule.diameter / SPACING for nodule in nodules]
    return np.asarray(found, float).reshape(-1, 3)


# -- scores -----------------------------------------------------------------------------------------------------------


def _calibrate(
    finder: _Finder, second: _Second, sampler: Sampler, chests: Sequence[Chest], recipe: Recipe
) -> dict[str, float]:
    """Return what both logits count (a logistic regression on cubes), shifted to a number of false findings a scan."""
    logits, kinds = [np.zeros((0, 2))], [np.zeros(0, int)]
    for _ in range(_CALIBRATION_CUBES):
        sample = sampler.draw()
        told, places = _both_logits(finder, second, sample, recipe.places)
        logits.append(told)
        kinds.append(judge(places.centers, sample.nodules))
    known = np.concatenate(kinds) >= 0
    first, last = fit_logistic(np.concatenate(logits)[known], np.concatenate(kinds)[known] == 1)
    false = [_both_logits(finder, second, whole_chest(chest), 100)[0] @ (first, last) for chest in chests]
    ranked = np.sort(np.concatenate(false))[::-1]
    allowed = round(_FALSE_A_SCAN * len(chests))
    shift = -float(ranked[allowed - 1 : allowed + 1].mean()) if len(ranked) > allowed else 0.0
    return {"finder": round(first, 4), "second": round(last, 4), "shift": round(shift, 4)}


def _both_logits(finder: _Finder, second: _Second, sample: Sample, most: int) -> tuple[npt.NDArray[np.float64], Places]:
    voxels, places = finder.places_of(sample, most)
    return np.stack([places.logits, second.logits_of(voxels, places.centers)], 1), places


def fit_logistic(logits: npt.NDArray[np.float64], is_true: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return by how much two logits count, neither below 0.05, so that their sum and a constant say what is true."""
    from scipy.optimize import minimize

    def loss(weights: npt.NDArray[np.float64]) -> float:
        total = logits @ weights[:2] + weights[2]
        return float(np.mean(np.logaddexp(0, np.where(is_true, -total, total))) + 1e-3 * np.sum(weights[:2] ** 2))

    found = minimize(loss, (0.5, 0.5, 0.0), bounds=[(0.05, 3), (0.05, 3), (None, None)], method="L-BFGS-B").x
    return float(found[0]), float(found[1])


def whole_chest(chest: Chest) -> Sample:
    """Return a whole scan as one sample without nodules."""
    from scipy import ndimage

    sides = 2 * FOLD * MULTIPLE
    hu, depth = (ndimage.zoom(values, STEP / SPACING, order=1) for values in (chest.hu, chest.depth))
    missing = [(0, -n % sides) for n in hu.shape]
    padded = np.pad(hu, missing, constant_values=OUTSIDE), np.pad(depth, missing, constant_values=NOWHERE)
    return Sample(*padded, ())

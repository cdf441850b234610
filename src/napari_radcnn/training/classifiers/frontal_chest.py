"""What tells frontal radiographs of chests: ``python -m napari_radcnn.training.classifiers.frontal_chest DATA OUT``.

A small network learns to tell the training pictures of `cxr-pneumonia`, moved and lit a little otherwise, from the same
pictures turned, inverted, cut or mixed up, from slices of CT, and from drawings of nothing. Its limits are set with
pictures that were kept out.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.suitability.radiograph import SIDE, FrontalChest, area_weights
from napari_radcnn.training.classifiers.cxr_pneumonia import FILE
from napari_radcnn.training.classifiers.learn import find_file, load_split

Pictures = npt.NDArray[np.float32]

#: Slices of CT that other pictures are made from; every seventh is left to those who test.
SLICES = "ct_slices/covid_ny_sbu_slices.npz"
_WIDTHS, _STEPS, _BATCH = (96, 32), 3000, 256
#: Pictures of either sort that are made at once, and steps until others are made.
_POOL, _RENEWED = 6000, 750
#: Of kept-out pictures: the share below the upper limit, and how far the lower one lies below their worst thousandth.
_BELOW, _MARGIN = 0.006, 3.0


def views(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    """Return pictures `(n, 28, 28)` as other machines would have taken them: moved, turned a little, lit otherwise."""
    made = np.empty_like(pictures)
    for number, one in enumerate(pictures):
        angle, zoom = np.deg2rad(rng.normal(0, 4)), rng.uniform(0.85, 1.12)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * zoom
        turn[rng.integers(2)] *= rng.uniform(0.85, 1.15)
        middle = (SIDE - 1) / 2
        offset = middle - turn @ np.full(2, middle) + rng.uniform(-2, 2, 2)
        moved = ndimage.affine_transform(one, turn, offset, order=1, mode=("nearest", "constant")[rng.integers(2)])
        span = max(1e-6, float(moved.max() - moved.min()))
        lit = ((moved - moved.min()) / span) ** rng.uniform(0.6, 1.7)
        made[number] = lit + rng.normal(0, rng.uniform(0, 0.04), lit.shape)
    return made


def others(pictures: Pictures, slices: Pictures, rng: np.random.Generator) -> Pictures:
    """Return as many pictures of something else, some of them made of `pictures`, some of slices of CT `(m, r, c)`."""
    return np.stack([_OTHERS[rng.integers(len(_OTHERS))](one, slices, rng) for one in pictures]).astype(np.float32)


def _turned(one: Pictures, _: Pictures, rng: np.random.Generator) -> Pictures:
    return np.rot90(one, int(rng.integers(1, 4))) if rng.random() < 0.7 else one[::-1]


def _inverted(one: Pictures, _: Pictures, rng: np.random.Generator) -> Pictures:
    return -np.rot90(one, 2 * int(rng.integers(2)))


def _cut(one: Pictures, _: Pictures, rng: np.random.Generator) -> Pictures:
    size = int(rng.integers(8, 16))
    top, left = rng.integers(0, SIDE - size, 2)
    return ndimage.zoom(one[top : top + size, left : left + size], SIDE / size, order=1)[:SIDE, :SIDE]


def _mixed_up(one: Pictures, _: Pictures, rng: np.random.Generator) -> Pictures:
    size = (4, 7, 14)[rng.integers(3)]
    tiles = one.reshape(SIDE // size, size, SIDE // size, size).swapaxes(1, 2).reshape(-1, size, size)
    count = SIDE // size
    return rng.permutation(tiles).reshape(count, count, size, size).swapaxes(1, 2).reshape(SIDE, SIDE)


def _half(one: Pictures, _: Pictures, rng: np.random.Generator) -> Pictures:
    """Return one half beside itself, as a single lung or a limb fills a picture."""
    half = one[:, : SIDE // 2] if rng.random() < 0.5 else one[:, SIDE // 2 :]
    return ndimage.zoom(half, (1, 2), order=1)


def _slice(_: Pictures, slices: Pictures, rng: np.random.Generator) -> Pictures:
    one = slices[rng.integers(len(slices))]
    low, width = rng.choice([(-1000, 2000), (-160, 400), (-1350, 1500), (-3000, 4000), (0, 80)])
    shown = np.clip((one - low) / width, 0, 1)
    side = int(rng.integers(min(one.shape) // 2, min(one.shape)))
    top, left = (int(rng.integers(0, n - side + 1)) for n in one.shape)
    shrink = area_weights(side, SIDE)
    small = shrink @ shown[top : top + side, left : left + side] @ shrink.T
    return np.rot90(small, int(rng.integers(4))) * rng.choice([1, 1, -1])


def _blobs(_: Pictures, _slices: Pictures, rng: np.random.Generator) -> Pictures:
    return ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(0, 7)) ** rng.integers(1, 3)


def _drawing(_: Pictures, _slices: Pictures, rng: np.random.Generator) -> Pictures:
    """Return bars and ellipses: limbs, heads, test charts."""
    y, x = np.indices((SIDE, SIDE)) / SIDE - 0.5
    drawn = rng.normal(0, 0.3) * x + rng.normal(0, 0.3) * y
    for _n in range(rng.integers(1, 6)):
        angle, (cy, cx) = rng.uniform(0, np.pi), rng.uniform(-0.3, 0.3, 2)
        u, v = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle), (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        a, b = rng.uniform(0.05, 0.5, 2)
        inside = (u / a) ** 2 + (v / b) ** 2 < 1 if rng.random() < 0.6 else (np.abs(u) < a) & (np.abs(v) < 3 * b)
        drawn = drawn + rng.normal(0, 1) * inside * (1 + 0.3 * rng.normal(size=drawn.shape) * (rng.random() < 0.3))
    return ndimage.gaussian_filter(drawn, rng.uniform(0, 1.2))


_OTHERS = (_turned, _turned, _inverted, _cut, _mixed_up, _half, _slice, _slice, _blobs, _drawing, _drawing)


def fit(pictures: Pictures, classes: npt.NDArray[np.int64], kept_out: Pictures, slices: Pictures) -> FrontalChest:
    """Return what tells pictures `(n, 28, 28)` of both classes, drawn alike, from others."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    sizes = (SIDE * SIDE, *_WIDTHS, 1)
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(0.1)]
    network = nn.Sequential(*parts[:-2])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=_STEPS)
    share = 1.0 / np.bincount(classes)[classes]
    target = torch.cat([torch.ones(_BATCH // 2), torch.zeros(_BATCH // 2)])
    for step in range(_STEPS):
        if step % _RENEWED == 0:
            chosen = rng.choice(len(pictures), 2 * _POOL, p=share / share.sum())
            right = _standardized(views(pictures[chosen[:_POOL]], rng))
            wrong = _standardized(others(views(pictures[chosen[_POOL:]], rng), slices, rng))
        half = _BATCH // 2
        shown = np.concatenate([right[rng.integers(_POOL, size=half)], wrong[rng.integers(_POOL, size=half)]])
        answer = network(torch.from_numpy(shown))[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(answer, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    linear: list[Any] = [part for part in network if isinstance(part, nn.Linear)]
    layers = tuple((one.weight.detach().numpy().T.copy(), one.bias.detach().numpy().copy()) for one in linear)
    made = FrontalChest(layers, 0.0, 0.0)
    scores = [made.score(one) for one in kept_out]
    return FrontalChest(layers, float(np.quantile(scores, 0.001)) - _MARGIN, float(np.quantile(scores, _BELOW)))


def _standardized(pictures: Pictures) -> Pictures:
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    return (flat - flat.mean(1, keepdims=True)) / (flat.std(1, keepdims=True) + 1e-6)


def main(data: Path, out: Path) -> None:
    """Fit and write ``frontal-chest.npz``."""
    path = find_file(data, FILE)
    (pictures, classes), (kept_out, _) = load_split(path, "train"), load_split(path, "val")
    with np.load(data / SLICES, allow_pickle=False) as held:
        slices = held["hu"][[n for n in range(len(held["hu"])) if n % 7]].astype(np.float32)
    made = fit(pictures.astype(np.float32), classes, kept_out.astype(np.float32), slices)
    arrays: dict[str, Any] = {"low": made.low, "high": made.high}
    for number, (weights, bias) in enumerate(made.layers):
        arrays |= {f"weights{number}": weights.astype(np.float16), f"bias{number}": bias}
    np.savez_compressed(out / _NAME, **arrays)


_NAME = "frontal-chest.npz"

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

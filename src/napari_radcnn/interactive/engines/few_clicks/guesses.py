"""How large what was clicked may be: the network's answers for several sizes, and which of them looks like an object.

Told a size, the network outlines an object of that size; not told, it hedges with a small ball. So it is told several,
and a small network that sees how each answer lies in the scan says which is likely to be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.errors import ModelError
from napari_radcnn.interactive.engines.few_clicks.walk import noise_of
from napari_radcnn.interactive.engines.lattice import Array, Lattice, Mask
from napari_radcnn.metrics import dice

#: Sides, mm, that are tried; by how much closer than the whole of an object it is looked at, too.
SIDES = tuple(10 * 1.6**n for n in range(9))
CLOSER = (1, 3)
#: What `traits` returns, in this order.
OWN = (
    "voxels",
    "certainty",
    "softness",
    "stability",
    "spread",
    "difference",
    "edge",
    "contrast",
    "separation",
    "alike_outside",
    "at_faces",
    "radius",
    "side",
    "filling",
    "compactness",
    "proposal",
    "likelihood",
    "zoom",
    "told",
    "is_closer",
    "side_mm",
    "radius_mm",
    "side_of_told",
    "middleness",
    "weakest_edge",
    "usual_edge",
    "strongest_edge",
    "beyond",
    "one_side",
    "doubt",
    "unevenness",
    "surface",
)
#: What `agreements` returns, in this order.
SHARED = (
    "agrees_best",
    "agrees_second",
    "agrees_fourth",
    "agrees_mean",
    "agrees_smaller",
    "agrees_larger",
    "agrees_closer",
)
NAMES = (*OWN, *SHARED)
#: Logits that tell what is stable, and how many standard deviations count as alike.
_STABLE, _ALIKE = 1.5, 1.5
#: Percentiles of the edge along the border, and of the values inside.
_EDGES, _INSIDE = (20, 50, 80), (10, 90)
#: Answers whose volumes differ by more than this factor agree in nothing.
_APART = 10.0


@dataclass(frozen=True, eq=False)
class Guess:
    """An answer for a size.

    Attributes
    ----------
    side : float
        Of the object, as it was told, mm.
    zoom : float
        mm between voxels of the cube.
    closer : int
        How much closer than the whole object it was looked at.
    logits : (n, n, n) array of float32
        Of the object, marks obeyed.
    """

    side: float
    zoom: float
    closer: int
    logits: Array


def traits(
    guess: Guess, picture: Array, value: float, proposal: Array, likelihood: float, at: npt.ArrayLike
) -> npt.NDArray[np.float32] | None:
    """Return how an answer lies in the scan, as `OWN` lists it; None for an empty one, or where all values are alike.

    Parameters
    ----------
    guess : Guess
        The answer.
    picture : (n, n, n) array of float32
        The scan there, in units.
    value : float
        Of what was clicked, in units.
    proposal : (n, n, n) array of float32
        Of another engine, 0 to 1.
    likelihood : float
        Of the size, as the network's size head says, its logarithm.
    at : (3,) array
        What was clicked, an index in the cube.
    """
    mask = guess.logits > 0
    count = int(np.count_nonzero(mask))
    if not count or picture.min() == picture.max():
        return None
    chance = 1 / (1 + np.exp(-guess.logits))
    noise = noise_of(picture)
    core = ndimage.binary_erosion(mask)
    wider = ndimage.binary_dilation(mask)
    around = ndimage.binary_dilation(wider) & ~wider
    around = around if around.any() else wider & ~mask
    inner, outer = picture[mask], picture[around]
    gradient = ndimage.gaussian_gradient_magnitude(picture, 0.8)
    shell = wider & ~core
    border = float(gradient[shell].mean())
    edges = np.percentile(gradient[shell] / noise, _EDGES)
    low, high = np.percentile(inner, _INSIDE)
    surface = count ** (2 / 3)
    middle, spread = float(np.median(inner)), float(inner.std())
    apart = abs(middle - float(np.median(outer))) if outer.size else 0.0
    depths = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    depth = float(depths.max())
    clicked = tuple(np.clip(np.rint(np.asarray(at)), 0, np.array(mask.shape) - 1).astype(int))
    where = np.argwhere(mask)
    sides = where.max(0) - where.min(0) + 1
    side = float(sides.max())
    shared = np.count_nonzero(mask & (proposal > 0.5))
    found = (
        np.log(count),
        float(chance[mask].mean()),
        2 * float(chance[mask].sum()) / (float(chance.sum()) + count),
        int(np.count_nonzero(guess.logits > _STABLE)) / max(1, int(np.count_nonzero(guess.logits > -_STABLE))),
        _log(spread / noise),
        _log(abs(middle - value) / noise),
        _log(border / (float(gradient[core].mean()) + 0.3 * noise) if core.any() else border / noise),
        _log(apart / noise),
        _log(apart / (spread + float(outer.std() if outer.size else 0.0) + noise)),
        float(np.mean(np.abs(outer - middle) < _ALIKE * spread + noise)) if outer.size else 1.0,
        _at_faces(mask) / count,
        _log(depth),
        _log(side),
        count / float(np.prod(sides)),
        _log(count / (4.19 * depth**3)),
        2 * shared / (np.count_nonzero(proposal > 0.5) + count),
        likelihood,
        _log(guess.zoom),
        _log(guess.side),
        float(guess.closer > 1),
        _log(side) + _log(guess.zoom),
        _log(depth) + _log(guess.zoom),
        _log(side) + _log(guess.zoom) - _log(guess.side),
        float(depths[clicked]) / depth,
        *(_log(float(edge)) for edge in edges),
        float(np.mean((outer < low) | (outer > high))) if outer.size else 0.0,
        2 * abs(float(np.mean(outer > middle)) - 0.5) if outer.size else 0.0,
        _log(float((chance * (1 - chance)).sum()) / surface),
        _log(float(ndimage.gaussian_filter(picture, 1.5)[mask].std()) / noise),
        float(np.log(np.count_nonzero(shell) / surface)),
    )
    return np.array(found, np.float32)


def agreements(guesses: Sequence[Guess], lattices: Sequence[Lattice]) -> npt.NDArray[np.float32]:
    """Return how answers agree with one another, as `SHARED` lists it, from their Dice coefficients (n, `SHARED`).

    An object is outlined alike though its size was told wrong; a ball of what is all alike is not.
    """
    masks = [guess.logits > 0 for guess in guesses]
    volumes = [np.count_nonzero(mask) * guess.zoom**3 for mask, guess in zip(masks, guesses, strict=True)]
    n = len(guesses)
    alike = np.zeros((n, n), np.float32)
    for a in range(n):
        for b in range(a):
            if max(volumes[a], volumes[b]) > _APART * min(volumes[a], volumes[b]):
                continue
            coarse, fine = (a, b) if guesses[a].zoom >= guesses[b].zoom else (b, a)
            seen = _looked_up(masks[fine], lattices[fine], lattices[coarse])
            alike[a, b] = alike[b, a] = dice(seen, masks[coarse])
    ordered = np.pad(-np.sort(-alike, 1), ((0, 0), (0, 4)))[:, [0, 1, 3]]
    rows = np.zeros((n, len(SHARED)), np.float32)
    rows[:, :3], rows[:, 3] = ordered, alike.sum(1) / max(1, n - 1)
    for a, of in enumerate(guesses):
        for b, to in enumerate(guesses):
            if a == b:
                continue
            if of.side == to.side:
                rows[a, 6] = alike[a, b]
            elif of.closer == to.closer and abs(np.log(to.side / of.side)) < 1.5 * np.log(SIDES[1] / SIDES[0]):
                rows[a, 5 if to.side > of.side else 4] = alike[a, b]
    return rows


def _looked_up(mask: Mask, source: Lattice, target: Lattice) -> Mask:
    """Return a mask on another grid: of each voxel what the nearest one says; nothing outside."""
    lines, known = [], []
    for of, step_of, to, step_to, count, length in zip(
        source.first, source.steps, target.first, target.steps, target.shape, mask.shape, strict=True
    ):
        places = np.rint((to + step_to * np.arange(count) - of) / step_of).astype(int)
        known.append((places >= 0) & (places < length))
        lines.append(np.clip(places, 0, length - 1))
    k, j, i = known
    return np.asarray(mask[np.ix_(*lines)] & k[:, None, None] & j[:, None] & i)


def _log(value: float) -> float:
    return float(np.log(value + 0.05))


def _at_faces(mask: Mask) -> int:
    return sum(int(np.count_nonzero(np.take(mask, end, axis))) for axis in range(3) for end in (0, -1))


@dataclass(frozen=True)
class Choice:
    """A network of two layers that sees one answer at a time, several times over with other weights.

    Attributes
    ----------
    mean, spread : (f,) array of float32
        Of the traits it learned from.
    layers : tuple
        Of each of several: weights (hidden, f) and (hidden,), and their biases (hidden,) and (1,).
    """

    mean: Array
    spread: Array
    layers: tuple[tuple[Array, Array, Array, Array], ...]

    @classmethod
    def of(cls, tensors: Mapping[str, npt.NDArray], path: Path) -> Choice:
        """Return what stands in a file: ``mean``, ``spread``, and ``N.weight``, ``N.bias``, ``N.last``, ``N.level``.

        Raises
        ------
        ModelError
            If it does not fit together, or takes other traits than `NAMES`.
        """
        count = (len(tensors) - 2) // 4
        names = {"mean", "spread"} | {f"{n}.{kind}" for n in range(count) for kind in _PARTS}
        wrong = ModelError(f"{path}: the weights do not match this version of few-clicks: install napari-radcnn again.")
        if count < 1 or set(tensors) != names or tensors["mean"].shape != (len(NAMES),):
            raise wrong
        layers = []
        for n in range(count):
            weight, bias, last, level = (np.asarray(tensors[f"{n}.{kind}"], np.float32) for kind in _PARTS)
            if weight.shape != (len(bias), len(NAMES)) or last.shape != bias.shape or level.shape != (1,):
                raise wrong
            layers.append((weight, bias, last, level))
        mean, spread = (np.asarray(tensors[name], np.float32) for name in ("mean", "spread"))
        return cls(mean, spread, tuple(layers))

    def scores(self, rows: Array) -> Array:
        """Return how likely answers are to be right, from their traits (n, f); only the order means anything."""
        x = (rows - self.mean) / self.spread
        each = [np.maximum(x @ weight.T + bias, 0) @ last + level for weight, bias, last, level in self.layers]
        return np.asarray(np.mean(each, 0), np.float32)


_PARTS = ("weight", "bias", "last", "level")

"""What spoke for an answer of a classifier: maps on the grid of its input, from four methods.

Each takes a network in evaluation mode, its input `(1, C, ...)` in two or three dimensions, and the index of a class,
and returns a float32 array of the spatial shape. None says that a place matters to a radiologist: only that it matters
to the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError

if TYPE_CHECKING:
    import torch

Map = npt.NDArray[np.float32]

#: Inputs that are shown to the network at once.
_BATCH = 64


def _nothing() -> None:
    return None


def grad_cam(module: torch.nn.Module, network_input: torch.Tensor, index: int, layer: str = "features") -> Map:
    """Return where the last features speak for a class, 0..1 (Selvaraju et al. 2017, ICCV: Grad-CAM).

    Parameters
    ----------
    module : torch.nn.Module
        Takes `(B, C, ...)`, returns logits `(B, classes)`.
    network_input : (1, C, ...) tensor
        Its input.
    index : int
        The class.
    layer : str
        Name of the submodule whose output `(B, K, ...)` is weighted.

    Returns
    -------
    array of float32
        Of the input's spatial shape, the coarse map interpolated linearly; 1 at its highest, 0 everywhere where nothing
        speaks for the class.

    Raises
    ------
    ModelError
        If there is no such submodule or class, or the input is no single one.
    """
    import torch
    from torch.nn import functional

    _check(module, network_input, index)
    found = dict(module.named_modules()).get(layer)
    if found is None:
        raise ModelError(f"The network has no module '{layer}' for Grad-CAM.")
    kept: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        kept.append(output)

    hook = found.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            score = module(network_input.detach().clone().requires_grad_(True))[0, index]
    finally:
        hook.remove()
    if not kept:
        raise ModelError(f"The module '{layer}' of the network is not used.")
    (gradient,) = torch.autograd.grad(score, kept[-1])
    axes = tuple(range(2, gradient.ndim))
    speaks = (gradient.mean(axes, keepdim=True) * kept[-1]).sum(1, keepdim=True).clamp(min=0)
    mode = "bilinear" if len(axes) == 2 else "trilinear"
    wide = functional.interpolate(speaks.detach().float(), network_input.shape[2:], mode=mode, align_corners=False)[
        0, 0
    ]
    highest = float(wide.max())
    return np.asarray((wide / highest if highest > 0 else wide).cpu().numpy(), np.float32)


def input_gradient(module: torch.nn.Module, network_input: torch.Tensor, index: int) -> Map:
    """Return the gradient of a class's logit with respect to every input value, `(C, ...)`.

    Parameters and errors as in `grad_cam`.
    """
    import torch

    _check(module, network_input, index)
    with torch.enable_grad():
        asked = network_input.detach().clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(module(asked)[0, index], asked)
    return np.asarray(gradient[0].float().cpu().numpy(), np.float32)


def saliency(module: torch.nn.Module, network_input: torch.Tensor, index: int) -> Map:
    """Return how much a class's logit changes with each place: the largest magnitude of `input_gradient` over channels.

    After Simonyan et al. 2014 (ICLR workshop). Parameters and errors as in `grad_cam`; in logits per unit of the input.
    """
    return np.abs(input_gradient(module, network_input, index)).max(0)


def occlusion(
    module: torch.nn.Module,
    network_input: torch.Tensor,
    index: int,
    *,
    patch: int = 4,
    stride: int = 2,
    check: Callable[[], None] = _nothing,
) -> Map:
    """Return how much a class's probability falls where a patch is covered (Zeiler and Fergus 2014, ECCV).

    Parameters
    ----------
    module, given, index
        As in `grad_cam`.
    patch, stride : int
        Side of the patch, and the step between patches, in voxels; the patch is filled with each channel's mean.
    check : callable
        Called between batches; may raise to stop.

    Returns
    -------
    array of float32
        The fall, -1..1, averaged over all patches that cover a voxel; negative where the class became likelier.
    """
    _check(module, network_input, index)
    filling = network_input.mean(tuple(range(2, network_input.ndim)), keepdim=True)
    places = list(_places(network_input.shape[2:], patch, stride))

    def covered() -> Iterator[torch.Tensor]:
        for place in places:
            changed = network_input.clone()
            changed[(slice(None), slice(None), *place)] = filling
            yield changed

    before = _probability(module, [network_input], index, check)[0]
    falls = before - _probability(module, covered(), index, check)
    return _averaged(network_input.shape[2:], places, falls)


def prediction_difference(
    module: torch.nn.Module,
    network_input: torch.Tensor,
    index: int,
    *,
    patch: int = 4,
    stride: int = 2,
    reach: int = 4,
    samples: int = 8,
    seed: int = 0,
    check: Callable[[], None] = _nothing,
) -> Map:
    """Return how much evidence each place gives for a class: prediction-difference analysis.

    A patch is replaced by patches from its own surroundings, several times; the weight of evidence is the difference
    of the class's log odds with the patch and with the mean probability without it (Zintgraf et al. 2017, ICLR, who
    draw from a normal distribution fitted to the surroundings; here whole patches are drawn, which keeps the texture).

    Parameters
    ----------
    module, given, index, patch, stride, check
        As in `occlusion`.
    reach : int
        How far from the patch, in voxels, a sample may begin.
    samples : int
        How often each patch is replaced.
    seed : int
        Of the draw.

    Returns
    -------
    array of float32
        Bits, averaged over all patches that cover a voxel; positive where it speaks for the class, 0 where the
        surroundings are the same as the patch.
    """
    _check(module, network_input, index)
    draw = np.random.default_rng(seed)
    every = list(_places(network_input.shape[2:], patch, stride))
    places = [place for place in every if not _is_even(network_input, place, reach)]

    def replaced() -> Iterator[torch.Tensor]:
        for place in places:
            for _ in range(samples):
                changed = network_input.clone()
                changed[(slice(None), slice(None), *place)] = network_input[
                    (slice(None), slice(None), *_beside(place, network_input.shape[2:], reach, draw))
                ]
                yield changed

    if not places:
        return np.zeros(network_input.shape[2:], np.float32)
    before = _probability(module, [network_input], index, check)[0]
    without = _probability(module, replaced(), index, check).reshape(len(places), samples).mean(1)
    evidence = dict(zip(map(str, places), _log_odds(before) - _log_odds(without), strict=True))
    return _averaged(network_input.shape[2:], every, np.array([evidence.get(str(place), 0.0) for place in every]))


# -- inside -----------------------------------------------------------------------------------------------------------


def _check(module: torch.nn.Module, network_input: torch.Tensor, index: int) -> None:
    import torch

    if network_input.ndim not in (4, 5) or network_input.shape[0] != 1:
        raise ModelError(f"Evidence maps need one input (1, C, ...) in 2-D or 3-D, got {tuple(network_input.shape)}.")
    with torch.no_grad():
        shape = tuple(module(network_input).shape)
    if len(shape) != 2 or not 0 <= index < shape[1]:
        raise ModelError(f"There is no class {index}: the network returns {shape}, expected (1, classes).")


def _places(shape: Sequence[int], patch: int, stride: int) -> Iterator[tuple[slice, ...]]:
    """Yield patches that cover everything, the last along each axis flush with the edge."""
    starts = []
    for size in shape:
        last = max(0, size - patch)
        starts.append(sorted({*range(0, last + 1, stride), last}))
    for corner in product(*starts):
        yield tuple(slice(start, min(start + patch, size)) for start, size in zip(corner, shape, strict=True))


def _around(place: tuple[slice, ...], shape: Sequence[int], reach: int) -> list[tuple[int, int]]:
    """Return the first and last corner along each axis of patches no further than `reach` away."""
    return [
        (max(0, side.start - reach), min(size - (side.stop - side.start), side.start + reach))
        for side, size in zip(place, shape, strict=True)
    ]


def _is_even(network_input: torch.Tensor, place: tuple[slice, ...], reach: int) -> bool:
    """Return whether nothing would change: one value everywhere in the patch and its surroundings."""
    around = tuple(
        slice(low, high + side.stop - side.start)
        for (low, high), side in zip(_around(place, network_input.shape[2:], reach), place, strict=True)
    )
    region = network_input[(slice(None), slice(None), *around)].flatten(2)
    return bool((region.amax(2) == region.amin(2)).all())


def _beside(place: tuple[slice, ...], shape: Sequence[int], reach: int, draw: np.random.Generator) -> tuple[slice, ...]:
    """Return a patch of the same shape in the surroundings, another one wherever there is room for it."""
    ranges = _around(place, shape, reach)
    while True:
        corner = [int(draw.integers(low, high + 1)) for low, high in ranges]
        is_same = all(start == side.start for start, side in zip(corner, place, strict=True))
        if not is_same or all(low == high for low, high in ranges):
            return tuple(
                slice(start, start + side.stop - side.start) for start, side in zip(corner, place, strict=True)
            )


def _probability(
    module: torch.nn.Module,
    inputs: Sequence[torch.Tensor] | Iterator[torch.Tensor],
    index: int,
    check: Callable[[], None],
) -> npt.NDArray[np.float64]:
    """Return the probability of a class for each of many inputs."""
    import torch

    found: list[npt.NDArray[np.float64]] = []
    waiting: list[torch.Tensor] = []

    def ask() -> None:
        check()
        with torch.inference_mode():
            said = module(torch.cat(waiting)).double().softmax(1)[:, index]
        found.append(said.cpu().numpy())
        waiting.clear()

    for one in inputs:
        waiting.append(one)
        if len(waiting) == _BATCH:
            ask()
    if waiting:
        ask()
    return np.concatenate(found)


def _log_odds(probability: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    """Return the log odds in bits, at most 20 either way."""
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log2(inside) - np.log2(1 - inside))


def _averaged(shape: Sequence[int], places: Sequence[tuple[slice, ...]], values: npt.NDArray[np.float64]) -> Map:
    """Return at each voxel the mean of the values of the patches that cover it."""
    total, count = np.zeros(shape), np.zeros(shape)
    for place, value in zip(places, values, strict=True):
        total[place] += value
        count[place] += 1
    return (total / count).astype(np.float32)

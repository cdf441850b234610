"""A small step against a network: each voxel that it is shown is moved by a little in the direction that hurts most.

The fast gradient sign method (Goodfellow et al. 2015, ICLR), patch by patch at the network's own input. Where the
gradient is 0 at the answer itself, it is taken half a step away in a random direction (Tramer et al. 2018, ICLR).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from napari_radcnn.inference.backends.base import NetworkSource

    #: How much the outputs after a step differ from the plain ones, to be made large.
    Harm = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

Patch = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """A step against a network.

    Attributes
    ----------
    title : str
        As in the card.
    size : float
        In the scan's unit.
    scales : tuple of float
        What one unit of the scan is in each channel of the input; 0 where a channel does not show the scan.
    harm : callable
        What is made larger, from the outputs after the step and the plain ones, ``(1, channels, ...)``.
    limits : tuple of float
        What of a channel lies outside of these is not moved, and nothing is moved out of them.
    is_joined : bool
        Whether channels show the same voxels, so that they move together.
    is_random : bool
        Whether the gradient is taken half a step away in a random direction.
    """

    title: str
    size: float
    scales: tuple[float, ...]
    harm: Harm
    limits: tuple[float, float] = (-np.inf, np.inf)
    is_joined: bool = False
    is_random: bool = False

    def taken(self, module: torch.nn.Module, plain: torch.Tensor) -> torch.Tensor:
        """Return an input ``(1, channels, ...)`` after the step."""
        import torch

        scales = torch.tensor(self.scales).reshape(1, -1, *[1] * (plain.ndim - 2))
        moves = (plain > self.limits[0]) & (plain < self.limits[1]) & (scales != 0)
        with torch.no_grad():
            answer = module(plain)
        start = plain.clone()
        if self.is_random:
            signs = torch.randn(plain.shape, generator=torch.Generator().manual_seed(0)).sign()
            start += 0.5 * self.size * scales * signs * moves
        with torch.enable_grad():
            start.requires_grad_(True)
            slope = torch.autograd.grad(self.harm(module(start), answer), start)[0] * scales * moves
        if self.is_joined:
            slope = slope.sum(1, keepdim=True).expand_as(slope)
        moved = (plain + self.size * scales * slope.sign()).clamp(*self.limits)
        return torch.where(moves, moved, plain)


def other_class(*parts: slice) -> Harm:
    """Return the cross-entropy of logits with the classes that they chose; each part of the channels by itself."""

    def harm(now: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        import torch

        losses = [
            torch.nn.functional.cross_entropy(now[:, part], plain[:, part].argmax(1))
            for part in parts or (slice(None),)
        ]
        return torch.stack(losses).sum()

    return harm


def other_side(now: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of one logit with what it decided."""
    import torch

    return torch.nn.functional.softplus(-now * plain.sign()).mean()


def other_values(now: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """Return how far values moved; its gradient is 0 where they have not, see `Step.is_random`."""
    return ((now - plain) ** 2).mean()


def missed(now: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    """Return how little the first channel's logits say that something is there."""
    import torch

    return -torch.nn.functional.softplus(now[:, :1]).sum()


class _Attacked:
    """A predictor that takes the step before it answers, in float32."""

    backend, device, precision = "torch", "cpu", "float32"
    agreement: float | None = None
    measured_on: str | None = None

    def __init__(self, source: NetworkSource, step: Step) -> None:
        self._module = source.torch_module().requires_grad_(False)
        self._is_flat, self._step = source.spatial_dims == 2, step

    def __call__(self, voxels: Patch) -> Patch:
        import torch

        shown = torch.from_numpy(np.ascontiguousarray(voxels, np.float32))[None]
        shown = shown[:, :, 0] if self._is_flat else shown
        with torch.no_grad():
            found = self._module(self._step.taken(self._module, shown))[0]
        return np.asarray((found[:, None] if self._is_flat else found).numpy())

    def close(self) -> None:
        """Nothing is held."""


@contextmanager
def attacked(step: Step) -> Iterator[None]:
    """Let each network that opens in this block see its input after the step."""

    def opened(source: NetworkSource, *_: Any, **__: Any) -> tuple[_Attacked, tuple[str, ...]]:
        return _Attacked(source, step), ()

    with patch("napari_radcnn.inference.backends.choice.open_predictor", opened):
        yield

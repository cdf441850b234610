"""What the processing steps make of scans before its network sees them, any part at a time.

Each step is a node that reads boxes of the one before it. Figures of the whole scan (mean, percentiles, the box of the
foreground) are taken in one pass; what fits into the budget is made once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.foreign.processing.grid import (
    Boxed,
    GridChange,
    Resized,
    Spaced,
    before_change,
    spaced_as_monai,
)
from napari_radcnn.foreign.processing.nodes import (
    ArrayNode,
    BoxNode,
    Node,
    ScanNode,
    SlabsNode,
    SpacedNode,
    ValuesNode,
    slabs_of,
)
from napari_radcnn.foreign.processing.resizing import ResizedNode, resized_shape
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.cost.growth import check_growth
from napari_radcnn.inference.patches.turned import TurnedScans
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

_Floats = npt.NDArray[np.float32]
#: Percentiles of more values than these are those of every n-th.
_MOST_SORTED = 1 << 26


@dataclass(frozen=True, eq=False)
class Intensity:
    """What an intensity step did, to undo it: ``y = x * scale + shift``, one of each a channel."""

    scale: _Floats
    shift: _Floats


class Shown(Protocol):
    """What of a description says how scans are shown to a network."""

    @property
    def steps(self) -> tuple[steps.Step, ...]: ...  # noqa: D102  what is done to the scan, in order

    @property
    def orientation(self) -> str | None: ...  # noqa: D102  three letters; None where a scan is taken as it is stored

    @property
    def stored_order(self) -> Shape: ...  # noqa: D102  which axis of the scan is each of the network's axes


class RecipeInput:
    """Scans as the network sees them.

    Parameters
    ----------
    volumes : sequence of Volume
        One a channel, all on one grid.
    processing : Shown
        How they are changed.
    budget_bytes : int
        What may be kept in memory.
    monitor : Monitor, optional
        May cancel.

    Attributes
    ----------
    scans : TurnedScans
        The scans with the axes of the network.
    shape : tuple of int
        Of the network's grid.
    channels : int
        Of what the network sees.
    changes : tuple of GridChange
        From the scans' grid, turned, to the network's.
    intensities : tuple of Intensity
        What was done to the values, in order.

    Raises
    ------
    ModelError
        If the spacing asked for would make a grid out of all proportion.
    """

    def __init__(
        self, volumes: Sequence[Volume], processing: Shown, budget_bytes: int = 0, monitor: Monitor | None = None
    ) -> None:
        self.scans = turned_scans(volumes, processing)
        self.changes: tuple[GridChange, ...] = ()
        self.intensities: tuple[Intensity, ...] = ()
        self._budget, self._monitor = budget_bytes, monitor
        self._channels = len(volumes)
        self._node: Node = ScanNode(self.scans)
        for step in processing.steps:
            if not isinstance(step, steps.Orient):
                self._add(step)
        self._node = self._kept(self._node, slabs=True)
        self.shape = self._node.shape
        self.channels = self._channels

    def read(self, box: Box) -> _Floats:
        """Return a box of the network's input, ``(channels, k, j, i)``."""
        return self._node.read(box)

    def indices_of(self, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return places ``(n, 3)`` as indices (k, j, i) of the scans' own grid, given those in the network's voxels."""
        for change in reversed(self.changes):
            places = before_change(places, change)
        indices = np.empty_like(places)
        indices[:, list(self.scans.transpose)] = places
        if not self.scans.orientation:
            return indices
        own, turned = self.scans.volumes[0].geometry, self.scans.turned[0].geometry
        return np.asarray(own.to_index(turned.to_world(indices)))

    # -- steps ------------------------------------------------------------------------------------------------

    def _add(self, step: steps.Step) -> None:
        if isinstance(step, steps.Repeat):
            times, self._channels = step.times, self._channels * step.times
            self._values(lambda values: np.repeat(values, times, axis=0))
            return
        if isinstance(step, steps.Resize):
            before, after = self._node.shape, resized_shape(step, self._node.shape)
            self._node = ResizedNode(self._kept(self._node), after, step.kind)
            self.changes += (Resized(before, after),)
            return
        change = grid_change(step, self._node.shape, self.scans.volumes[0].name, turned_axes(self.scans))
        if isinstance(step, steps.CropForeground):
            change = self._foreground(step)
        if change is not None:
            self.changes += (change,)
            if isinstance(change, Spaced):
                self._node = SpacedNode(self._node, change)
            elif isinstance(change, Boxed):
                self._node = BoxNode(self._node, change)
        elif not isinstance(step, steps.Space | steps.Pad | steps.Center):
            self._change_values(step)

    def _change_values(self, step: steps.Step) -> None:
        clip: tuple[float | None, float | None] = (None, None)
        match step:
            case steps.ScaleRange():
                clip = (step.to_low, step.to_high) if step.clip else clip
                to = None if step.to_low is None or step.to_high is None else (step.to_low, step.to_high)
                self._linear(step.low, step.high - step.low, to, clip)
            case steps.ScalePercentiles():
                self._scale_percentiles(step)
            case steps.ClipPercentiles():
                groups = self._groups(step.channel_wise)
                low = None if step.low is None else self._percentiles(step.low, groups)
                high = None if step.high is None else self._percentiles(step.high, groups)
                self._values(lambda v: np.clip(v, low, high) if low is not None or high is not None else v)
            case steps.ScaleBounds():
                self._scale_bounds(step)
            case steps.Multiply():
                self._linear(0.0, 1.0, (0.0, step.factor))
            case steps.Threshold():
                self._values(lambda v: np.where(v > step.value if step.above else v < step.value, v, step.fill))
            case steps.Normalize():
                self._normalize(step)

    def _values(self, change: Callable[[_Floats], npt.NDArray]) -> None:
        self._node = ValuesNode(self._node, change)

    def _linear(
        self,
        minus: float | npt.NDArray[Any],
        divisor: float | npt.NDArray[Any],
        to: tuple[Any, Any] | None = None,
        clip: tuple[float | None, float | None] = (None, None),
        nonzero: bool = False,
    ) -> None:
        """Subtract, divide, and bring 0..1 to `to`: in MONAI's order, so that what is 0 there is 0 here."""
        ones = np.ones((self._channels, 1, 1, 1), np.float32)
        minus, divisor = np.float32(minus) * ones, np.float32(divisor) * ones
        base, width = (0.0, 1.0) if to is None else (to[0], to[1] - to[0])
        scale = np.asarray(width / divisor * ones, np.float32)
        self.intensities += (Intensity(scale, np.asarray(base - minus * scale, np.float32)),)

        def change(values: _Floats) -> npt.NDArray[Any]:
            out = (values - minus) / divisor
            if to is not None:
                out = out * np.asarray(width, np.float32) + np.asarray(base, np.float32)
            if clip != (None, None):
                out = np.clip(out, *clip)
            return np.where(values != 0, out, values) if nonzero else out

        self._values(change)

    def _scale_percentiles(self, step: steps.ScalePercentiles) -> None:
        groups = self._groups(step.channel_wise)
        low, high = self._percentiles(step.low, groups), self._percentiles(step.high, groups)
        to_low, to_high = step.to_low, step.to_high
        if step.relative and to_low is not None and to_high is not None:
            width = to_high - to_low
            to_low, to_high = to_low + width * step.low / 100, to_low + width * step.high / 100
        flat = high == low  # MONAI then only shifts
        to = None if to_low is None or to_high is None else (to_low, np.where(flat, to_low + 1.0, to_high))
        clip = (to_low, to_high) if step.clip else (None, None)
        self._linear(low, np.where(flat, 1.0, high - low), to, clip)

    def _scale_bounds(self, step: steps.ScaleBounds) -> None:
        groups = self._groups(step.channel_wise)
        low, high = np.full(self._channels, np.inf), np.full(self._channels, -np.inf)
        for slab in self._slabs():
            low = np.minimum(low, slab.min((1, 2, 3)))
            high = np.maximum(high, slab.max((1, 2, 3)))
        low = _column([low[group].min() for group in groups], groups)
        high = _column([high[group].max() for group in groups], groups)
        flat = low == high  # MONAI then multiplies by the lower bound
        to_low = np.where(flat, 0.0, step.to_low)
        to_high = np.where(flat, step.to_low, step.to_high)
        self._linear(np.where(flat, 0.0, low), np.where(flat, 1.0, high - low), (to_low, to_high))

    def _normalize(self, step: steps.Normalize) -> None:
        groups = self._groups(step.channel_wise)
        mean, std = (None if given is None else self._by_channel(given) for given in (step.mean, step.std))
        if mean is None or std is None:
            found_mean, found_std = self._moments(groups, step.nonzero)
            mean, std = found_mean if mean is None else mean, found_std if std is None else std
        self._linear(mean, std, nonzero=step.nonzero)

    def _by_channel(self, values: tuple[float, ...]) -> npt.NDArray[np.float64]:
        if len(values) not in (1, self._channels):
            raise ModelError(f"The normalization has {len(values)} values for {self._channels} channels.")
        return np.broadcast_to(np.array(values, float), self._channels).reshape(-1, 1, 1, 1)

    # -- figures of the whole scan ----------------------------------------------------------------------------

    def _groups(self, channel_wise: bool) -> list[slice]:
        """Return the channels that share their figures."""
        return [slice(n, n + 1) for n in range(self._channels)] if channel_wise else [slice(0, self._channels)]

    def _slabs(self) -> Iterator[_Floats]:
        self._node = self._kept(self._node)
        yield from slabs_of(self._node, self._channels, self._monitor)

    def _moments(self, groups: list[slice], nonzero: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return mean and standard deviation, around a first guess so that large means lose no digits."""
        counts, sums, squares = (np.zeros(len(groups)) for _ in range(3))
        base: float | None = None
        for slab in self._slabs():
            base = float(slab.mean()) if base is None else base
            for n, group in enumerate(groups):
                values = slab[group][slab[group] != 0] if nonzero else slab[group]
                centered = values.astype(np.float64) - base
                counts[n] += values.size
                sums[n] += centered.sum()
                squares[n] += (centered**2).sum()
        counted = np.maximum(counts, 1)
        mean = sums / counted
        std = np.sqrt(np.maximum(squares / counted - mean**2, 0.0))
        std[std == 0] = 1.0
        mean = np.where(counts > 0, mean + (base or 0.0), 0.0)
        return _column(list(mean), groups), _column(list(std), groups)

    def _percentiles(self, percent: float, groups: list[slice]) -> npt.NDArray[np.float64]:
        self._node = self._kept(self._node)
        step = max(1, int(np.ceil((np.prod(self._node.shape) * self._channels / _MOST_SORTED) ** (1 / 3))))
        picked: list[_Floats] = []
        at = 0
        for slab in slabs_of(self._node, self._channels, self._monitor):
            picked.append(slab[:, -at % step :: step, ::step, ::step])
            at += slab.shape[1]
        values = np.concatenate(picked, axis=1)
        return _column([float(np.percentile(values[group], percent)) for group in groups], groups)

    def _foreground(self, step: steps.CropForeground) -> Boxed:
        """Return the box of what is above 0, as MONAI's `CropForeground` widens it."""
        shape = self._node.shape
        if step.channels is not None and max(step.channels) >= self._channels:
            raise ModelError(f"CropForeground uses channel {max(step.channels)} of {self._channels}.")
        ends = [[n, 0] for n in shape]
        at = 0
        for slab in self._slabs():
            found = ((slab if step.channels is None else slab[list(step.channels)]) > 0).any(0)
            for axis in range(3):
                other = tuple(n for n in range(3) if n != axis)
                places = np.flatnonzero(np.any(found, axis=other))
                if places.size:
                    first = at if axis == 0 else 0
                    low, high = first + int(places[0]), first + int(places[-1]) + 1
                    ends[axis] = [min(ends[axis][0], low), max(ends[axis][1], high)]
            at += slab.shape[1]
        if ends[0][1] == 0:
            raise ModelError(
                f"'{self.scans.volumes[0].name}' has no value above 0 after the intensity preprocessing, so the "
                "model cannot find the patient: check that it is the right kind of scan."
            )
        starts, sizes = [], []
        for (low, high), size, margin, divisor in zip(ends, shape, step.margin, step.divisible, strict=True):
            low, high = low - margin, high + margin
            if step.allow_smaller:
                low, high = max(low, 0), min(high, size)
            wanted = -(-(high - low) // max(divisor, 1)) * max(divisor, 1)
            starts.append(low - (wanted - (high - low)) // 2)
            sizes.append(wanted)
        return Boxed((starts[0], starts[1], starts[2]), shape, (sizes[0], sizes[1], sizes[2]))

    def _kept(self, node: Node, slabs: bool = False) -> Node:
        """Return a node whose values are made once: all of them where they fit, else a few slabs at a time."""
        if isinstance(node, ArrayNode | SlabsNode):
            return node
        if 4 * self._channels * int(np.prod(node.shape)) <= self._budget:
            whole = np.empty((self._channels, *node.shape), np.float32)
            at = 0
            for slab in slabs_of(node, self._channels, self._monitor):
                whole[:, at : at + slab.shape[1]] = slab
                at += slab.shape[1]
            return ArrayNode(whole)
        return SlabsNode(node) if slabs else node


# -- grids ----------------------------------------------------------------------------------------------------------


def turned_scans(volumes: Sequence[Volume], processing: Shown) -> TurnedScans:
    """Return the scans with the axes of the network."""
    if processing.orientation is not None:
        return TurnedScans(tuple(volumes), processing.orientation, (0, 1, 2))
    return TurnedScans(tuple(volumes), "", processing.stored_order)


def turned_axes(scans: TurnedScans) -> npt.NDArray[np.float64]:
    """Return the world directions of the network's axes times their spacing, mm, as columns."""
    return np.asarray(scans.turned[0].geometry.affine[:3, :3][:, list(scans.transpose)])


def grid_change(step: steps.Step, shape: Shape, name: str, axes: npt.NDArray[np.float64]) -> GridChange | None:
    """Return how a step changes the grid, where that does not depend on the voxels; else None.

    Raises
    ------
    ModelError
        If the new grid would be out of all proportion.
    """
    if isinstance(step, steps.Space):
        change = spaced_as_monai(shape, axes, step.spacing, step.interpolation == "nearest")
        if change is not None:
            check_growth(name, shape, np.linalg.norm(axes, axis=0), change.after, step.spacing)
        return change
    if isinstance(step, steps.Pad):
        sizes = [
            max(-(-n // max(divisor, 1)) * max(divisor, 1), least)
            for n, least, divisor in zip(shape, step.shape, step.divisible, strict=True)
        ]
        before = [0 if step.at_end else (wanted - n) // 2 for wanted, n in zip(sizes, shape, strict=True)]
        if not any(wanted - n for wanted, n in zip(sizes, shape, strict=True)):
            return None
        after = (sizes[0], sizes[1], sizes[2])
        return Boxed((-before[0], -before[1], -before[2]), shape, after, step.repeats_border)
    if isinstance(step, steps.Center):
        k, j, i = (wanted or n for wanted, n in zip(step.shape, shape, strict=True))
        # as MONAI's ResizeWithPadOrCrop has it
        starts = [n // 2 - w // 2 if w < n else -((w - n) // 2) for w, n in zip((k, j, i), shape, strict=True)]
        return None if (k, j, i) == shape else Boxed((starts[0], starts[1], starts[2]), shape, (k, j, i))
    return None


def _column(values: Sequence[float], groups: list[slice]) -> npt.NDArray[np.float64]:
    """Return one value a channel, ready to be multiplied with ``(channels, k, j, i)``."""
    spread = [value for value, group in zip(values, groups, strict=True) for _ in range(group.stop - group.start)]
    return np.array(spread, float).reshape(-1, 1, 1, 1)

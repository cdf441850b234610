"""From the output of a network to probabilities, labels and largest parts; or to an image in the scan's units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.foreign.processing.input import Intensity
from napari_radcnn.foreign.processing.steps import Processing

_Floats = npt.NDArray[np.float32]
#: Classes that may overlap are kept as bits until all of them are counted.
_MOST_BITS = 16
#: A logit that stands for certainty.
_CERTAIN = 20.0


class Answer:
    """Turns what the network says into the result, around the way back to the scan's grid.

    Parameters
    ----------
    processing : Processing
        What is done, in which order.
    intensities : sequence of Intensity
        What was done to the values of the scan, undone for an image.

    Attributes
    ----------
    is_threshold : bool
        Whether classes are judged one by one and may overlap.
    decides_first : bool
        Whether labels are made on the network's grid and brought back, instead of probabilities.
    needs_whole : bool
        Whether nothing is final before everything is known.
    """

    def __init__(self, processing: Processing, intensities: Sequence[Intensity] = ()) -> None:
        self._processing, self._intensities = processing, tuple(intensities)
        kinds = [type(step) for step in processing.back]
        at = kinds.index(steps.Invert)
        self._first, self._then = processing.back[:at], processing.back[at + 1 :]
        self._invert = processing.back[at]
        decision = next((s for s in processing.back if isinstance(s, steps.Decide)), None)
        self._decision = decision
        if processing.output == "image":
            if processing.classes != 1 or decision is not None:
                raise ModelError(
                    "A network that restores an image must have one output channel and no activation or threshold."
                )
        elif decision is None:
            raise ModelError("The model does not say how probabilities become labels.")
        self.is_threshold = decision is not None and decision.kind == "threshold"
        self.decides_first = any(isinstance(step, steps.Decide) for step in self._first)
        self._bits = self.is_threshold and processing.classes > 1
        if self._bits and processing.classes > _MOST_BITS:
            raise ModelError(
                f"{processing.classes} overlapping classes are too many: at most {_MOST_BITS} are supported."
            )
        self.needs_whole = self._bits or self.decides_first or any(t is steps.KeepLargest for t in kinds)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result, and of labels on the way."""
        if self._processing.output == "image":
            return np.dtype(np.float32)
        most = max((1 << self._processing.classes) - 1 if self._bits else 0, *self._processing.class_labels)
        return np.dtype(np.uint8 if most < 256 else np.uint16)

    @property
    def way(self) -> tuple[int, bool | None, float]:
        """Channels, whether to the nearest voxel, and the value where the network saw nothing, on the way back.

        The second is None where each change of the grid is undone as it was made.
        """
        kind = getattr(self._invert, "interpolation", "linear")
        nearest = True if self.decides_first else None if kind == "as-there" else kind == "nearest"
        inactive = not any(isinstance(step, steps.Activate) for step in self._first)
        fill = -_CERTAIN if self.is_threshold and inactive and not self.decides_first else 0.0
        return (1 if self.decides_first else self._processing.classes), nearest, fill

    def before(self, answer: _Floats) -> _Floats:
        """Return probabilities, where they are made before the way back, of ``(classes, k, j, i)`` logits."""
        return self._activated(answer, self._first)

    def after(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the result of a block on the scan's grid."""
        if self.decides_first:
            return values[0]
        if self._processing.output == "image":
            return self._in_units(self._activated(values, self._then)[0])
        return self._decided(self._activated(values, self._then))

    def decide(self, answer: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return labels on the network's grid."""
        return self._decided(self._activated(np.array(answer), self._first))

    def finish_early(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return labels on the network's grid after the steps that come before the way back."""
        if self._bits:
            labels = self._unfolded(labels)[0]
        return self._largest(labels, self._first)

    def finish(self, labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return the whole result after the steps that need to see all of it, and what to note of them."""
        told: dict[str, Any] = {}
        if self._processing.made is not None:
            return labels, {"share_outside_limits": self._outside(labels, self._processing.made)}
        if self._processing.output == "image":
            return labels, told
        if self._bits and not self.decides_first:
            labels, told = self._unfolded(labels)
        return self._largest(labels, self._then), told

    def _outside(self, image: npt.NDArray[Any], made: steps.ImageValues) -> float:
        """Return the share of voxels that lie where none can.

        Raises
        ------
        ModelError
            If a value is not a number.
        """
        if not np.isfinite(image).all():
            raise ModelError(
                "The network returned values that are not finite, which are no result: the scan may differ from its "
                "training data, or its weights are damaged."
            )
        if made.limits is None:
            return 0.0
        low, high = made.limits
        return round(float(np.mean((image < low) | (image > high))), 6)

    # -- inside -----------------------------------------------------------------------------------------------

    def _activated(self, values: _Floats, among: Sequence[steps.BackStep]) -> _Floats:
        for step in among:
            if isinstance(step, steps.Activate):
                values = _softmax(values) if step.kind == "softmax" else _sigmoid(values)
        return values

    def _decided(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        labels = np.array(self._processing.class_labels, self.dtype)
        if self._decision is None or self._decision.kind == "argmax":
            return labels[np.argmax(values, 0)]
        reached = values >= np.float32(self._decision.threshold)
        if not self._bits:
            return np.where(reached[0], labels[0], self.dtype.type(0))
        bits = np.zeros(values.shape[1:], self.dtype)
        for n, channel in enumerate(reached):
            bits |= channel.astype(self.dtype) << self.dtype.type(n)
        return bits

    def _unfolded(self, bits: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return labels; a voxel of several classes gets the smallest of them, so that inner parts show."""
        numbers = range(self._processing.classes)
        counts = [int(np.count_nonzero(bits & bits.dtype.type(1 << n))) for n in numbers]
        painted = next((step.order for step in self._processing.back if isinstance(step, steps.Paint)), None)
        by_size = sorted(numbers, key=lambda n: (-counts[n], n))
        if painted is not None:
            by_size = [n for n, _ in reversed(painted)]
        table = np.zeros(1 << self._processing.classes, bits.dtype)
        combinations = np.arange(len(table))
        for n in by_size:
            table[combinations >> n & 1 == 1] = self._processing.class_labels[n]
        table[0] = 0
        return table[bits], {
            "overlapping_classes_from_outer_to_inner": [self._processing.class_labels[n] for n in by_size]
        }

    def _largest(self, labels: npt.NDArray[Any], among: Sequence[steps.BackStep]) -> npt.NDArray[Any]:
        for step in among:
            if isinstance(step, steps.KeepLargest):
                labels = keep_largest(labels, step)
        return labels

    def _in_units(self, image: _Floats) -> _Floats:
        """Return an image with the scan's units, or those of what is made of it."""
        made = self._processing.made
        if made is not None:
            return image * np.float32(made.slope) + np.float32(made.intercept)
        if not self._processing.keep_scale:
            return image
        for done in reversed(self._intensities):
            scale = float(done.scale[0, 0, 0, 0])
            if scale == 0:
                raise ModelError("The scan is flat: its intensities cannot be scaled back.")
            image = (image - done.shift[0, 0, 0, 0]) / np.float32(scale)
        return image


def keep_largest(labels: npt.NDArray[Any], step: steps.KeepLargest) -> npt.NDArray[Any]:
    """Return labels with all but the largest connected parts set to 0."""
    labels = labels.copy()
    chosen = [n for n in np.unique(labels) if n != 0 and (step.labels is None or int(n) in step.labels)]
    masks = [labels == n for n in chosen] if step.independent else [np.isin(labels, chosen)]
    for mask in masks:
        labels[mask & ~_largest_parts(mask, step.connectivity, step.count)] = 0
    return labels


def _largest_parts(mask: npt.NDArray[np.bool_], connectivity: int, count: int) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found or found[0] is None:
        return mask
    parts, number = ndimage.label(mask[found[0]], ndimage.generate_binary_structure(mask.ndim, connectivity))
    if number <= count:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = np.zeros(number + 1, bool)
    kept[np.argsort(sizes, kind="stable")[::-1][:count]] = True
    out = np.zeros_like(mask)
    out[found[0]] = kept[parts]
    return out


def _softmax(values: _Floats) -> _Floats:
    values = values - values.max(0)
    np.exp(values, out=values)
    values /= values.sum(0)
    return values


def _sigmoid(values: _Floats) -> _Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))), np.float32)

"""Instance and group norms with exact statistics, in place of OpenVINO's own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import openvino

#: Above this many voxels a norm's statistics are computed in stages. OpenVINO's kernel adds up a channel of a blocked
#: layout in a single float32, so that the sum stops growing: the largest error of a normalized value (mean 1.5,
#: standard deviation 1, 16 channels, between two convolutions, OpenVINO 2026.4, against float64) is
#:
#:     voxels      OpenVINO's own     in stages     time of conv + norm + conv, in stages against its own
#:     64^3        5.6e-5             7e-7          1.0
#:     128^3       1.2e-3             3e-6          1.1 to 1.3
#:     256^3       3.1e-2             3e-6          1.1
#:
#: Means along one axis after the other do not help (3.4e-3 at 128^3): OpenVINO joins them to one sum again.
#: In bfloat16 rounding alone makes 2e-2, so that stages gain only where the sum has gone wrong altogether
#: (256^3: 4.7e-2 against 2.4e-2). Whole networks in float32 (MONAI's DynUNet, SegResNet, UNet at 96^3): the largest
#: error falls from 1e-3, 3e-5, 9e-4 of the outputs' standard deviation to 6e-5, 4e-6, 4e-5, in 1.15, 0.87, 0.89 of
#: the time; in bfloat16 it stays, in 1.05, 1.4, 1.0 of the time. To be removed when OpenVINO adds up in blocks.
#:
#: Group norms are replaced in float32 however few their voxels are: while OpenVINO 2026.4 compiles some networks with
#: them (that of few-clicks) for processors with AVX2 only, it ends the process with a segmentation fault.
_EXACT_ABOVE = {"float32": 2**16, "bfloat16": 2**22}
#: No average is taken over more than this many voxels along an axis at a time, where the axis divides so.
_STAGE = 16


def with_exact_norms(model: openvino.Model, precision: str) -> int:
    """Replace the norms over many voxels in a model, in float32 all group norms, and return how many were.

    Parameters
    ----------
    model : openvino.Model
        Altered in place; every shape in it is known.
    precision : str
        What it will be computed in: ``"float32"`` or ``"bfloat16"``.
    """
    replaced = 0
    for node in model.get_ordered_ops():
        if not _is_replaced(node, precision):
            continue
        exact = _exact_mvn(node) if node.get_type_name() == "MVN" else _exact_group_norm(node)
        exact.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(exact.output(0))
        replaced += 1
    if replaced:
        model.validate_nodes_and_infer_types()
    return replaced


def _is_replaced(node: openvino.Node, precision: str) -> bool:
    if node.get_type_name() not in ("MVN", "GroupNormalization"):
        return False
    shape = node.get_input_partial_shape(0)
    if shape.is_dynamic or len(shape.to_shape()) not in (4, 5):
        return False
    sizes = list(shape.to_shape())
    spatial = list(range(2, len(sizes)))
    is_large = math.prod(sizes[2:]) > _EXACT_ABOVE[precision]
    if node.get_type_name() == "GroupNormalization":
        return is_large or precision == "float32"
    if not is_large:
        return False
    axes = node.input_value(1).get_node()
    if axes.get_type_name() != "Constant" or not node.get_attributes()["normalize_variance"]:
        return False
    return sorted(int(a) % len(sizes) for a in np.ravel(axes.get_data())) == spatial


def _exact_mvn(node: openvino.Node) -> openvino.Node:
    """Return (x - mean) / sqrt(variance + eps) of each channel."""
    from openvino import opset13 as op

    attributes = node.get_attributes()
    source = node.input_value(0)
    centered = op.subtract(source, _mean(source))
    variance = _mean(op.multiply(centered, centered).output(0))
    return _divided(centered, variance, attributes["eps"], attributes["eps_mode"] == "INSIDE_SQRT")


def _exact_group_norm(node: openvino.Node) -> openvino.Node:
    """Return the same of each group of channels, times weight plus bias."""
    from openvino import opset13 as op

    attributes = node.get_attributes()
    source = node.input_value(0)
    shape = list(source.get_shape())
    groups = int(attributes["num_groups"])

    def over_group(means: openvino.Node) -> openvino.Node:
        grouped = op.reshape(means, _constant([shape[0], groups, shape[1] // groups]), False)
        mean = op.reduce_mean(grouped, _constant([2]), True)
        spread = op.broadcast(mean, _constant([shape[0], groups, shape[1] // groups]))
        return op.reshape(spread, _constant([*shape[:2], *[1] * (len(shape) - 2)]), False)

    centered = op.subtract(source, over_group(_mean(source)))
    variance = over_group(_mean(op.multiply(centered, centered).output(0)))
    normal = _divided(centered, variance, attributes["epsilon"], is_inside=True)
    each = _constant([1, shape[1], *[1] * (len(shape) - 2)])
    weight, bias = (op.reshape(node.input_value(n), each, False) for n in (1, 2))
    return op.add(op.multiply(normal, weight), bias)


def _divided(centered: openvino.Node, variance: openvino.Node, eps: float, is_inside: bool) -> openvino.Node:
    from openvino import opset13 as op

    small = op.constant(np.float32(eps))
    spread = op.sqrt(op.add(variance, small)) if is_inside else op.add(op.sqrt(variance), small)
    return op.multiply(centered, op.power(spread, op.constant(np.float32(-1))))


def _mean(source: openvino.Output) -> openvino.Node:
    """Return the mean of each channel, by averages of averages; all of one stage are over as many voxels."""
    from openvino import opset13 as op

    sizes = list(source.get_shape())[2:]
    made = source.get_node()
    first = True
    while first or max(sizes) > 1:
        kernel = [stage(n) for n in sizes]
        none = [0] * len(sizes)
        made = op.avg_pool(source if first else made, kernel, none, none, kernel, exclude_pad=True)
        sizes = [n // k for n, k in zip(sizes, kernel, strict=True)]
        first = False
    return made


def stage(size: int) -> int:
    """Return over how many voxels of an axis of `size` to average first: a divisor, if possible of 2 to 16."""
    if size <= _STAGE:
        return size
    fitting = [k for k in range(_STAGE, 1, -1) if size % k == 0]
    return fitting[0] if fitting else next(k for k in range(_STAGE + 1, size + 1) if size % k == 0)


def _constant(values: list[int]) -> Any:
    from openvino import opset13 as op

    return op.constant(np.asarray(values, np.int64))

"""What a network takes of the memory, reckoned from the layers that OpenVINO sees in it."""

from __future__ import annotations

from math import prod
from typing import Any

from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.base import NetworkSource
from napari_radcnn.inference.backends.openvino.cpu import convert

#: Values of half precision are computed in float32 where the two are compared.
_LEAST_BYTES = 4
#: What tells layers that hold a model of their own: loops and branches.
_INNER = ("get_function", "get_body")


def weigh(source: NetworkSource, patch: Shape) -> int:
    """Return the bytes of the weights, and of the values between layers that are there at a time at most.

    Parameters
    ----------
    source : NetworkSource
        An ONNX file.
    patch : tuple of int
        Voxels of a patch.

    Raises
    ------
    BackendError
        If OpenVINO cannot read it.
    """
    return _weigh(convert(source, patch, is_compared=False))


def _weigh(model: Any) -> int:
    weights = now = most = 0
    left: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for layer in model.get_ordered_ops():
        name = layer.get_name()
        size = sum(_bytes(output) for output in layer.outputs())
        if layer.get_type_name() == "Constant":
            weights += size
            continue
        sizes[name] = size
        left[name] = sum(len(output.get_target_inputs()) for output in layer.outputs())
        now += size
        most = max(most, now + _inner(layer))
        for value in layer.input_values():
            giver = value.get_node().get_name()
            if giver in left:
                left[giver] -= 1
                if left[giver] == 0:
                    now -= sizes[giver]
    return weights + most


def _inner(layer: Any) -> int:
    """Return what the model within a loop or a branch takes while it is computed."""
    models = [getattr(layer, name)() for name in _INNER if hasattr(layer, name) and layer.get_type_name() != "If"]
    return max((_weigh(model) for model in models[:1]), default=0)


def _bytes(output: Any) -> int:
    """Return the bytes of a value; along axes whose length hangs on other values, one."""
    shape = output.get_partial_shape()
    if shape.rank.is_dynamic:
        return 0
    lengths = [1 if length.is_dynamic else int(length.get_length()) for length in shape]
    kind = output.get_element_type()
    return prod(lengths) * (max(_LEAST_BYTES, kind.size) if kind.is_real() else int(kind.size))

"""The bytes of a small ONNX file, written by hand: the format is protocol buffers (onnx.proto, IR version 8)."""

from __future__ import annotations

import struct


def _number(value: int) -> bytes:
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def _integer(tag: int, value: int) -> bytes:
    return _number(tag << 3) + _number(value)


def _bytes(tag: int, value: bytes | str) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return _number(tag << 3 | 2) + _number(len(value)) + value


def _tensor(name: str, shape: tuple[int, ...], values: list[float]) -> bytes:
    sizes = b"".join(_integer(1, n) for n in shape)
    return sizes + _integer(2, 1) + _bytes(8, name) + _bytes(9, struct.pack(f"<{len(values)}f", *values))


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    sizes = b"".join(_bytes(1, _bytes(2, n) if isinstance(n, str) else _integer(1, n)) for n in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _integer(1, 1) + _bytes(2, sizes)))


def affine_onnx(scale: float, shift: float, channels: int = 1, spatial_dims: int = 3) -> bytes:
    """Return a model: scale * (sum over the channels) + shift, for patches of any size."""
    axes = ("k", "j", "i")[-spatial_dims:]
    node = _bytes(1, "x") + _bytes(1, "w") + _bytes(1, "b") + _bytes(2, "y") + _bytes(4, "Conv")
    weight = _tensor("w", (1, channels) + (1,) * spatial_dims, [scale] * channels)
    graph = _bytes(1, node) + _bytes(2, "g") + _bytes(5, weight) + _bytes(5, _tensor("b", (1,), [shift]))
    graph += _bytes(11, _value("x", ("n", channels, *axes))) + _bytes(12, _value("y", ("n", 1, *axes)))
    return _integer(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _integer(2, 13))


def two_affine_onnx(outputs: dict[str, tuple[float, float]]) -> bytes:
    """Return a model of one channel with several outputs: scale * x + shift each, for patches of any size."""
    axes = ("k", "j", "i")
    graph = _bytes(2, "g")
    for name, (scale, shift) in outputs.items():
        inputs = _bytes(1, "x") + _bytes(1, f"w {name}") + _bytes(1, f"b {name}")
        graph += _bytes(1, inputs + _bytes(2, name) + _bytes(4, "Conv"))
        graph += _bytes(5, _tensor(f"w {name}", (1, 1, 1, 1, 1), [scale])) + _bytes(
            5, _tensor(f"b {name}", (1,), [shift])
        )
    graph += _bytes(11, _value("x", ("n", 1, *axes)))
    for name in outputs:
        graph += _bytes(12, _value(name, ("n", 1, *axes)))
    return _integer(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _integer(2, 13))


def _scalar(name: str, kind: int) -> bytes:
    return _bytes(1, name) + _bytes(2, _bytes(1, _integer(1, kind) + _bytes(2, b"")))


def endless_onnx(turns: int = 1 << 62) -> bytes:
    """Return a model that takes the sine of its input over and over: it comes to no end."""
    patch = ("n", 1, "k", "j", "i")
    body = _bytes(1, _bytes(1, "go") + _bytes(2, "go on") + _bytes(4, "Identity"))
    body += _bytes(1, _bytes(1, "value") + _bytes(2, "sine") + _bytes(4, "Sin")) + _bytes(2, "turn")
    body += _bytes(11, _scalar("number", 7)) + _bytes(11, _scalar("go", 9)) + _bytes(11, _value("value", patch))
    body += _bytes(12, _scalar("go on", 9)) + _bytes(12, _value("sine", patch))
    loop = _bytes(1, "turns") + _bytes(1, "yes") + _bytes(1, "x") + _bytes(2, "y") + _bytes(4, "Loop")
    loop += _bytes(5, _bytes(1, "body") + _bytes(6, body) + _integer(20, 5))
    graph = _bytes(1, loop) + _bytes(2, "g")
    graph += _bytes(5, _integer(2, 7) + _bytes(8, "turns") + _bytes(9, struct.pack("<q", turns)))
    graph += _bytes(5, _integer(2, 9) + _bytes(8, "yes") + _bytes(9, b"\1"))
    graph += _bytes(11, _value("x", patch)) + _bytes(12, _value("y", patch))
    return _integer(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _integer(2, 13))


def wide_onnx(channels: int) -> bytes:
    """Return a small model that repeats its one channel so many times, adds them up again and is the sum."""
    repeats = _integer(1, 5) + _integer(2, 7) + _bytes(8, "r") + _bytes(9, struct.pack("<5q", 1, channels, 1, 1, 1))
    axes = _integer(1, 1) + _integer(2, 7) + _bytes(8, "a") + _bytes(9, struct.pack("<q", 1))
    graph = _bytes(1, _bytes(1, "x") + _bytes(1, "r") + _bytes(2, "w") + _bytes(4, "Tile"))
    graph += _bytes(1, _bytes(1, "w") + _bytes(2, "s") + _bytes(4, "Sin"))
    graph += _bytes(1, _bytes(1, "s") + _bytes(1, "a") + _bytes(2, "y") + _bytes(4, "ReduceSum"))
    graph += _bytes(2, "g") + _bytes(5, repeats) + _bytes(5, axes)
    graph += _bytes(11, _value("x", ("n", 1, "k", "j", "i"))) + _bytes(12, _value("y", ("n", 1, "k", "j", "i")))
    return _integer(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _integer(2, 13))


def mean_onnx(weight: list[list[float]], bias: list[float], patch: tuple[int, ...], end: str = "") -> bytes:
    """Return a model: bias + weight (answers x channels) @ the mean of each channel, then the activation `end`."""
    answers, channels = len(weight), len(weight[0])
    node = _bytes(1, "x") + _bytes(2, "mean") + _bytes(4, "GlobalAveragePool")
    flat = _bytes(1, "mean") + _bytes(2, "row") + _bytes(4, "Flatten")
    product = _bytes(1, "row") + _bytes(1, "w") + _bytes(2, "product") + _bytes(4, "MatMul")
    total = _bytes(1, "product") + _bytes(1, "b") + _bytes(2, "logits" if end else "y") + _bytes(4, "Add")
    graph = _bytes(1, node) + _bytes(1, flat) + _bytes(1, product) + _bytes(1, total) + _bytes(2, "g")
    if end:
        graph += _bytes(1, _bytes(1, "logits") + _bytes(2, "y") + _bytes(4, end))
    columns = [row[channel] for channel in range(channels) for row in weight]
    graph += _bytes(5, _tensor("w", (channels, answers), columns)) + _bytes(5, _tensor("b", (answers,), bias))
    graph += _bytes(11, _value("x", (1, channels, *patch))) + _bytes(12, _value("y", (1, answers)))
    return _integer(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _integer(2, 13))


def boxes_onnx(boxes: list[list[float]], bias: list[float], labels: list[int], patch: tuple[int, ...]) -> bytes:
    """Return a detector of one channel: these boxes and labels, with the scores sigmoid(bias + mean of the input)."""
    count, sides = len(boxes), len(boxes[0])
    graph = _bytes(1, _bytes(1, "x") + _bytes(2, "mean") + _bytes(4, "GlobalAveragePool"))
    graph += _bytes(1, _bytes(1, "mean") + _bytes(1, "row") + _bytes(2, "one") + _bytes(4, "Reshape"))
    graph += _bytes(1, _bytes(1, "one") + _bytes(1, "bias") + _bytes(2, "sum") + _bytes(4, "Add"))
    graph += _bytes(1, _bytes(1, "sum") + _bytes(2, "scores") + _bytes(4, "Sigmoid"))
    for name in ("boxes", "labels"):
        graph += _bytes(1, _bytes(1, f"these {name}") + _bytes(2, name) + _bytes(4, "Identity"))
    graph += _bytes(2, "g") + _bytes(5, _tensor("bias", (count,), bias))
    graph += _bytes(5, _tensor("these boxes", (count, sides), [value for box in boxes for value in box]))
    whole = struct.pack(f"<{count}q", *labels)
    graph += _bytes(5, _integer(1, count) + _integer(2, 7) + _bytes(8, "these labels") + _bytes(9, whole))
    graph += _bytes(5, _integer(1, 1) + _integer(2, 7) + _bytes(8, "row") + _bytes(9, struct.pack("<q", 1)))
    graph += _bytes(11, _value("x", (1, 1, *patch)))
    graph += _bytes(12, _value("boxes", (count, sides))) + _bytes(12, _value("scores", (count,)))
    graph += _bytes(
        12, _bytes(1, "labels") + _bytes(2, _bytes(1, _integer(1, 7) + _bytes(2, _bytes(1, _integer(1, count)))))
    )
    return _integer(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _integer(2, 13))


def several_means_onnx(weights: list[list[float]], values: list[float], bias: float, patch: tuple[int, ...]) -> bytes:
    """Return a model of several images and a row: bias + the weighted means of all channels + values @ row."""
    graph, terms = _bytes(2, "g"), []
    for number, row in enumerate(weights):
        name = f"x{number}"
        graph += _bytes(1, _bytes(1, name) + _bytes(2, f"m{number}") + _bytes(4, "GlobalAveragePool"))
        graph += _bytes(1, _bytes(1, f"m{number}") + _bytes(2, f"f{number}") + _bytes(4, "Flatten"))
        graph += _bytes(
            1, _bytes(1, f"f{number}") + _bytes(1, f"w{number}") + _bytes(2, f"p{number}") + _bytes(4, "MatMul")
        )
        graph += _bytes(5, _tensor(f"w{number}", (len(row), 1), row))
        graph += _bytes(11, _value(name, ("n", len(row), *patch)))
        terms.append(f"p{number}")
    if values:
        graph += _bytes(1, _bytes(1, "row") + _bytes(1, "v") + _bytes(2, "pv") + _bytes(4, "MatMul"))
        graph += _bytes(5, _tensor("v", (len(values), 1), values)) + _bytes(11, _value("row", ("n", len(values))))
        terms.append("pv")
    before = "bias"
    for number, term in enumerate(terms):
        after = "y" if number == len(terms) - 1 else f"sum{number}"
        graph += _bytes(1, _bytes(1, before) + _bytes(1, term) + _bytes(2, after) + _bytes(4, "Add"))
        before = after
    graph += _bytes(5, _tensor("bias", (1, 1), [bias])) + _bytes(12, _value("y", ("n", 1)))
    return _integer(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _integer(2, 13))

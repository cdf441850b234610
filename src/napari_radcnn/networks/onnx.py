"""ONNX: what a file holds, told from its own bytes before any runtime opens it.

An ONNX model is a message in Protocol Buffers' wire format; only what is asked here is followed, so that no package is
needed. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_radcnn.errors import ModelError

#: Messages within messages that may hold a tensor, by kind of message and field number.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
#: The domain of ONNX's operations for what is no neural network: trees, vector machines, and so on.
CLASSICAL = "ai.onnx.ml"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST, _MOST_MESSAGES = 64, 2_000_000


@dataclass(frozen=True)
class OnnxValue:
    """An input or an output: its name and shape, None where a length is free."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxInfo:
    """What is known of an ONNX file without running it."""

    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]
    #: What kind of node makes each of the main graph's values, by its name: ``"Softmax"``.
    ends: Mapping[str, str] = field(default_factory=dict)
    #: Operations of `CLASSICAL`, such as ``"TreeEnsembleClassifier"``.
    classical: tuple[str, ...] = ()


def read_onnx(path: Path) -> OnnxInfo:
    """Return the inputs and outputs of a model whose weights lie in the file itself.

    Raises
    ------
    ModelError
        If it is no ONNX file, cut short, or keeps weights in other files.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return _Walk(path, mapped).run()
    except ValueError as error:  # an empty file cannot be mapped
        raise ModelError(f"{path.name}: the file is empty.") from error
    except OSError as error:
        raise ModelError(f"{path.name}: the file cannot be read: {error.strerror or error}.") from error


class _Walk:
    """One pass over the messages of a file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data = path, data
        self.messages = 0
        self.inputs: list[OnnxValue] = []
        self.outputs: list[OnnxValue] = []
        self.weights: set[str] = set()
        self.kinds: dict[str, str] = {}
        self.classical: dict[str, None] = {}

    def run(self) -> OnnxInfo:
        has_graph = False
        for number, kind, start, _ in self.fields(0, len(self.data)):
            if number == 1 and kind == _VARINT and start > 1_000:
                raise self.damaged("its version is not an ONNX version")
            has_graph |= number == 7 and kind == _BYTES
        if not has_graph:
            raise self.damaged("it contains no graph")
        self.visit("model", 0, len(self.data), 0)
        inputs = tuple(value for value in self.inputs if value.name not in self.weights)
        if not inputs or not self.outputs:
            raise self.damaged("its graph has no input or no output")
        made = {value.name: self.kinds[value.name] for value in self.outputs if value.name in self.kinds}
        return OnnxInfo(inputs, tuple(self.outputs), made, tuple(self.classical))

    def visit(self, what: str, start: int, stop: int, depth: int) -> None:
        self.messages += 1
        if depth > _DEEPEST or self.messages > _MOST_MESSAGES:
            raise self.damaged("it has too many messages, or they are nested too deeply")
        for number, kind, first, last in self.fields(start, stop):
            inner = _INSIDE.get(what, {}).get(number)
            if inner is None or kind != _BYTES:
                continue
            if inner == "tensor":
                self.tensor(first, last, is_weight=what == "graph")
            elif inner in ("input", "output"):
                if depth == 1:  # of the main graph; those of loops and branches are of no interest
                    (self.inputs if inner == "input" else self.outputs).append(self.value(first, last))
            else:
                if inner == "node":
                    self.node(first, last, is_main=depth == 1)
                self.visit(inner, first, last, depth + 1)

    def node(self, start: int, stop: int, is_main: bool) -> None:
        """Note what kind of node makes which values: output (2), op_type (4), domain (7)."""
        texts = [
            (number, self.text(first, last))
            for number, kind, first, last in self.fields(start, stop)
            if kind == _BYTES and number in (2, 4, 7)
        ]
        kind_of_node = next((text for number, text in texts if number == 4), "")
        if is_main:
            self.kinds |= {text: kind_of_node for number, text in texts if number == 2}
        if (7, CLASSICAL) in texts:
            self.classical[kind_of_node] = None

    def tensor(self, start: int, stop: int, is_weight: bool) -> None:
        place = ""
        is_external = False
        for number, kind, first, last in self.fields(start, stop):
            if number == 8 and kind == _BYTES and is_weight:
                self.weights.add(self.text(first, last))
            if number == 14 and kind == _VARINT:
                is_external |= first == 1
            if number == 13 and kind == _BYTES:
                is_external = True
                entry = {n: self.text(f, e) for n, k, f, e in self.fields(first, last) if k == _BYTES}
                place = entry.get(2, "") if entry.get(1) == "location" else place
        if is_external:
            raise self.external(place)

    def external(self, place: str) -> ModelError:
        folder = self.path.parent.resolve()
        is_outside = not place or not (folder / place.replace("\\", "/")).resolve().is_relative_to(folder)
        where = f"outside its folder ('{place[:60]}')" if is_outside else f"in another file ('{place[:60]}')"
        return ModelError(
            f"{self.path.name}: the model keeps weights {where}, which is not allowed because they cannot be "
            "verified with the model. Save it as one file: onnx.save(onnx.load(...), ..., "
            "save_as_external_data=False)."
        )

    def value(self, start: int, stop: int) -> OnnxValue:
        name = ""
        shape: tuple[int | None, ...] = ()
        for number, kind, first, last in self.fields(start, stop):
            if number == 1 and kind == _BYTES:
                name = self.text(first, last)
            if number == 2 and kind == _BYTES:
                shape = self.shape(first, last)
        return OnnxValue(name, shape)

    def shape(self, start: int, stop: int) -> tuple[int | None, ...]:
        """Return the lengths in a TypeProto: tensor_type (1), its shape (2), its dim (1), their dim_value (1)."""
        found: list[int | None] = []
        for _, _, first, last in self.only(1, start, stop):
            for _, _, first_, last_ in self.only(2, first, last):
                for _, _, begin, end in self.only(1, first_, last_):
                    lengths = [v for number, kind, v, _ in self.fields(begin, end) if (number, kind) == (1, _VARINT)]
                    found.append(lengths[0] if lengths and 0 < lengths[0] < 1 << 31 else None)
        return tuple(found)

    def only(self, wanted: int, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        return (field for field in self.fields(start, stop) if field[0] == wanted and field[1] == _BYTES)

    def fields(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield number and kind of each field, with its value for a varint, else where its bytes begin and end."""
        at = start
        while at < stop:
            key, at = self.varint(at, stop)
            number, kind = key >> 3, key & 7
            if kind == _VARINT:
                value, at = self.varint(at, stop)
                yield number, kind, value, 0
                continue
            if kind == _BYTES:
                length, at = self.varint(at, stop)
            elif kind in (_FIXED32, _FIXED64):
                length = 4 if kind == _FIXED32 else 8
            else:
                raise self.damaged("its content is not protobuf")
            if number == 0 or length > stop - at:
                raise self.damaged("it is truncated or its content is not protobuf")
            yield number, kind, at, at + length
            at += length

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        value = shift = 0
        while at < stop and shift < 70:
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                return value, at
        raise self.damaged("it is truncated or its content is not protobuf")

    def text(self, start: int, stop: int) -> str:
        return self.data[start : min(stop, start + 4096)].decode("utf-8", "replace")

    def damaged(self, cause: str) -> ModelError:
        return ModelError(f"{self.path.name}: not a valid ONNX file: {cause}; download or copy it again.")

"""Safetensors: eight bytes of length, a header in JSON, then the numbers; nothing in it can be code.

Format: https://github.com/huggingface/safetensors#format. Every offset is checked before a byte of data is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import ModelError

if TYPE_CHECKING:
    import torch

#: Bytes a number; the names are those of the format.
_SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8}
_TORCH = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "F32": "float32",
    "I64": "int64",
    "F64": "float64",
}
#: As the format's own library allows.
_MOST_HEADER = 100_000_000


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: its type, shape and place in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def looks_like_safetensors(path: Path) -> bool:
    """Whether the file begins as the format does."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and int.from_bytes(start[:8], "little") < path.stat().st_size and start[8:] == b"{"


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Return the tensors of a file by name, all offsets checked.

    Raises
    ------
    ModelError
        If the file is cut short, or its header does not describe exactly the bytes that follow.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(_MOST_HEADER, size - 8):
                raise _damaged(path, f"its header claims {length} bytes, the file has {size}")
            header = json.loads(file.read(length), object_pairs_hook=lambda pairs: _no_duplicates(path, pairs))
    except OSError as error:
        raise ModelError(f"{path.name}: the file cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is no JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no JSON object")
    entries = {name: _entry(path, name, value) for name, value in header.items() if name != "__metadata__"}
    at = 0
    for entry in sorted(entries.values(), key=lambda e: (e.begin, e.end)):
        if entry.begin != at:
            raise _damaged(path, "its tensors overlap or leave gaps")
        at = entry.end
    if not entries or at != size - 8 - length:
        raise _damaged(path, f"its tensors take {at} bytes, but {size - 8 - length} follow the header")
    return entries


def load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, on the CPU.

    Raises
    ------
    ModelError
        As `read_header` does.
    """
    import torch

    entries = read_header(path)
    start = path.stat().st_size - max(entry.end for entry in entries.values())
    tensors = {}
    with path.open("rb") as file:
        for name, entry in entries.items():
            file.seek(start + entry.begin)
            data = bytearray(file.read(entry.end - entry.begin))
            kind = getattr(torch, _TORCH[entry.dtype])
            flat = torch.frombuffer(data, dtype=kind) if data else torch.empty(0, dtype=kind)
            tensors[name] = flat.reshape(entry.shape)
    return tensors


def _entry(path: Path, name: str, value: Any) -> TensorEntry:
    shown = name[:60]
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, f"'{shown}' is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise _damaged(path, f"'{shown}' is of a type that is not read ({str(dtype)[:20]})")
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
            raise _damaged(path, f"'{shown}' has a shape or offsets that are no counts")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * _SIZES[dtype]:
        raise _damaged(path, f"the shape of '{shown}' does not match its bytes")
    return TensorEntry(dtype, tuple(shape), offsets[0], offsets[1])


def _no_duplicates(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _damaged(path, "a name occurs twice in its header")
    return found


def _damaged(path: Path, cause: str) -> ModelError:
    return ModelError(f"{path.name}: no sound safetensors file: {cause}; get it again.")


def write_safetensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors, by name, to a new file; one that exists is replaced."""
    import torch

    kinds = {getattr(torch, theirs): ours for ours, theirs in _TORCH.items()}
    header: dict[str, Any] = {}
    parts, end = [], 0
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        part = tensor.view(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": kinds[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [end, end + len(part)],
        }
        parts.append(part)
        end += len(part)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(parts))

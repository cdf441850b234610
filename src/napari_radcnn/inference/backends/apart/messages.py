"""What is said between the two processes: words as JSON and, behind them, the numbers of an array."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from napari_radcnn.networks.files import FileNetwork, open_network
from napari_radcnn.spec.patches import Architecture, NetworkFile

_LENGTHS = struct.Struct("<QQ")
Words = dict[str, Any]
Message = tuple[Words, npt.NDArray[np.float32] | None]


def send(pipe: BinaryIO, words: Mapping[str, Any], array: npt.NDArray[np.float32] | None = None) -> None:
    """Write a message.

    Parameters
    ----------
    pipe : file
        Opened for bytes.
    words : mapping
        What JSON can hold.
    array : array of float32, optional
        Of any shape.
    """
    shape = None if array is None else list(array.shape)
    head = json.dumps({**words, "shape": shape}).encode()
    data = b"" if array is None else np.ascontiguousarray(array, np.float32).reshape(-1).view(np.uint8).data
    pipe.write(_LENGTHS.pack(len(head), len(data)))
    pipe.write(head)
    pipe.write(data)
    pipe.flush()


def receive(pipe: BinaryIO) -> Message | None:
    """Read a message; None where the other process has closed the pipe or ended in the middle of one."""
    lengths = _exactly(pipe, _LENGTHS.size)
    if lengths is None:
        return None
    head_length, data_length = _LENGTHS.unpack(lengths)
    head, data = _exactly(pipe, head_length), _exactly(pipe, data_length)
    if head is None or data is None:
        return None
    words: Words = json.loads(head)
    shape = words.pop("shape")
    return words, None if shape is None else np.frombuffer(data, np.float32).reshape(shape)


def _exactly(pipe: BinaryIO, length: int) -> bytearray | None:
    """Return this many bytes; None where there are fewer."""
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        count = pipe.readinto(view[done:])  # type: ignore[attr-defined]  # every file of bytes has it
        if not count:
            return None
        done += count
    return data


def network_words(network: FileNetwork) -> Words:
    """Return a network of a file as words, for another process."""
    file, made = network.file, network.file.architecture
    return {
        "path": str(file.path),
        "sha256": file.sha256,
        "kind": file.kind,
        "entry": list(file.entry),
        "output": file.output,
        "parts": list(file.parts),
        "architecture": None if made is None else {"name": made.name, "arguments": dict(made.arguments)},
        "channels": network.channels,
        "spatial_dims": network.spatial_dims,
    }


def network_of(words: Words) -> FileNetwork:
    """Return the network that was made into words."""
    made = words["architecture"]
    architecture = None if made is None else Architecture(made["name"], made["arguments"])
    entry = tuple(words["entry"])
    output = words["output"]
    output = tuple(output) if isinstance(output, list) else output
    place, parts = Path(words["path"]), tuple(words["parts"])
    file = NetworkFile(place, words["sha256"], words["kind"], architecture, entry, output, parts)
    return open_network(file, channels=words["channels"], spatial_dims=words["spatial_dims"])

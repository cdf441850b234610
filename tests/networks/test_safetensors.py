"""Weights in the safetensors format: against files that are written by the published format, byte by byte."""

from __future__ import annotations

import json
import stat
import struct

import pytest
import torch

import model_factory
from napari_radcnn.errors import ModelError
from napari_radcnn.networks.safetensors import (
    load_safetensors,
    looks_like_safetensors,
    read_shapes,
    write_safetensors,
)


@pytest.mark.parametrize("data", [b"", bytes(7), struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 3) + b"{}"])
def test_a_file_that_is_shorter_than_its_header_is_refused(tmp_path, data):
    (tmp_path / "a.safetensors").write_bytes(data)
    for read in (load_safetensors, read_shapes):
        with pytest.raises(ModelError, match=r"^a\.safetensors: not a valid safetensors file: .*header.*; download"):
            read(tmp_path / "a.safetensors")


def test_a_file_of_weights_that_is_gone_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"^gone\.safetensors: the file cannot be read: No such file or directory\.$"):
        load_safetensors(tmp_path / "gone.safetensors")


def test_tensors_do_not_change_with_their_file(tmp_path):
    path = model_factory.write_safetensors(tmp_path / "a.safetensors", {"a": torch.arange(6.0).reshape(2, 3)})
    loaded = load_safetensors(path)["a"]
    with path.open("r+b") as file:
        file.seek(-24, 2)
        file.write(bytes(24))
    assert torch.equal(loaded, torch.arange(6.0).reshape(2, 3))
    assert torch.equal(load_safetensors(path)["a"], torch.zeros(2, 3))


def test_safetensors_hold_every_type(tmp_path):
    torch.manual_seed(1)
    tensors = {
        "a": torch.randn(2, 3, 4),
        "b": torch.tensor([1, -5, 1 << 40]),
        "c": torch.randn(5).half(),
        "d": torch.randn(3, 2).bfloat16(),
        "empty": torch.zeros(0, 3),
    }
    loaded = load_safetensors(model_factory.write_safetensors(tmp_path / "a.safetensors", tensors))
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert all(loaded[name].dtype == tensors[name].dtype for name in tensors)
    assert read_shapes(tmp_path / "a.safetensors") == {name: tuple(value.shape) for name, value in tensors.items()}


def test_what_is_written_has_the_published_format_and_is_the_same_each_time(tmp_path):
    tensors = {"b.weight": torch.arange(6.0).reshape(2, 3).half().T, "a.bias": torch.tensor([1.5, -2.0]).half()}
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"older")
    write_safetensors(tensors, path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert length % 8 == 0
    assert json.loads(data[8 : 8 + length]) == {
        "a.bias": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        "b.weight": {"dtype": "F16", "shape": [3, 2], "data_offsets": [4, 16]},
    }
    assert data[8 + length :] == struct.pack("<8e", 1.5, -2, 0, 3, 1, 4, 2, 5)
    write_safetensors(dict(reversed(tensors.items())), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == data


def test_others_may_read_what_is_written(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_safetensors({"a": torch.zeros(2)}, tmp_path / "net.safetensors")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "net.safetensors")]
    assert modes[0] == modes[1]


def test_safetensors_are_recognized_by_their_first_bytes(tmp_path):
    path = model_factory.write_safetensors(tmp_path / "a.bin", {"a": torch.zeros(2)})
    assert looks_like_safetensors(path)
    path.write_bytes(path.read_bytes()[:40])
    assert not looks_like_safetensors(path)

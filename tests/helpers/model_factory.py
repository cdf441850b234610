"""Small models of every format, with known results or random weights, written where a test wants them."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

UNET = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2], "norm": "batch"}
METADATA = {
    "name": "Two Organs",
    "version": "0.3.1",
    "description": "Finds a liver and a spleen.",
    "network_data_format": {
        "inputs": {"image": {"modality": "CT", "num_channels": 1, "channel_def": {"0": "image"}}},
        "outputs": {
            "pred": {
                "format": "segmentation",
                "num_channels": 3,
                "channel_def": {"0": "background", "1": "liver", "2": "spleen"},
            }
        },
    },
}


def unet(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """Return a small MONAI UNet whose random weights give varied answers."""
    from monai.networks.nets import UNet

    torch.manual_seed(seed)
    network = UNet(**{**UNET, **changes}).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)
    return network


def inference_config(**changes: Any) -> dict[str, Any]:
    """Return a configuration as the bundles of MONAI's model zoo have it, with its harmless expressions."""
    config: dict[str, Any] = {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/workspace/data",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "UNet", **UNET},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "@image_key"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -57,
                    "a_max": 164,
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": "image", "device": "@device"},
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [16, 16, 16],
            "sw_batch_size": 4,
            "overlap": 0.5,
            "mode": "gaussian",
            "sw_device": "@device",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": False,
                    "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
            ],
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            }
        ],
        "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "network": "@network", "amp": True},
        "initialize": ["$setattr(torch.backends.cudnn, 'benchmark', True)"],
        "run": ["$@evaluator.run()"],
    }
    return config | changes


def write_bundle(
    folder: Path, weights: torch.nn.Module | None = None, metadata: Any = METADATA, **changes: Any
) -> Path:
    """Write a bundle as a folder; `changes` replace keys of its inference.json."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps(inference_config(**changes)))
    torch.save((unet() if weights is None else weights).state_dict(), folder / "models" / "model.pt")
    return folder


def zipped(folder: Path, target: Path) -> Path:
    """Pack a folder with its name, as bundles are published."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    return target


def write_safetensors(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """Write a safetensors file by the published format, without the library."""
    names = {torch.float32: "F32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else tensor.numpy().tobytes()
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


# -- ONNX, by hand: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto -----------------------------------------


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _value_info(name: str, shape: list[int | str]) -> bytes:
    dims = b"".join(_field(1, _field(1, n) if isinstance(n, int) else _field(2, n)) for n in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _tensor(name: str, array: np.ndarray, external: str | None = None) -> bytes:
    out = b"".join(_field(1, n) for n in array.shape) + _field(2, 1) + _field(8, name)
    if external is None:
        return out + _field(9, array.astype("<f4").tobytes())
    return out + _field(13, _field(1, "location") + _field(2, external)) + _field(14, 1)


def write_onnx(
    path: Path, weight: np.ndarray, bias: np.ndarray, patch: tuple[int, ...], external: str | None = None
) -> Path:
    """Write one convolution with kernel size 1: ``weight`` is (classes, channels), ``bias`` (classes,)."""
    classes, channels = weight.shape
    kernel = weight.reshape(classes, channels, *([1] * len(patch)))
    node = _field(1, "x") + _field(1, "w") + _field(1, "b") + _field(2, "y") + _field(4, "Conv")
    graph = (
        _field(1, node)
        + _field(2, "net")
        + _field(5, _tensor("w", kernel, external))
        + _field(5, _tensor("b", bias))
        + _field(11, _value_info("x", [1, channels, *patch]))
        + _field(12, _value_info("y", [1, classes, *patch]))
    )
    path.write_bytes(_field(1, 8) + _field(2, "tests") + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path


def describe(path: Path, **changes: Any) -> Path:
    """Write a ``model.json`` for a network of one input and three classes."""
    description: dict[str, Any] = {
        "schema": "radcnn-model/1",
        "name": "Two Organs",
        "task": "segmentation",
        "inputs": [{"name": "CT", "modalities": ["CT"]}],
        "classes": ["background", "liver", "spleen"],
        "orientation": "SPL",
        "spacing": [2.0, 1.5, 1.5],
        "intensity": [{"step": "range", "low": -57, "high": 164, "to_low": 0, "to_high": 1, "clip": True}],
        "patch": [16, 16, 16],
    }
    description |= changes
    path.write_text(json.dumps({key: value for key, value in description.items() if value is not ...}))
    return path

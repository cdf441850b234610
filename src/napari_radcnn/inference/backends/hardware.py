"""What this computer can compute with. Imports torch only where it has to."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from functools import cache

from napari_radcnn.inference.devices import torch_device
from napari_radcnn.inference.settings import RunSettings


def package_version(name: str) -> str:
    """Return the version of an installed package, ``"none"`` if it is not."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def has_openvino() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def device_name(settings: RunSettings) -> str:
    """Return where a run computes: ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises
    ------
    ResourceError
        If the device asked for is not there.
    """
    if settings.device == "cpu":
        return "cpu"
    if settings.device == "auto" and (sys.platform == "darwin" or package_version("torch").endswith("+cpu")):
        return "cpu"  # a torch without CUDA: known without the seconds its import takes
    return torch_device(settings).type


@cache
def cpu_computes_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16 (AVX512-BF16 or AMX; on Arm, BF16)."""
    import torch

    told = torch.cpu.get_capabilities()
    return any(told.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))

"""What this computer can compute with. Imports torch only where it has to."""

from __future__ import annotations

import importlib.util
import platform
import sys
from functools import cache

from napari_radcnn.inference.devices import torch_device
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.version import package_version


def has_openvino() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def has_onnxruntime() -> bool:
    """Return whether ONNX Runtime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


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
def cpu_computes_bfloat16(backend: str) -> bool:
    """Return whether ``"torch"`` or ``"openvino"`` has instructions for bfloat16 on this processor.

    They are AVX512-BF16 or AMX, and BF16 on Arm, which only torch uses.
    """
    if backend == "openvino":
        from napari_radcnn.inference.backends.openvino.cpu import openvino_core

        return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if has_openvino() and platform.machine().lower() in ("x86_64", "amd64"):
        return cpu_computes_bfloat16("openvino")  # the same, and known without the seconds torch's import takes
    import torch

    told = torch.cpu.get_capabilities()
    return any(told.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def cuda_computes_bfloat16() -> bool:
    """Return whether the CUDA card has instructions for bfloat16; it is there."""
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)


def cuda_name() -> str:
    """Return the name of the CUDA card; it is there."""
    import torch

    return torch.cuda.get_device_name()

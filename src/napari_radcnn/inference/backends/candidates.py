"""The ways to compute a network on this computer."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.backends.hardware import (
    cpu_computes_bfloat16,
    cuda_computes_bfloat16,
    device_name,
    has_openvino,
)
from napari_radcnn.inference.settings import RunSettings


@dataclass(frozen=True)
class Candidate:
    """A way to compute.

    Attributes
    ----------
    backend : str
        ``"torch"``, ``"openvino"``, ``"cuda"``, ``"mps"``.
    precision : str
        ``"float32"``, ``"bfloat16"``, ``"float16"``.
    """

    backend: str
    precision: str

    def __str__(self) -> str:
        names = {"torch": "PyTorch", "openvino": "OpenVINO", "cuda": "CUDA", "mps": "MPS"}
        return f"{names[self.backend]} in {self.precision}"


def candidates(settings: RunSettings, *, is_onnx: bool) -> tuple[Candidate, ...]:
    """Return the ways to compute a network here that fit the settings, fastest first.

    Parameters
    ----------
    settings : RunSettings
        Device and precision.
    is_onnx : bool
        Whether the network is an ONNX file: it runs in OpenVINO only.

    Raises
    ------
    ResourceError
        If nothing fits; it says what would.
    """
    device = device_name(settings)
    ways = _on(device)
    if settings.device == "auto" and device != "cpu":
        ways += _on("cpu")
    there = [c for c in ways if c.backend == "openvino" or not is_onnx]
    if not there:
        raise ResourceError(
            f"A network in an ONNX file runs on the processor with OpenVINO, which is "
            f"{'installed: use --device cpu.' if has_openvino() else 'not installed: pip install napari-radcnn[cpu].'}"
        )
    fitting = tuple(c for c in there if settings.precision in ("auto", c.precision))
    if not fitting:
        offered = ", ".join(dict.fromkeys(c.precision for c in reversed(there)))
        raise ResourceError(
            f"This computer's {_DEVICES[device]} cannot run this network in {settings.precision}; it supports: "
            f"{offered}."
        )
    return fitting


_DEVICES = {"cpu": "processor", "cuda": "graphics card", "mps": "graphics processor (MPS)"}


def _on(device: str) -> tuple[Candidate, ...]:
    """Return every way to compute on a device, fastest first.

    The order on the processor is that of a U-Net at 128^3 with 2 cores that have AMX, against PyTorch in float32:
    OpenVINO in bfloat16 8.6 times as fast, PyTorch in bfloat16 4.8, OpenVINO in float32 1.8. With 2 cores that have
    AVX512-BF16 only (AMD), DynUNet, SegResNet and UNet of MONAI at 96^3: 3.4 to 5.5, 2.1 to 2.5, 1.9 to 2.8.
    """
    if device == "cuda":
        precisions = ("bfloat16", "float16", "float32") if cuda_computes_bfloat16() else ("float16", "float32")
        return tuple(Candidate("cuda", p) for p in precisions)
    if device == "mps":
        return tuple(Candidate("mps", p) for p in ("float16", "float32"))
    backends = ("openvino", "torch") if has_openvino() else ("torch",)
    return tuple(
        Candidate(backend, precision)
        for precision in ("bfloat16", "float32")
        for backend in backends
        if precision == "float32" or cpu_computes_bfloat16(backend)
    )

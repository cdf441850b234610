"""The ways to compute a network on this computer."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.backends.hardware import (
    cpu_computes_bfloat16,
    cuda_computes_bfloat16,
    device_name,
    has_onnxruntime,
    has_openvino,
)
from napari_radcnn.inference.settings import RunSettings


@dataclass(frozen=True)
class Candidate:
    """A way to compute.

    Attributes
    ----------
    backend : str
        ``"torch"``, ``"openvino"``, ``"onnxruntime"``, ``"cuda"``, ``"mps"``.
    precision : str
        ``"float32"``, ``"bfloat16"``, ``"float16"``.
    """

    backend: str
    precision: str

    def __str__(self) -> str:
        return f"{_NAMES[self.backend]} in {self.precision}"


def candidates(settings: RunSettings, *, is_onnx: bool, is_classical: bool = False) -> tuple[Candidate, ...]:
    """Return the ways to compute a network here that fit the settings, fastest first.

    Parameters
    ----------
    settings : RunSettings
        Device and precision.
    is_onnx : bool
        Whether the network is an ONNX file: it runs in OpenVINO, where that is missing in ONNX Runtime.
    is_classical : bool
        Whether that file has operations for what is no neural network, such as trees: they run in ONNX Runtime only.

    Raises
    ------
    ResourceError
        If nothing fits; it says what would.
    """
    device = device_name(settings)
    ways = _on(device)
    if settings.device == "auto" and device != "cpu":
        ways += _on("cpu")
    if is_onnx:
        ways = _for_onnx(ways, is_classical)
    fitting = tuple(c for c in ways if settings.precision in ("auto", c.precision))
    if not fitting:
        offered = ", ".join(dict.fromkeys(c.precision for c in reversed(ways)))
        raise ResourceError(
            f"This computer's {_DEVICES[device]} cannot run this network in {settings.precision}; it supports: "
            f"{offered}."
        )
    return fitting


def _for_onnx(ways: tuple[Candidate, ...], is_classical: bool) -> tuple[Candidate, ...]:
    """Return the ways to compute an ONNX file, all of one program."""
    has_processor = any(way.backend == "torch" for way in ways)
    if is_classical or (has_onnxruntime() and not has_openvino()):
        if has_processor and has_onnxruntime():
            return (Candidate("onnxruntime", "float32"),)
        what = (
            "This ONNX file has operations for what is no neural network (ai.onnx.ml: trees, linear models, ...); they "
            "run on the processor with ONNX Runtime"
        )
        raise _missing(what, has_onnxruntime(), "onnx")
    there = tuple(way for way in ways if way.backend == "openvino")
    if not there:
        raise _missing("A network in an ONNX file runs on the processor with OpenVINO", has_openvino(), "cpu")
    return there


def _missing(what: str, is_installed: bool, extra: str) -> ResourceError:
    told = "installed: use --device cpu." if is_installed else f"not installed: pip install napari-radcnn[{extra}]."
    return ResourceError(f"{what}, which is {told}")


_NAMES = {
    "torch": "PyTorch",
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "cuda": "CUDA",
    "mps": "MPS",
}
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

"""OpenVINO on the processor."""

from __future__ import annotations

import sys
import threading
import warnings
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.base import BackendError, NetworkSource, OutOfMemoryError, Patch
from napari_radcnn.inference.backends.openvino.norms import with_exact_norms
from napari_radcnn.inference.backends.openvino.rounding import round_carefully
from napari_radcnn.inference.backends.shapes import batched
from napari_radcnn.networks.outputs import choose_name, pack

if TYPE_CHECKING:
    from types import ModuleType

    import openvino
    import torch

_TELEMETRY = "openvino_telemetry"
#: What a network without a file of its own is called in a message.
_ANY = "The network"


def import_openvino() -> ModuleType:
    """Import OpenVINO with its usage statistics off.

    OpenVINO sends usage statistics to Google Analytics when it is imported and at every conversion, unless a file in
    the user's home says otherwise or its package `openvino-telemetry` is missing: then it uses a class of its own that
    does nothing. That is what it finds here. If something else in this process imported it before, its name for that
    package is pointed to the same class: what was sent by then was sent by that program, but nothing is sent by ours.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]  # None: importing it raises ImportError
    import openvino
    from openvino.tools.ovc import telemetry_stub

    real = sys.modules.get(_TELEMETRY)
    if real is not None:
        for name, module in list(sys.modules.items()):
            if name.startswith("openvino.") and getattr(module, "tm", None) is real:
                module.tm = telemetry_stub  # type: ignore[attr-defined]
    return openvino


def openvino_core() -> Any:
    """Return the one `openvino.Core` of this process, which is never destroyed.

    Its CPU plugin gives the thread that creates it a stack for signal handlers, and unmaps that stack when the last
    core is destroyed. If another thread does that, as the garbage collector may, the first one keeps the address: the
    next Ctrl-C ends the process with a segmentation fault (seen with OpenVINO 2026.4).
    """
    with _core_lock:
        if not _cores:
            _cores.append(import_openvino().Core())
        return _cores[0]


_core_lock = threading.Lock()
_cores: list[Any] = []


class OpenVINOPredictor:
    """A network compiled by OpenVINO for the processor and one patch shape.

    Parameters
    ----------
    model : openvino.Model
        Of one input ``(1, channels, *patch)``. Its norms over many voxels are replaced.
    spatial_dims : int
        2 or 3.
    precision : str
        ``"float32"`` or ``"bfloat16"``.
    threads : int
        Threads it computes with.
    is_packed : bool
        Whether all its outputs are the answer, which then is a row of numbers, see `napari_radcnn.networks.outputs`.
    """

    backend = "openvino"
    device = "cpu"

    def __init__(
        self, model: openvino.Model, spatial_dims: int, precision: str, threads: int, is_packed: bool = False
    ) -> None:
        ov = import_openvino()
        self.precision, self._is_packed = precision, is_packed
        self.agreement: float | None = None
        self.measured_on: str | None = None
        self._spatial_dims = spatial_dims
        hint = ov.properties.hint
        config = {
            hint.performance_mode: hint.PerformanceMode.LATENCY,
            hint.inference_precision: ov.Type.f32 if precision == "float32" else ov.Type.bf16,
            # Threads that are bound to a processor are in each other's way where two programs run at a time.
            hint.enable_cpu_pinning: False,
            ov.properties.inference_num_threads: threads,
            ov.properties.num_streams: 1,
        }
        try:
            with_exact_norms(model, precision)
            if precision == "bfloat16":
                round_carefully(model)
            self._request: Any = openvino_core().compile_model(model, "CPU", config).create_infer_request()
        except RuntimeError as error:
            raise _memory_error(error) or BackendError(
                f"OpenVINO cannot compile the network: {_line(error)}"
            ) from error

    def __call__(self, patch: Patch) -> Patch:
        """Return ``(classes, k, j, i)`` of a ``(channels, k, j, i)`` patch; see `Predictor`."""
        if self._request is None:
            raise ModelError("This network has been closed; open it again.")
        batch = batched(patch, self._spatial_dims)
        try:
            answers = self._request.infer({0: batch}, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise _memory_error(error) or BackendError(f"OpenVINO cannot run the network: {_line(error)}") from error
        if self._is_packed:
            return pack([answers[number] for number in range(len(answers))])
        found: Patch = answers[0][0]
        return found if self._spatial_dims == 3 else found[:, None]

    def close(self) -> None:
        """Give its memory back."""
        self._request = None


def convert(source: NetworkSource, patch: Shape, *, is_compared: bool) -> openvino.Model:
    """Return a network as OpenVINO's model for one patch shape.

    Parameters
    ----------
    source : NetworkSource
        The network: an ONNX file, TorchScript, or a torch module, which is traced.
    patch : tuple of int
        Voxels of a patch; 1 along k for a network of two dimensions.
    is_compared : bool
        Whether the output will be compared with torch's. Then a module is traced with a patch of half the size along
        each axis, if that works, since tracing runs the network in float32 once: an eighth of the time and memory.

    Raises
    ------
    BackendError
        If OpenVINO cannot express the network.
    """
    ov = import_openvino()
    shape = [1, source.channels, *(patch if source.spatial_dims == 3 else patch[1:])]
    failures: tuple[type[Exception], ...] = (
        RuntimeError,
        ov.frontend.GeneralFailure,
        ov.frontend.InitializationFailure,
        ov.frontend.NotImplementedFailure,
        ov.frontend.OpConversionFailure,
        ov.frontend.OpValidationFailure,
    )
    try:
        if source.onnx_path is not None:
            model = _one_output(openvino_core().read_model(source.onnx_path), source)
            if source.onnx_parts:
                model = _one_input(model, source, shape)
            elif model.input(0).get_partial_shape().rank.to_string() == "2" and len(shape) > 3:
                model = _flat_input(model, shape)
            else:
                model.reshape(shape)
            return _in_float32(model)
        module = source.torch_module()
        half = [*shape[:2], *(n // 2 for n in shape[2:])]
        if is_compared and all(n % 2 == 0 for n in shape[2:]):
            try:
                return _checked(_traced(module, half, shape))
            except failures:
                pass  # a network that fixes sizes when it is traced, or one whose coarsest grid does not halve
        return _checked(_traced(module, shape, shape))
    except failures as error:
        raise _memory_error(error) or BackendError(f"OpenVINO cannot convert the network: {_line(error)}") from error


def _traced(module: torch.nn.Module, example: list[int], shape: list[int]) -> openvino.Model:
    """Return the model of a torch module, traced with one shape and made for another."""
    import torch

    ov = import_openvino()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's, of every size that a network looks at
        if isinstance(module, torch.jit.ScriptModule):
            # Frozen, choices that hang on the network's settings are made, some of which OpenVINO cannot express.
            model = ov.convert_model(torch.jit.freeze(module), input=[shape])
        else:
            model = ov.convert_model(module, example_input=torch.zeros(example), input=[shape])
    found = model.output(0).get_partial_shape()
    if example != shape and (found.is_dynamic or list(found.to_shape())[2:] != shape[2:]):
        raise RuntimeError(f"after tracing with {example}, its output is {found} for an input of {shape}")
    return model


def _one_output(model: openvino.Model, source: NetworkSource) -> openvino.Model:
    """Return a model that computes nothing but the output, or the outputs, that are the answer.

    Raises
    ------
    ModelError
        If there are several and none was chosen.
    """
    name = _ANY if source.onnx_path is None else source.onnx_path.name
    # A shape that is not known yet is "any" along each axis; the rank may not be known either.
    shapes = [_lengths(output.get_partial_shape()) for output in model.outputs]
    names, chosen = [_name_of(output) for output in model.outputs], source.onnx_output
    ov = import_openvino()
    if isinstance(chosen, tuple):
        numbers = [choose_name(names, shapes, one, name) for one in chosen] or range(len(names))
        return ov.Model([model.get_results()[number] for number in numbers], model.get_parameters(), "answers")
    number = choose_name(names, shapes, chosen, name)
    if len(model.outputs) == 1:
        return model
    return ov.Model([model.get_results()[number]], model.get_parameters(), "answer")


def _one_input(model: openvino.Model, source: NetworkSource, shape: list[int]) -> openvino.Model:
    """Return a model of one input, of whose channels each of its own inputs gets a part; see `NetworkFile.parts`.

    Raises
    ------
    ModelError
        If it has another number of inputs.
    """
    ov = import_openvino()
    make = import_module("openvino.opset13")
    parts, left = list(source.onnx_parts), shape[1] - sum(source.onnx_parts)
    if len(model.inputs) != len(parts) + bool(left):
        raise ModelError(
            f"{_ANY if source.onnx_path is None else source.onnx_path.name}: the network has {len(model.inputs)} "
            f"inputs, but {len(parts) + bool(left)} are given."
        )
    sizes = [[1, part, *shape[2:]] for part in parts] + ([[1, left]] if left else [])
    model.reshape({value: ov.PartialShape(size) for value, size in zip(model.inputs, sizes, strict=True)})
    whole = make.parameter(shape, ov.Type.f32)
    axis = make.constant(1, ov.Type.i64)
    pieces = make.variadic_split(whole, axis, make.constant([*parts, *([left] if left else [])], ov.Type.i64)).outputs()
    for number, (parameter, piece) in enumerate(zip(model.get_parameters(), pieces, strict=True)):
        if number == len(parts):  # the first voxel of each channel is the number
            flat = make.reshape(piece, make.constant([1, left, -1], ov.Type.i64), special_zero=False)
            piece = make.gather(flat, make.constant(0, ov.Type.i64), make.constant(2, ov.Type.i64)).output(0)
        kind = parameter.get_element_type()
        piece = piece if kind == ov.Type.f32 else make.convert(piece, kind.to_string()).output(0)
        parameter.output(0).replace(piece)
    return ov.Model(model.get_results(), [whole], "one input")


def _flat_input(model: openvino.Model, shape: list[int]) -> openvino.Model:
    """Return a model that takes an image where it takes a row of all its voxels, as those of scikit-learn do."""
    ov = import_openvino()
    make = import_module("openvino.opset13")
    model.reshape([1, prod(shape)])
    whole = make.parameter(shape, ov.Type.f32)
    row = make.reshape(whole, make.constant([1, -1], ov.Type.i64), special_zero=False).output(0)
    (parameter,) = model.get_parameters()
    kind = parameter.get_element_type()
    parameter.output(0).replace(row if kind == ov.Type.f32 else make.convert(row, kind.to_string()).output(0))
    return ov.Model(model.get_results(), [whole], "flat input")


def _name_of(output: Any) -> str:
    return str(output.get_any_name()) if output.get_names() else ""


def _lengths(shape: Any) -> list[int | None]:
    if shape.rank.is_dynamic:
        return [None]
    return [None if length.is_dynamic else int(length.get_length()) for length in shape]


def _checked(model: openvino.Model) -> openvino.Model:
    """Return the model of a torch network, which must have one output.

    Raises
    ------
    ModelError
        If it has several: those of torch networks were chosen from before, see `napari_radcnn.networks.files`.
    """
    outputs = model.outputs
    choose_name([str(n) for n in range(len(outputs))], [_lengths(o.get_partial_shape()) for o in outputs], None, _ANY)
    return model


def _in_float32(model: openvino.Model) -> openvino.Model:
    """Return a model that takes and gives float32, whatever the file states: half precision, or whole numbers."""
    ov = import_openvino()
    float32 = ov.Type.f32
    if all(end.get_element_type() == float32 for end in (model.input(0), *model.outputs)):
        return model
    steps = ov.preprocess.PrePostProcessor(model)
    steps.input(0).tensor().set_element_type(float32)
    for number in range(len(model.outputs)):
        steps.output(number).tensor().set_element_type(float32)
    return steps.build()


def _memory_error(error: Exception) -> OutOfMemoryError | None:
    if any(text in str(error) for text in ("bad_alloc", "can't allocate memory", "out of memory", "Cannot allocate")):
        return OutOfMemoryError("Not enough free memory for one patch of this model; close other programs.")
    return None


def _line(error: Exception) -> str:
    """Return the last line of an error of OpenVINO that says something, without the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "src/" not in line]
    return lines[-1] if lines else type(error).__name__

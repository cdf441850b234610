"""Single files of weights, with a ``model.json`` that says what they are for; documented in ``docs/model_json.md``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.arguments import Arguments, is_orientation
from napari_radcnn.foreign.bundle.config import read_config
from napari_radcnn.foreign.description import Words, labels_for, make_spec, network_file, text_of
from napari_radcnn.foreign.domain import stated_domain
from napari_radcnn.foreign.onnx import read_onnx
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.geometry import Shape
from napari_radcnn.networks.architectures import check_architecture
from napari_radcnn.networks.checkpoints import find_entry, read_checkpoint, torch_kind
from napari_radcnn.networks.files import check_weights
from napari_radcnn.networks.outputs import choose_name
from napari_radcnn.networks.safetensors import looks_like_safetensors
from napari_radcnn.results import Label
from napari_radcnn.schemas import check_schema
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import Architecture, InputSlot, NetworkFile, Sampling
from napari_radcnn.spec.trust import require_trust

SCHEMA = "radcnn-model/1"
#: Names of intensity steps in the file.
_INTENSITY: dict[str, type] = {
    "range": steps.ScaleRange,
    "percentiles": steps.ScalePercentiles,
    "clip-percentiles": steps.ClipPercentiles,
    "bounds": steps.ScaleBounds,
    "normalize": steps.Normalize,
    "multiply": steps.Multiply,
    "threshold": steps.Threshold,
}
_WHAT_IT_HOLDS = (
    "name, task, inputs, classes, orientation, spacing, intensity and patch; see docs/model_json.md for an example"
)


def weights_kind(path: Path) -> str | None:
    """Return how a file of weights is read, told by what is in it; None where it is none."""
    kind = torch_kind(path)
    if kind is None and looks_like_safetensors(path):
        kind = "safetensors"
    if kind is None and path.suffix.lower() == ".onnx":
        kind = "onnx"
    return kind


def find_sidecar(weights: Path) -> Path | None:
    """Return the description beside a file of weights: ``STEM.json``, else ``model.json``."""
    return next((p for p in (weights.with_suffix(".json"), weights.parent / "model.json") if p.is_file()), None)


def open_weights(path: Path, *, trust: str | None = None) -> ModelSpec:
    """Return the description of the model in a file of weights, from the file beside it.

    Raises
    ------
    ModelError
        If there is none, it does not describe this file, or the weights are damaged, unsafe or do not fit.
    """
    kind = weights_kind(path)
    if kind is None:
        raise ModelError(f"{path.name}: not a supported model (TorchScript, ONNX, safetensors, torch weights).")
    sidecar = find_sidecar(path)
    if kind == "torch":
        read_checkpoint(path)  # an unsafe file is called that, not one that lacks its description
    if kind == "onnx":
        read_onnx(path)
    if sidecar is None:
        raise ModelError(
            f"{path.name}: the file alone does not describe its inputs and outputs. Put a {path.stem}.json (or "
            f"model.json) beside it with {_WHAT_IT_HOLDS}."
        )
    return open_sidecar(sidecar, weights=path, trust=trust)


def open_sidecar(path: Path, *, weights: Path | None = None, trust: str | None = None) -> ModelSpec:
    """Return the description of the model in a ``model.json`` and the weights it names.

    Raises
    ------
    ModelError
        If a value is missing, unknown or of the wrong kind, or the weights are not usable.
    """
    values = read_config(path)
    a = Arguments(path.name, values)
    schema = a.take("schema", None)
    check_schema(schema, SCHEMA, path.name, ModelError)
    if schema != SCHEMA:
        raise ModelError(f'{path.name}: "schema": "{SCHEMA}" is missing; also needed: {_WHAT_IT_HOLDS}.')
    named = a.take("weights", None)
    weights = _weights_path(path, named) if weights is None or named is not None else weights
    words = _words(a, path)
    inputs = _inputs(a)
    processing, labels = _processing(a, len(inputs))
    architecture = _architecture(a, path)
    output = _output(a)
    domain = stated_domain(a)
    a.done()
    file = replace(_file(weights, architecture, trust), output=output)
    if file.architecture is not None:
        check_weights(file)
    if file.kind == "onnx":
        _check_onnx(file, processing)
    return make_spec(words, processing, file, inputs, labels, weights, domain)


def _weights_path(path: Path, named: Any) -> Path:
    if not isinstance(named, str) or not named:
        raise ModelError(f"{path.name}: 'weights' must be the name of a file beside it.")
    found = path.parent / named
    if Path(named).name != named or not found.resolve().is_relative_to(path.parent.resolve()):
        raise ModelError(f"{path.name}: 'weights' ({named[:60]}) must lie in its own folder.")
    if not found.is_file():
        raise ModelError(f"{path.name}: the weights '{named[:60]}' are not beside it.")
    return found


def _words(a: Arguments, path: Path) -> Words:
    def text(name: str) -> str:
        value = a.take(name, "")
        if not isinstance(value, str):
            raise a.wrong(f"'{name}' must be a string")
        return text_of(value)

    name = text("name") or (path.parent.name if path.stem == "model" else path.stem)
    rest = ("title", "version", "summary", "licence", "citation", "body_part")
    return Words(name, **{key: text(key) for key in rest})


def _inputs(a: Arguments) -> tuple[InputSlot, ...]:
    given = a.take("inputs")
    if not isinstance(given, list) or not given or len(given) > 64:
        raise a.wrong("'inputs' must be a list with one entry a channel")
    slots = []
    for item in given:
        item = {"name": item} if isinstance(item, str) else item
        if not isinstance(item, Mapping) or not set(item) <= {"name", "modalities"} or not text_of(item.get("name")):
            raise a.wrong('an entry of \'inputs\' must be {"name": ..., "modalities": [...]}')
        codes = item.get("modalities", [])
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            raise a.wrong("'modalities' must be a list of DICOM codes, such as [\"CT\"]")
        slots.append(InputSlot(text_of(item["name"]), tuple(codes)))
    return tuple(slots)


def _processing(a: Arguments, channels: int) -> tuple[steps.Processing, dict[int, Label]]:
    task = a.only("task", ["segmentation", "denoising"], None)
    dims = a.only("spatial_dims", [2, 3], 3)
    orientation = a.take("orientation", None)
    if orientation is not None and not is_orientation(orientation):
        raise a.wrong(
            f"orientation={str(orientation)[:20]!r} is not an orientation: use three letters such as 'SPL', or null"
        )
    sampling = _sampling(a, dims)
    there = (
        *(() if orientation is None else (steps.Orient(orientation),)),
        *_space(a),
        *_intensity(a),
        *((steps.CropForeground(),) if a.flag("crop_foreground") else ()),
    )
    keep_scale = a.flag("keep_scale", True)
    names = a.take("classes", [])
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names) or len(names) > 4096:
        raise a.wrong("'classes' must be a list of names, one for each channel of the output")
    activation = a.only("activation", ["softmax", "sigmoid", "none"], "softmax" if task == "segmentation" else "none")
    threshold, colors, largest = a.number("threshold", 0.5), a.take("colors", {}), a.take("keep_largest", False)
    if task == "denoising":
        if names or activation != "none":
            raise a.wrong("a model for denoising has no 'classes' and no 'activation'")
        back: tuple[steps.BackStep, ...] = (steps.Invert("linear"),)
        processing = steps.Processing(
            channels, 1, there, sampling, back, (), dims, "image", keep_scale=keep_scale, stored_order=(0, 1, 2)
        )
        return processing, {}
    if not names:
        raise a.wrong("'classes' is missing: the name of each channel of the output, background included")
    is_argmax = activation == "softmax" or (activation == "none" and len(names) > 1)
    numbers, labels = labels_for(names, is_argmax)
    back = (
        *(() if activation == "none" else (steps.Activate(activation),)),
        steps.Invert("linear"),
        steps.Decide("argmax" if is_argmax else "threshold", threshold),
        *_largest(a, largest, labels),
    )
    processing = steps.Processing(
        channels, len(names), there, sampling, back, numbers, dims, "labels", stored_order=(0, 1, 2)
    )
    return processing, _colored(a, labels, colors)


def _sampling(a: Arguments, dims: int) -> Sampling:
    patch = a.counts("patch", length=dims)
    if not all(1 <= n <= 4096 for n in patch):
        raise a.wrong(f"patch={list(patch)} must be positive numbers of voxels")
    whole = (1, *patch) if dims == 2 else patch
    overlap = a.number("overlap", 0.5)
    if not 0 <= overlap < 1:
        raise a.wrong(f"overlap must be at least 0 and less than 1, got {overlap:g}")
    blend = a.only("blend", ["gaussian", "constant"], "gaussian")
    positions = a.only("positions", ["monai", "nnunet"], "monai")
    mirror = a.take("mirror_axes", [])
    if not isinstance(mirror, list) or not all(type(n) is int and 0 <= n < dims for n in mirror):
        raise a.wrong(f"mirror_axes must be numbers from 0 to {dims - 1}")
    axes = tuple(n + (3 - dims) for n in mirror)
    return Sampling(
        (whole[0], whole[1], whole[2]),
        overlap,
        positions,
        "constant" if blend == "constant" else positions,
        mirror_axes=axes,
    )


def _space(a: Arguments) -> tuple[steps.Step, ...]:
    given = a.take("spacing", None)
    if given is None:
        return ()
    if (
        not isinstance(given, list)
        or len(given) != 3
        or not all(type(v) in (int, float) and 0 <= v < 1000 for v in given)
    ):
        raise a.wrong("spacing must be three numbers in mm along the network's axes (0 keeps the scan's own), or null")
    mm: tuple[float, ...] = tuple(float(v) for v in given)
    return (steps.Space((mm[0], mm[1], mm[2])),)


def _intensity(a: Arguments) -> tuple[steps.Step, ...]:
    given = a.take("intensity", [])
    if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
        raise a.wrong("'intensity' must be a list of steps")
    return tuple(_intensity_step(a, item) for item in given)


def _intensity_step(a: Arguments, item: Mapping[str, Any]) -> steps.Step:
    kind = item.get("step")
    if not isinstance(kind, str) or kind not in _INTENSITY:
        raise a.wrong(f"the intensity step {str(kind)[:40]!r} is not supported; supported: {', '.join(_INTENSITY)}")
    inner = Arguments(f"intensity step '{kind}'", {key: value for key, value in item.items() if key != "step"})
    values: dict[str, Any] = {}
    try:
        for field in fields(_INTENSITY[kind]):
            take = _reader(inner, str(field.type))
            values[field.name] = take(field.name) if field.default is MISSING else take(field.name, field.default)
        inner.done()
    except ModelError as error:
        raise a.wrong(str(error).removesuffix(".")) from error
    made: steps.Step = _INTENSITY[kind](**values)
    if isinstance(made, steps.ScaleRange | steps.ScalePercentiles) and made.low >= made.high:
        raise a.wrong(f"the intensity step '{kind}' needs low < high")
    if isinstance(made, steps.ScalePercentiles | steps.ClipPercentiles) and not all(
        value is None or 0 <= value <= 100 for value in (made.low, made.high)
    ):
        raise a.wrong("percentiles must be between 0 and 100")
    if isinstance(made, steps.Normalize) and made.std is not None and 0.0 in made.std:
        raise a.wrong("the standard deviation must not be 0")
    return made


def _reader(a: Arguments, kind: str) -> Callable[..., Any]:
    """Return what reads a value of a dataclass field's type."""
    if kind.startswith("bool"):
        return a.flag
    if kind.startswith("tuple"):
        return lambda name, _=None: a.numbers(name)
    return a.number_or_none if "None" in kind else a.number


def _largest(a: Arguments, option: Any, labels: Mapping[int, Label]) -> tuple[steps.BackStep, ...]:
    if option is False:
        return ()
    if option is True:
        return (steps.KeepLargest(),)
    names = {label.name: value for value, label in labels.items()}
    if not isinstance(option, list) or not all(isinstance(n, str) and n in names for n in option):
        raise a.wrong("'keep_largest' must be true, false or a list of class names")
    return (steps.KeepLargest(tuple(names[n] for n in option)),)


def _colored(a: Arguments, labels: dict[int, Label], colors: Any) -> dict[int, Label]:
    names = {label.name for label in labels.values()}
    if not isinstance(colors, Mapping) or not set(colors) <= names:
        raise a.wrong("'colors' must give red, green and blue (0 to 1) for names in 'classes'")
    for color in colors.values():
        if not (isinstance(color, list) and len(color) == 3 and all(type(c) in (int, float) for c in color)) or not all(
            0 <= c <= 1 for c in color
        ):
            raise a.wrong("a color must be three numbers from 0 to 1")
    return {
        value: replace(label, color=_color(colors[label.name])) if label.name in colors else label
        for value, label in labels.items()
    }


def _color(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def _architecture(a: Arguments, path: Path) -> Architecture | None:
    given = a.take("architecture", None)
    if given is None:
        return None
    if (
        not isinstance(given, Mapping)
        or not set(given) <= {"name", "arguments"}
        or not isinstance(given.get("name"), str)
    ):
        raise a.wrong('\'architecture\' must be {"name": ..., "arguments": {...}}')
    arguments = given.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise a.wrong("'arguments' must be a mapping of names to values")
    architecture = Architecture(given["name"], dict(arguments))
    check_architecture(architecture, path.name)
    return architecture


def _output(a: Arguments) -> str | int | None:
    """Return which output is the answer, where the network has several."""
    given = a.take("output", None)
    if given is None or (isinstance(given, str) and given) or (type(given) is int and given >= 0):
        chosen: str | int | None = given
        return chosen
    raise a.wrong("'output' must be the name of an output or its number, counted from 0")


def _file(path: Path, architecture: Architecture | None, trust: str | None) -> NetworkFile:
    kind = weights_kind(path)
    if kind in ("torch", "safetensors") and architecture is None:
        raise ModelError(f"{path.name}: weights without a network: its model.json must name the 'architecture'.")
    if kind == "torch":
        entry = find_entry(read_checkpoint(path))
        return network_file(path, kind="torch", architecture=architecture, entry=entry)
    if kind == "safetensors":
        return network_file(path, kind="safetensors", architecture=architecture)
    if kind == "torchscript":
        file = network_file(path, kind="torchscript")
        require_trust(path, file.sha256, ["a TorchScript file is a program"], trust)
        return file
    if kind == "onnx":
        return network_file(path, kind="onnx")
    raise ModelError(f"{path.name}: not a supported weights file (TorchScript, ONNX, safetensors, torch weights).")


def _check_onnx(file: NetworkFile, processing: steps.Processing) -> None:
    """Refuse a description that does not fit the shapes an ONNX file states."""
    info = read_onnx(file.path)
    shape = info.inputs[0].shape
    patch: Shape | tuple[int, ...] = processing.sampling.patch if processing.sampling else ()
    wanted = (1, processing.channels, *patch[3 - processing.spatial_dims :])
    named = [value.name for value in info.outputs]
    choose_name(named, [value.shape for value in info.outputs], file.output, file.path.name)
    if len(info.inputs) > 1:
        raise ModelError(
            f"{file.path.name}: the network has {len(info.inputs)} inputs; one input with channels is expected."
        )
    if len(shape) != len(wanted) or any(n is not None and n != w for n, w in zip(shape, wanted, strict=True)):
        told = " x ".join("any" if n is None else str(n) for n in shape)
        raise ModelError(
            f"{file.path.name}: the network expects input of shape {told}, but its model.json gives "
            f"{' x '.join(map(str, wanted))} (batch, channels, patch)."
        )

"""Opening a file of weights by what the ``model.json`` beside it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.fitting import check_fits
from napari_radcnn.foreign.answers.specified import answering_spec
from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.foreign.configs import read_config
from napari_radcnn.foreign.description import Words, make_spec, network_file, text_of
from napari_radcnn.foreign.detection.specified import check_detector, detecting_spec
from napari_radcnn.foreign.domain import stated_domain
from napari_radcnn.foreign.processing.steps import Processing
from napari_radcnn.foreign.sidecar.answers import read_answering
from napari_radcnn.foreign.sidecar.detecting import read_detecting
from napari_radcnn.foreign.sidecar.input import read_inputs
from napari_radcnn.foreign.sidecar.lines import lines_of, repeated_key
from napari_radcnn.foreign.sidecar.maps import read_maps
from napari_radcnn.geometry import Shape
from napari_radcnn.networks.architectures import answers_once, check_architecture, finds_boxes
from napari_radcnn.networks.checkpoints import find_entry, read_checkpoint, torch_kind
from napari_radcnn.networks.files import check_weights
from napari_radcnn.networks.onnx import read_onnx
from napari_radcnn.networks.outputs import choose_name
from napari_radcnn.networks.safetensors import looks_like_safetensors
from napari_radcnn.schemas import check_schema
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import Architecture, NetworkFile
from napari_radcnn.spec.trust import require_trust

#: What this version writes about; older files stay valid.
SCHEMA = "radcnn-model/2"
#: The tasks that each version of the schema added.
TASKS: dict[int, tuple[str, ...]] = {
    1: ("segmentation", "denoising"),
    2: ("classification", "regression", "landmarks", "synthesis", "embedding", "detection", "survival"),
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
    a = _arguments(path)
    version = _version(a, path)
    named = a.take("weights", None)
    weights = _weights_path(a, path, named) if weights is None or named is not None else weights
    words = _words(a, path)
    inputs = read_inputs(a)
    task = _task(a, version)
    is_map = task in (*TASKS[1], "synthesis")
    processing, labels = read_maps(a, task, len(inputs)) if is_map else (None, {})
    detecting, outputs = read_detecting(a, len(inputs)) if task == "detection" else (None, ())
    how = None if is_map or detecting is not None else read_answering(a, task, len(inputs))
    architecture = _architecture(a)
    output = outputs if detecting is not None else _output(a)
    domain = stated_domain(a)
    a.done()
    file = replace(_file(weights, architecture, trust), output=output)
    if how is not None:
        file = replace(file, parts=how.parts)
    if file.architecture is not None:
        check_weights(file)
    if detecting is not None:
        check_detector(file, detecting, path.name)
        return detecting_spec(words, detecting, file, inputs, weights, domain)
    if how is not None:
        check_fits(file, how, path.name)
        return answering_spec(words, how, file, inputs, weights, domain)
    if processing is None:
        raise TypeError("either a map or an answer")
    if architecture is not None and (answers_once(architecture.name) or finds_boxes(architecture.name)):
        does = "returns boxes" if finds_boxes(architecture.name) else "returns one output for its whole input"
        raise a.wrong(f"the network '{architecture.name}' {does}, not an output for every voxel", "task")
    if file.kind == "onnx":
        _check_onnx(file, processing)
    return make_spec(words, processing, file, inputs, labels, weights, domain)


def _arguments(path: Path) -> Arguments:
    """Return the keys of the file, which know their lines."""
    values = read_config(path)
    text = path.read_text(encoding="utf-8")
    a = Arguments(path.name, values, lines_of(text))
    if (twice := repeated_key(text)) is not None:
        raise ModelError(f"{path.name}, line {twice[1]}: '{twice[0][:40]}' occurs twice.")
    return a


def _version(a: Arguments, path: Path) -> int:
    """Return which version of the schema the file is written in."""
    schema = a.take("schema", None)
    check_schema(schema, SCHEMA, path.name, ModelError)
    known = {f"{SCHEMA.partition('/')[0]}/{number}": number for number in TASKS}
    if schema not in known:
        raise ModelError(f'{path.name}: "schema": "{SCHEMA}" is missing; also needed: {_WHAT_IT_HOLDS}.')
    return known[schema]


def _task(a: Arguments, version: int) -> str:
    task = a.take("task", None)
    added = next((number for number, tasks in TASKS.items() if task in tasks), version)
    if added > version:
        raise a.wrong(f'task={task!r} needs "schema": "{SCHEMA.partition("/")[0]}/{added}"', "task")
    known = [name for number, tasks in TASKS.items() if number <= version for name in tasks]
    if task not in known:
        shown = "None" if task is None else repr(str(task)[:40])
        raise a.wrong(f"task={shown} is not supported; supported: {', '.join(known)}", "task")
    return str(task)


def _weights_path(a: Arguments, path: Path, named: Any) -> Path:
    if not isinstance(named, str) or not named:
        raise a.wrong("'weights' must be the name of a file beside it", "weights")
    found = path.parent / named
    if Path(named).name != named or not found.resolve().is_relative_to(path.parent.resolve()):
        raise a.wrong(f"'weights' ({named[:60]}) must lie in its own folder", "weights")
    if not found.is_file():
        raise a.wrong(f"the weights '{named[:60]}' are not beside it", "weights")
    return found


def _words(a: Arguments, path: Path) -> Words:
    def text(name: str) -> str:
        return text_of(a.text(name, ""))

    name = text("name") or (path.parent.name if path.stem == "model" else path.stem)
    rest = ("title", "version", "summary", "licence", "citation", "body_part")
    return Words(name, **{key: text(key) for key in rest})


def _architecture(a: Arguments) -> Architecture | None:
    given = a.take("architecture", None)
    if given is None:
        return None
    if (
        not isinstance(given, Mapping)
        or not set(given) <= {"name", "arguments"}
        or not isinstance(given.get("name"), str)
    ):
        raise a.wrong('\'architecture\' must be {"name": ..., "arguments": {...}}', "architecture")
    arguments = given.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise a.wrong("'arguments' must be a mapping of names to values", "architecture")
    architecture = Architecture(given["name"], dict(arguments))
    check_architecture(architecture, a.where("architecture"))
    return architecture


def _output(a: Arguments) -> str | int | None:
    """Return which output is the answer, where the network has several."""
    given = a.take("output", None)
    if given is None or (isinstance(given, str) and given) or (type(given) is int and given >= 0):
        chosen: str | int | None = given
        return chosen
    raise a.wrong("'output' must be the name of an output or its number, counted from 0", "output")


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


def _check_onnx(file: NetworkFile, processing: Processing) -> None:
    """Refuse a description that does not fit the shapes an ONNX file states."""
    info = read_onnx(file.path)
    shape = info.inputs[0].shape
    patch: Shape | tuple[int, ...] = processing.sampling.patch if processing.sampling else ()
    wanted = (1, processing.channels, *patch[3 - processing.spatial_dims :])
    named = [value.name for value in info.outputs]
    choose_name(named, [value.shape for value in info.outputs], file.one_output, file.path.name)
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

"""The description of a detector."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.description import Words, spec_of
from napari_radcnn.foreign.detection.decoding import split_maps
from napari_radcnn.foreign.detection.described import Detecting, DetectorOptions
from napari_radcnn.geometry import Shape
from napari_radcnn.networks.architectures import build, finds_boxes
from napari_radcnn.networks.onnx import read_onnx
from napari_radcnn.networks.outputs import choose_name
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import BUNDLE_CODE, InputSlot, NetworkFile

#: What a network raises for an input that does not fit it.
_REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError, LookupError, ArithmeticError, AttributeError)
#: Sides of the input that a network of any size is tried with, voxels.
_TRIED = 64


def detecting_spec(
    words: Words,
    how: Detecting,
    file: NetworkFile,
    inputs: Sequence[InputSlot],
    origin: Path,
    domain: Domain | None = None,
) -> ModelSpec:
    """Return the description of a network that `napari_radcnn.foreign.detection.run` runs."""
    pipeline = "napari_radcnn.foreign.detection.run"
    spec = spec_of(words, "detection", pipeline, how, file, inputs, origin, domain=domain)
    patch = None if how.sampling is None else how.sampling.patch
    return replace(spec, options=DetectorOptions, patch=patch, classes=how.boxes.names)


def check_detector(file: NetworkFile, how: Detecting, shown: str) -> None:
    """Refuse a description that does not fit its network, as far as that is known without running it.

    Parameters
    ----------
    file : NetworkFile
        The network. Of a TorchScript file nothing is known.
    how : Detecting
        Its description.
    shown : str
        The file that describes it, for messages.

    Raises
    ------
    ModelError
        If shapes or the number of answers differ.
    """
    if file.kind == "onnx":
        _check_onnx(file, how, shown)
    elif file.architecture is not None and file.architecture.name != BUNDLE_CODE:
        if not finds_boxes(file.architecture.name) or how.boxes.form != "anchor-maps":
            raise ModelError(
                f'{shown}: the only "architecture" that detects boxes is RetinaNet, with "form": "anchor-maps"; '
                f'\'{file.architecture.name}\' with "form": "{how.boxes.form}" is not supported.'
            )
        _check_maps(file, how, shown)


def _check_onnx(file: NetworkFile, how: Detecting, shown: str) -> None:
    info = read_onnx(file.path)
    if len(info.inputs) > 1:
        raise ModelError(
            f"{file.path.name}: the network has {len(info.inputs)} inputs; one input with channels is expected."
        )
    patch: Shape | tuple[int, ...] = how.sampling.patch if how.sampling else ()
    wanted, shape = (1, how.channels, *patch[3 - how.spatial_dims :]), info.inputs[0].shape
    if len(shape) != len(wanted) or any(n is not None and n != w for n, w in zip(shape, wanted, strict=True)):
        given, expected = (" x ".join("any" if n is None else str(n) for n in one) for one in (shape, wanted))
        raise ModelError(
            f"{file.path.name}: the network expects input of shape {given}, but {shown} gives {expected} (batch, "
            "channels, patch)."
        )
    names, shapes = [value.name for value in info.outputs], [value.shape for value in info.outputs]
    chosen = file.output if isinstance(file.output, tuple) else ()
    for one in chosen:
        choose_name(names, shapes, one, file.path.name)
    wanted_count = {"anchor-maps": (2 * len(how.boxes.anchors.cells),) if how.boxes.anchors else ()}.get(
        how.boxes.form, (3,) if how.boxes.form == "proposals" else (2, 3)
    )
    count = len(chosen) or len(names)
    if count not in wanted_count:
        expected = " or ".join(map(str, wanted_count))
        raise ModelError(
            f'{file.path.name}: the network has {count} outputs ({", ".join(names)[:120]}), but "form": '
            f'"{how.boxes.form}" in {shown} needs {expected}: name them with "outputs".'
        )


def _check_maps(file: NetworkFile, how: Detecting, shown: str) -> None:
    """Let the network compute with shapes alone, on torch's meta device."""
    import torch

    if file.architecture is None:
        return
    dims = how.spatial_dims
    network = build(file.architecture, shown, meta=True).eval().to("meta")
    sides = how.sampling.patch if how.sampling else tuple(-(-_TRIED // n) * n for n in how.divisible)
    given = torch.empty((1, how.channels, *sides[3 - dims :]), device="meta")
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            maps = network(given)
    except _REFUSALS as error:
        told = " x ".join(map(str, given.shape))
        brief = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{shown}: the network '{file.architecture.name}' does not take an input of {told} (batch, channels, "
            f"patch): {brief}"
        ) from error
    split_maps([torch.zeros(one.shape).numpy() for one in maps], how.boxes, dims, shown)

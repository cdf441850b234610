"""Whether what a network answers fits what its description says, found before it is run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import prod

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.described import Answering, Classes, Points
from napari_radcnn.networks.architectures import answers_once, build, names
from napari_radcnn.networks.onnx import OnnxInfo, read_onnx
from napari_radcnn.networks.outputs import choose_name, choose_output
from napari_radcnn.spec.patches import BUNDLE_CODE, NetworkFile

#: What a network raises for an input that does not fit it.
_REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError, LookupError, ArithmeticError, AttributeError)
#: What an ONNX graph calls an activation that ends it.
_ENDS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def check_fits(file: NetworkFile, how: Answering, shown: str) -> None:
    """Refuse a description that does not fit its network, as far as that is known without running it.

    Parameters
    ----------
    file : NetworkFile
        The network. Of a TorchScript file nothing is known.
    how : Answering
        Its description.
    shown : str
        The file that describes it, for messages.

    Raises
    ------
    ModelError
        If shapes or the number of answers differ, or an activation would be applied twice.
    """
    if file.kind == "onnx":
        _check_onnx(file, how, shown)
    elif file.architecture is not None and file.architecture.name != BUNDLE_CODE:
        needs_maps = isinstance(how.answer, Points) and how.answer.form == "heat-maps"
        if needs_maps == answers_once(file.architecture.name):
            wanted = "a map for each landmark is expected"
            if not needs_maps:
                listed = ", ".join(name for name in names() if answers_once(name))
                wanted = f"one with a single output per scan is needed: {listed}"
            does = "one output for its whole input" if needs_maps else "an output for every voxel"
            raise ModelError(f"{shown}: the network '{file.architecture.name}' returns {does}; {wanted}.")
        if how.parts:
            told = 'a network built from "architecture" has one input: set "values_as" or "scans_as" to "channels"'
            raise ModelError(f"{shown}: {told}.")
        _check_shapes(file, how, shown)


def _check_onnx(file: NetworkFile, how: Answering, shown: str) -> None:
    info = read_onnx(file.path)
    wanted = (1, how.channels, *how.shape[3 - how.spatial_dims :])
    if how.parts:
        _check_parts(info, file, how, shown)
    elif len(info.inputs) > 1:
        raise ModelError(
            f"{file.path.name}: the network has {len(info.inputs)} inputs; one input with channels is expected. Scans "
            'of several inputs need "scans_as": "inputs", clinical values "values".'
        )
    shape = info.inputs[0].shape
    if how.parts:
        wanted = (1, how.parts[0], *wanted[2:])
    if len(shape) == 2 and not how.parts and shape[1] in (None, prod(wanted)):
        wanted = (1, prod(wanted))  # a row of all voxels, as models of scikit-learn take it
    if len(shape) != len(wanted) or any(n is not None and n != w for n, w in zip(shape, wanted, strict=True)):
        raise ModelError(
            f"{file.path.name}: the network expects input of shape {_told(shape)}, but {shown} gives {_told(wanted)} "
            "(batch, channels, patch)."
        )
    number = choose_name(
        [value.name for value in info.outputs], [value.shape for value in info.outputs], file.one_output, file.path.name
    )
    output = info.outputs[number].shape
    known = tuple(n for n in output[1:] if n is not None)
    if output and len(known) == len(output) - 1:
        _check_answer(known, how, f"{file.path.name}: the network", shown)
    _check_end(info, number, how, shown)


def _check_parts(info: OnnxInfo, file: NetworkFile, how: Answering, shown: str) -> None:
    """Refuse a file whose inputs are not the images and then the clinical values."""
    count = len(how.parts) + bool(how.values)
    if len(info.inputs) != count:
        listed = ", ".join(value.name for value in info.inputs)
        raise ModelError(
            f"{file.path.name}: the network has {len(info.inputs)} inputs ({listed[:80]}), but {shown} gives {count}: "
            f"{len(how.parts)} with voxels{' and one with clinical values' if how.values else ''}."
        )
    if how.values:
        shape = info.inputs[-1].shape
        if len(shape) != 2 or shape[1] not in (None, len(how.values)):
            raise ModelError(
                f"{file.path.name}: the last input has shape {_told(shape)}, but {shown} names {len(how.values)} "
                f"clinical values (1 x {len(how.values)})."
            )


def _check_end(info: OnnxInfo, number: int, how: Answering, shown: str) -> None:
    end = _ENDS.get(info.ends.get(info.outputs[number].name, ""))
    if end is None or not isinstance(how.answer, Classes) or how.answer.activation == "none":
        return
    raise ModelError(
        f'{shown}: the network ends in a {end} of its own, and "activation": "{how.answer.activation}" would be '
        'applied to probabilities: set it to "none".'
    )


def _check_shapes(file: NetworkFile, how: Answering, shown: str) -> None:
    """Let the network compute with shapes alone, on torch's meta device."""
    import torch

    if file.architecture is None:
        return
    network = build(file.architecture, shown, meta=True).eval().to("meta")
    given = torch.empty((1, how.channels, *how.shape[3 - how.spatial_dims :]), device="meta")
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = choose_output(network(given), file.one_output)
    except _REFUSALS as error:
        brief = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{shown}: the network '{file.architecture.name}' does not take an input of {_told(tuple(given.shape))} "
            f"(batch, channels, patch): {brief}"
        ) from error
    _check_answer(tuple(found.shape[1:]), how, f"{shown}: the network '{file.architecture.name}'", shown)


def _check_answer(shape: tuple[int, ...], how: Answering, network: str, shown: str) -> None:
    told = how.answer.mismatch(shape, how.spatial_dims)
    if told:
        raise ModelError(f"{network} {told.format(shown)}.")


def _told(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if n is None else str(n) for n in shape)

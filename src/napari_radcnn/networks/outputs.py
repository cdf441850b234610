"""Which of a network's outputs is its answer: the only one, or the one that its description names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError

if TYPE_CHECKING:
    import torch

#: How an output is chosen: by its name, or by its number from 0.
OutputChoice = str | int
_MOST_NAMED = 8


def choose_output(output: Any, chosen: OutputChoice | None = None) -> torch.Tensor:
    """Return the tensor that is a network's answer.

    Parameters
    ----------
    output : tensor, or sequence or mapping of tensors
        What the network returned.
    chosen : str or int, optional
        Which of several: a key of a mapping, a field of a named tuple, or a number.

    Raises
    ------
    ModelError
        If there are several and none was chosen, the chosen one is missing, or there is no tensor at all.
    """
    import torch

    if isinstance(output, torch.Tensor):
        if chosen in (None, 0):
            return output
        raise ModelError(f"The network has no output {chosen!r}: it returns a single tensor; remove 'output'.")
    found = {name: value for name, value in _named(output) if isinstance(value, torch.Tensor)}
    if not found:
        raise ModelError(f"The network returned a {type(output).__name__} without a tensor; one tensor is expected.")
    number = choose_name([str(name) for name in found], [tuple(t.shape) for t in found.values()], chosen, "The network")
    return list(found.values())[number]


def choose_name(
    names: Sequence[str], shapes: Sequence[Sequence[object]], chosen: OutputChoice | None, shown: str
) -> int:
    """Return the number of the output that answers.

    Parameters
    ----------
    names, shapes : sequence
        Of the outputs, in the network's order.
    chosen : str or int or None
        See `choose_output`.
    shown : str
        The network or its file, for the message.

    Raises
    ------
    ModelError
        If there are several and none was chosen, or the chosen one is missing.
    """
    if chosen is None:
        if len(names) == 1:
            return 0
        raise ModelError(
            f"{shown} has {len(names)} outputs: {_listed(names, shapes)}; it is not stated which one is the result. "
            'Add "output" with the name or number of one output to its model.json, or export the model with only '
            "that output."
        )
    if isinstance(chosen, str) and chosen in names:
        return list(names).index(chosen)
    if isinstance(chosen, int) and 0 <= chosen < len(names):
        return chosen
    raise ModelError(f"{shown} has no output {chosen!r}; its outputs are: {_listed(names, shapes)}.")


def choose_several(output: Any, chosen: Sequence[OutputChoice]) -> list[torch.Tensor]:
    """Return the tensors that are a network's answer together.

    Parameters
    ----------
    output : tensor, or sequence or mapping of tensors
        What the network returned; lists within it are taken apart.
    chosen : sequence of str or int
        Which of them, in this order; empty for all.

    Raises
    ------
    ModelError
        If one is missing, or there is no tensor at all.
    """
    import torch

    found: list[tuple[str, torch.Tensor]] = []

    def walk(value: Any, name: str) -> None:
        if isinstance(value, torch.Tensor):
            found.append((name or "0", value))
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                walk(inner, f"{name}.{key}" if name else str(key))
        elif isinstance(value, list | tuple):
            fields = getattr(value, "_fields", range(len(value)))
            for key, inner in zip(fields, value, strict=True):
                walk(inner, f"{name}.{key}" if name else str(key))

    walk(output, "")
    while found and all(name.startswith("0.") for name, _ in found):  # one picture of a batch, as detectors answer
        found = [(name[2:], value) for name, value in found]
    if not found:
        raise ModelError(f"The network returned a {type(output).__name__} without a tensor.")
    names, shapes = [name for name, _ in found], [tuple(value.shape) for _, value in found]
    numbers = [choose_name(names, shapes, one, "The network") for one in chosen] or range(len(found))
    return [found[number][1] for number in numbers]


def pack(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return several arrays as one row of numbers: how many, the shape of each, the values of each.

    Examples
    --------
    >>> pack([np.zeros((2, 1)), np.array([5.0])]).tolist()
    [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.0, 0.0, 5.0]
    """
    head = [len(arrays), *(number for one in arrays for number in (one.ndim, *one.shape))]
    parts = [np.asarray(head, np.float32), *(np.asarray(one, np.float32).ravel() for one in arrays)]
    return np.concatenate(parts)


def unpack(row: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    """Return the arrays that `pack` made a row of."""
    row = row.ravel()
    at, shapes = 1, []
    for _ in range(int(row[0])):
        rank = int(row[at])
        shapes.append(tuple(int(number) for number in row[at + 1 : at + 1 + rank]))
        at += 1 + rank
    found = []
    for shape in shapes:
        found.append(row[at : at + prod(shape)].reshape(shape))
        at += prod(shape)
    return found


def _named(output: Any) -> list[tuple[OutputChoice, Any]]:
    """Return the outputs with the name or the number of each; nested single ones are taken out of their list."""
    while isinstance(output, list | tuple) and len(output) == 1:
        output = output[0]
    if isinstance(output, Mapping):
        return [(str(key), value) for key, value in output.items()]
    if isinstance(output, list | tuple):
        return list(zip(getattr(output, "_fields", range(len(output))), output, strict=True))
    return [(0, output)]


def _listed(names: Sequence[str], shapes: Sequence[Sequence[object]]) -> str:
    told = [
        f"{number} '{name[:40]}'" * (name != str(number))
        + f"{number}" * (name == str(number))
        + f" ({' x '.join('any' if n is None else str(n) for n in shape)})"
        for number, (name, shape) in enumerate(zip(names, shapes, strict=True))
    ]
    rest = len(told) - _MOST_NAMED
    return ", ".join(told[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")

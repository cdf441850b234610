"""Which of a network's outputs is its answer: the only one, or the one that its description names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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

"""What a run of a network from a file is asked for: how it runs, and as many scans as it takes."""

from __future__ import annotations

from typing import TypeVar

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.request import Request

_Network = TypeVar("_Network")


def network_of(request: Request, kind: type[_Network]) -> _Network:
    """Return how the network of a request runs.

    Raises
    ------
    ModelError
        If its model describes another kind of run, or names no file.
    """
    how = request.spec.network
    if not isinstance(how, kind) or not request.spec.files:
        raise ModelError(f"'{request.spec.name}' does not describe how to run its network.")
    return how


def check_scans(request: Request, wanted: int) -> None:
    """Raise a `ModelError` unless a request has as many scans as its network takes."""
    if len(request.volumes) != wanted:
        raise ModelError(
            f"'{request.spec.name}' takes {wanted} scans "
            f"({', '.join(s.name for s in request.spec.inputs)}), got {len(request.volumes)}."
        )

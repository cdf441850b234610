"""Embedding: numbers by which a model knows a scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.io.contents import Kind, kind_of
from napari_radcnn.io.reports import read_embedding
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import maps_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.results import Embedding


def embed(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Embedding:
    """Return the numbers by which a model knows a scan; parameters and errors as in `run`.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> radcnn.embed(head(), "brain-extraction")
    Traceback (most recent call last):
        ...
    napari_radcnn.errors.ModelError: The model 'brain-extraction' is for segmentation, not for embedding.
    """
    return expect(run(volume, model, options, task="embedding", **how), Embedding)


def embedded(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Embedding:
    """Return the numbers that a model gave.

    Raises
    ------
    ModelError
        If it gave none.
    """
    if not isinstance(outcome.answer, tuple) or not outcome.answer:
        raise ModelError(f"The pipeline of '{request.spec.name}' returned no numbers.")
    return Embedding(outcome.answer, name, provenance, warnings, maps_of(request.volume, outcome, name, provenance))


def numbers(result: Embedding) -> list[tuple[str, str]]:
    """Return how many numbers there are, and the length of the vector that they make."""
    return [("numbers", str(len(result.vector))), ("length", f"{np.linalg.norm(result.vector):.4g}")]


def compare_embeddings(reference: Path, prediction: Path, _tolerance_mm: float) -> dict[str, Any] | None:
    """Compare the embeddings of two files: how alike a model takes their scans for."""
    if not all(kind_of(path) is Kind.EMBEDDING for path in (reference, prediction)):
        return None
    one, other = (np.array(read_embedding(path).vector) for path in (reference, prediction))
    if one.shape != other.shape:
        raise ReadError(f"{reference} has {one.size} numbers, {prediction} {other.size}: they are of different models.")
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    cosine = float(one @ other) / lengths if lengths else None
    return {"embedding": {"n": one.size, "cosine": cosine, "distance": float(np.linalg.norm(one - other))}}

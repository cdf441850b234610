"""The description of a model that answers once for a whole scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_radcnn.foreign.answers.clinical import AnswerOptions, can_explain, options_of
from napari_radcnn.foreign.answers.described import Answering, Classes, Hazards, Points, Vector
from napari_radcnn.foreign.description import Words, spec_of
from napari_radcnn.spec.domain import Domain
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import InputSlot, NetworkFile
from napari_radcnn.tasks import TaskName


def answering_spec(
    words: Words,
    how: Answering,
    file: NetworkFile,
    inputs: Sequence[InputSlot],
    origin: Path,
    domain: Domain | None = None,
) -> ModelSpec:
    """Return the description of a network that `napari_radcnn.foreign.answers.run` runs."""
    task: TaskName = "regression"
    if isinstance(how.answer, Classes):
        task = "classification"
    elif isinstance(how.answer, Hazards):
        task = "survival"
    elif isinstance(how.answer, Points):
        task = "landmarks"
    elif isinstance(how.answer, Vector):
        task = "embedding"
    spec = spec_of(
        words,
        task,
        "napari_radcnn.foreign.answers.run",
        how,
        file,
        inputs,
        origin,
        domain=domain,
    )
    names = how.answer.names if isinstance(how.answer, Classes | Points) else ()
    spec = replace(spec, patch=how.shape, classes=names, has_views=how.is_apart)
    explains = can_explain(task, how.is_apart)
    if how.values:
        return replace(spec, options=options_of(how.values, explains))
    return replace(spec, options=AnswerOptions) if explains else spec

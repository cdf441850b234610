"""What a bundle says of its answer in the keys of a ``model.json``: MONAI's metadata have no word for most of it.

They stand under the key ``"radcnn"`` of ``metadata.json``, which MONAI itself passes over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.described import Answer, Answering
from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.foreign.processing.steps import Processing
from napari_radcnn.foreign.sidecar.answers import read_answer, read_monochrome1, read_slices
from napari_radcnn.foreign.sidecar.lines import lines_of
from napari_radcnn.foreign.sidecar.maps import read_image_values

#: The key.
KEY = "radcnn"
_ANSWERS = ("classification", "regression", "survival", "landmarks", "embedding")


class Stated:
    """What a bundle states.

    Parameters
    ----------
    a : Arguments
        The keys; ``task`` is taken.
    task : str
        One of a model that answers once for a whole scan, or ``"synthesis"``.
    """

    def __init__(self, a: Arguments, task: str) -> None:
        self.a, self.task = a, task

    @property
    def is_answer(self) -> bool:
        """Whether the network answers once for a whole scan."""
        return self.task in _ANSWERS

    def answer(self, **usual: Any) -> Answer:
        """Return what the network's numbers mean.

        Parameters
        ----------
        **usual
            What the rest of the bundle says, for keys that are left out.
        """
        for key, value in usual.items():
            self.a.assume(key, value)
        return read_answer(self.a, self.task)

    def joining(self, how: Answering) -> Answering:
        """Return how the network is run, with what is stated of slices and of gray values."""
        slices, is_as_stored = read_slices(self.a, self.task, how.spatial_dims), read_monochrome1(self.a)
        self.a.done()
        return replace(how, slices=slices, is_as_stored=is_as_stored)

    def synthesizing(self, processing: Processing) -> Processing:
        """Return how the network is run, with what the values of its image are."""
        if processing.output != "image":
            raise self.a.wrong("the bundle's postprocessing makes labels, not an image", "task")
        made = read_image_values(self.a)
        self.a.done()
        return replace(processing, made=made, keep_scale=False)


def stated_in(metadata: Mapping[str, Any], path: Path, shown: str) -> Stated | None:
    """Return what a bundle's metadata state; None where they have no such key.

    Parameters
    ----------
    metadata : mapping
        What is in the file.
    path : Path
        The file, whose lines messages name where it is JSON.
    shown : str
        What messages call it.

    Raises
    ------
    ModelError
        If the key holds no task that can be stated.
    """
    if KEY not in metadata:
        return None
    given = metadata[KEY]
    if not isinstance(given, Mapping):
        raise ModelError(f'{shown}: "{KEY}" must be a mapping, such as {{"task": "regression", ...}}.')
    lines = lines_of(path.read_text(encoding="utf-8")) if path.suffix.lower() == ".json" else None
    a = Arguments(shown, given, lines, (KEY,), f'"{KEY}"')
    task = a.only("task", [*_ANSWERS, "synthesis"], None)
    return Stated(a, str(task))

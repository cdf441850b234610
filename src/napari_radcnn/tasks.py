"""The tasks: one table that says of each what it gives, how that is written, compared, told and shown.

What lies above this module, such as the viewer, is named by the place it lies in, ``"module:name"``, and loaded when it
is needed: the table knows neither formats nor Qt. ``docs/how-to/add-a-task.md`` adds one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from napari_radcnn.results import (
    Classification,
    Detections,
    Embedding,
    LabelMap,
    Landmarks,
    Regression,
    Result,
    Survival,
)
from napari_radcnn.volume import Volume

TaskName = Literal[
    "segmentation",
    "detection",
    "classification",
    "regression",
    "survival",
    "landmarks",
    "denoising",
    "super-resolution",
    "synthesis",
    "embedding",
    "interactive",
]


@dataclass(frozen=True, eq=False)
class ResultKind:
    """What results of one class have in common, whichever task they are of.

    Attributes
    ----------
    name : str
        What a comparison calls it, and the key in the JSON of ``radcnn evaluate``.
    result : type
        The class; its objects are a `napari_radcnn.results.Result`.
    described : str
        As in a sentence: ``"labels are"`` written as ...
    writers : mapping of str to str
        Where the writer lies for each suffix; ``""`` is a folder. It is called as ``write(result, path, overwrite)``,
        for DICOM (``.dcm`` and folders) as ``write(result, path, overwrite, reference, deidentifier)``.
    is_image : bool
        Whether it is written in all formats of images as well, see `napari_radcnn.io.formats`.
    numbers : str
        Where ``numbers(result) -> list[(name, value)]`` lies: what is printed and listed; empty for none.
    compare : str
        Where ``compare(reference, prediction, tolerance_mm) -> dict or None`` lies, for two paths: figures under
        `name`, None where they hold no results of this kind. Of the kinds in the table the last are asked first.
    tell : str
        Where ``tell(figures)`` lies, which prints them.
    """

    name: str
    result: type
    described: str
    writers: Mapping[str, str] = field(default_factory=dict)
    is_image: bool = False
    numbers: str = ""
    compare: str = ""
    tell: str = "napari_radcnn.cli.evaluate:print_figures"


@dataclass(frozen=True, eq=False)
class Task:
    """What is known of a task.

    Attributes
    ----------
    kind : ResultKind
        What it gives.
    page : str
        Where its page of the viewer lies: a `napari_radcnn.gui.models.pages.Page`, or a dock of its own.
    build : str
        Where ``build(request, outcome, name, manifest, warnings) -> Result`` lies, which makes the result of what a
        model found; empty for a task that no model does in one run.
    """

    kind: ResultKind
    page: str
    build: str = ""


_RUN = "napari_radcnn.operations"
_DICOM = "napari_radcnn.io.dicom_results"
_PAGES = "napari_radcnn.gui.models.pages"

LABELS = ResultKind(
    "labels",
    LabelMap,
    "labels are",
    {
        ".sr.dcm": f"{_DICOM}:write_report",
        ".seg.dcm": f"{_DICOM}:write_segmentation",
        ".dcm": f"{_DICOM}:write_segmentation",
    },
    is_image=True,
    numbers=f"{_RUN}.segmenting:volumes",
    compare=f"{_RUN}.comparing:compare_scans",
    tell="napari_radcnn.cli.evaluate:print_labels",
)
IMAGE = ResultKind(
    "image",
    Volume,
    "images are",
    {"": f"{_DICOM}:write_derived"},
    is_image=True,
    compare=f"{_RUN}.comparing:compare_scans",
)
DETECTIONS = ResultKind(
    "detections",
    Detections,
    "detections are",
    {
        ".json": "napari_radcnn.io.reports:write_detections",
        ".csv": "napari_radcnn.io.reports:write_detections",
        ".sr.dcm": f"{_DICOM}:write_detection_report",
    },
    compare=f"{_RUN}.detecting:compare_detections",
)
CLASSIFICATION = ResultKind(
    "classification",
    Classification,
    "a classification is",
    {
        ".json": "napari_radcnn.io.reports:write_classification",
        ".csv": "napari_radcnn.io.reports:write_classification",
        ".sr.dcm": f"{_DICOM}:write_answer_report",
    },
    numbers=f"{_RUN}.classifying:numbers",
    compare=f"{_RUN}.classifying:compare_classifications",
)
VALUE = ResultKind(
    "value",
    Regression,
    "a value is",
    {
        ".json": "napari_radcnn.io.reports:write_value",
        ".csv": "napari_radcnn.io.reports:write_value",
        ".sr.dcm": f"{_DICOM}:write_answer_report",
    },
    numbers=f"{_RUN}.regressing:numbers",
    compare=f"{_RUN}.regressing:compare_values",
)
SURVIVAL = ResultKind(
    "survival",
    Survival,
    "a risk is",
    {
        ".json": "napari_radcnn.io.reports:write_risk",
        ".csv": "napari_radcnn.io.reports:write_risk",
        ".sr.dcm": f"{_DICOM}:write_answer_report",
    },
    numbers=f"{_RUN}.surviving:numbers",
    compare=f"{_RUN}.surviving:compare_risks",
)
LANDMARKS = ResultKind(
    "landmarks",
    Landmarks,
    "landmarks are",
    {
        ".json": "napari_radcnn.io.reports:write_landmarks",
        ".csv": "napari_radcnn.io.reports:write_landmarks",
        ".sr.dcm": f"{_DICOM}:write_landmark_report",
    },
    numbers=f"{_RUN}.landmarking:numbers",
    compare=f"{_RUN}.landmarking:compare_landmarks",
)
EMBEDDING = ResultKind(
    "embedding",
    Embedding,
    "an embedding is",
    {".json": "napari_radcnn.io.reports:write_embedding"},
    numbers=f"{_RUN}.embedding:numbers",
    compare=f"{_RUN}.embedding:compare_embeddings",
)

#: The table.
TASKS: dict[str, Task] = {
    "segmentation": Task(LABELS, f"{_PAGES}:LabelsPage", f"{_RUN}.segmenting:labels"),
    "denoising": Task(IMAGE, f"{_PAGES}:RestoredPage", f"{_RUN}.restoring:restored"),
    "super-resolution": Task(IMAGE, f"{_PAGES}:RestoredPage", f"{_RUN}.restoring:restored"),
    "synthesis": Task(IMAGE, f"{_PAGES}:SynthesizedPage", f"{_RUN}.restoring:synthesized"),
    "interactive": Task(LABELS, "napari_radcnn.gui.interactive.dock:InteractiveDock"),
    "detection": Task(DETECTIONS, f"{_PAGES}:DetectionsPage", f"{_RUN}.detecting:detections"),
    "classification": Task(CLASSIFICATION, f"{_PAGES}:ClassificationPage", f"{_RUN}.classifying:classification"),
    "regression": Task(VALUE, f"{_PAGES}:ValuePage", f"{_RUN}.regressing:regression"),
    "survival": Task(SURVIVAL, f"{_PAGES}:SurvivalPage", f"{_RUN}.surviving:survived"),
    "landmarks": Task(LANDMARKS, f"{_PAGES}:LandmarksPage", f"{_RUN}.landmarking:found"),
    "embedding": Task(EMBEDDING, f"{_PAGES}:NumbersPage", f"{_RUN}.embedding:embedded"),
}


def load(place: str) -> Any:
    """Return what lies at a place of the table, ``"module:name"``."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def kinds() -> list[ResultKind]:
    """Return every kind of result once, in the order of the table."""
    return list(dict.fromkeys(task.kind for task in TASKS.values()))


def kind_of(result: object) -> ResultKind | None:
    """Return the kind of a result; None for what no task gives."""
    return kind_of_class(type(result))


def kind_of_class(result: type) -> ResultKind | None:
    """Return the kind of the results of a class; None for what no task gives."""
    return next((kind for kind in kinds() if issubclass(result, kind.result)), None)


def numbers_of(result: Result, task: str) -> list[tuple[str, str]]:
    """Return what is listed of a result of a task: name and value with unit, such as ``("brain", "1910.4 ml")``.

    Parameters
    ----------
    result : Result
        What an operation returned.
    task : str
        Of the table: labels that were written block by block come back as a `Volume`.
    """
    place = TASKS[task].kind.numbers
    return list(load(place)(result)) if place else []

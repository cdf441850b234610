"""Which operations a chain may hold, besides models: a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: What runs a model, and the tasks that the model may be for; empty for any.
VERBS: Mapping[str, tuple[str, ...]] = {
    "run": (),
    "segment": ("segmentation",),
    "detect": ("detection",),
    "classify": ("classification",),
    "regress": ("regression",),
    "survival": ("survival",),
    "landmarks": ("landmarks",),
    "denoise": ("denoising",),
    "super_resolve": ("super-resolution",),
    "synthesize": ("synthesis",),
    "embed": ("embedding",),
}
#: What a file of each kind can be taken for in a later step.
LABELS, IMAGE, NUMBERS = "labels", "image", "numbers"


@dataclass(frozen=True)
class Operation:
    """An operation that runs no model.

    Attributes
    ----------
    run : str
        Where its function lies, ``"module:name"``; as of `napari_radcnn.cohort.steps.running`.
    inputs : mapping of str to str
        What it takes, and what each is: ``"image"`` or ``"labels"``.
    options : tuple of str
        The names of its options.
    gives : str
        ``"image"``, ``"labels"`` or ``"numbers"``.
    suffix : str
        How the name of its file ends.
    version : str
        Changed when it would give something else for the same.
    """

    run: str
    inputs: Mapping[str, str]
    gives: str
    suffix: str
    options: tuple[str, ...] = field(default=())
    version: str = "1"


OPERATIONS: Mapping[str, Operation] = {
    "convert": Operation(
        "napari_radcnn.cohort.steps.others:convert", {"image": IMAGE}, IMAGE, ".nii.gz", ("deidentify",)
    ),
    "measure": Operation(
        "napari_radcnn.cohort.steps.others:measure",
        {"labels": LABELS, "image": IMAGE},
        NUMBERS,
        ".json",
        ("suv", "mtv_threshold"),
    ),
    "evaluate": Operation(
        "napari_radcnn.cohort.steps.others:evaluate",
        {"reference": LABELS, "prediction": LABELS},
        NUMBERS,
        ".json",
        ("tolerance_mm", "taken_as"),
    ),
}

"""What the list in a pack says of its model: made of a description, and a description made of it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_radcnn.foreign.answers.clinical import AnswerOptions, ClinicalValue, can_explain, options_of
from napari_radcnn.foreign.answers.described import Answering
from napari_radcnn.results import Label
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.patches import InputSlot, NetworkFile

#: What a pack calls the module that runs its model.
_PIPELINES = {
    "napari_radcnn.foreign.processing.run": "network",
    "napari_radcnn.foreign.nnunet.run": "nnunet",
    "napari_radcnn.foreign.answers.run": "answer",
    "napari_radcnn.foreign.detection.run": "detection",
}
#: Entries that are text.
WORDS = ("name", "title", "task", "version", "summary", "licence", "citation", "body_part")


def _values_of(spec: ModelSpec) -> dict[str, Any]:
    values = spec.network.values if isinstance(spec.network, Answering) else ()
    return {"values": [asdict(one) for one in values]} if values else {}


def entry_path(place: Path, words: Mapping[str, Any]) -> Path:
    """Return what of an unpacked pack is opened."""
    return place / str(words["entry"])


def words_of(spec: ModelSpec) -> dict[str, Any]:
    """Return what the list of a pack says of a model, without its files."""
    words = {key: getattr(spec, key) for key in WORDS}
    return words | {
        "pipeline": _PIPELINES.get(spec.pipeline, spec.pipeline),
        "modalities": list(spec.modalities),
        "spacing": spec.spacing,
        "patch": spec.patch,
        "labels": {str(value): {"name": label.name, "color": label.color} for value, label in spec.labels.items()},
        "classes": list(spec.classes),
        **_values_of(spec),
        **({"has_views": True} if spec.has_views else {}),
        "inputs": [{"name": slot.name, "modalities": list(slot.modalities)} for slot in spec.inputs],
    }


def listed_spec(place: Path, words: Mapping[str, Any]) -> ModelSpec:
    """Return the description of an installed model from its pack.json alone."""
    labels = {
        int(value): Label(str(label["name"]), None if label["color"] is None else _three(label["color"]))
        for value, label in words["labels"].items()
    }
    patch = words["patch"]
    return ModelSpec(
        name=words["name"],
        title=words["title"],
        task=words["task"],
        version=words["version"],
        summary=words["summary"],
        licence=words["licence"],
        citation=words["citation"],
        body_part=words["body_part"],
        pipeline="napari_radcnn.foreign.installed",
        options=_options(words),
        has_views=bool(words.get("has_views", False)),
        modalities=tuple(map(str, words["modalities"])),
        card=str(place / "CARD.md"),
        spacing=None if words["spacing"] is None else _three(words["spacing"]),
        patch=None if patch is None else (int(patch[0]), int(patch[1]), int(patch[2])),
        labels=labels,
        classes=tuple(map(str, words.get("classes", ()))),
        inputs=tuple(InputSlot(str(s["name"]), tuple(map(str, s["modalities"]))) for s in words["inputs"]),
        files=tuple(NetworkFile(place / "model" / f["path"], f["sha256"], f["kind"]) for f in words["weights"]),
        origin=entry_path(place, words),
    )


def _options(words: Mapping[str, Any]) -> type:
    pipeline, values = str(words["pipeline"]), words.get("values", [])
    explains = can_explain(str(words["task"]), bool(words.get("has_views", False)))
    if values:
        found = []
        for one in values:
            limits = None if one["limits"] is None else (float(one["limits"][0]), float(one["limits"][1]))
            choices = tuple((str(word), float(number)) for word, number in one["choices"])
            found.append(ClinicalValue(**{**one, "limits": limits, "choices": choices}))
        return options_of(found, explains)
    if pipeline == "answer" and explains:
        return AnswerOptions
    if pipeline == "nnunet":
        from napari_radcnn.foreign.nnunet.open import NnunetOptions

        return NnunetOptions
    if pipeline == "detection":
        from napari_radcnn.foreign.detection.described import DetectorOptions

        return DetectorOptions
    from napari_radcnn.foreign.processing.steps import NetworkOptions

    return NetworkOptions


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(v) for v in values)
    return first, second, third

"""What of a manifest may be given away: how a result was made, nothing that anybody typed or that names the scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_radcnn.io.dicom_results.names import is_listed, is_public, known_choices, public_names
from napari_radcnn.manifest import suitability_of
from napari_radcnn.tasks import TASKS

#: What is copied as it is: numbers, hashes and words of our own programs.
_AS_IT_IS = ("schema", "settings", "device", "precision", "result", "versions", "system", "seconds", "edited_by_hand")
_INPUT_KEYS = ("format", "modality", "shape", "spacing_mm", "affine")
_MODEL_KEYS = ("name", "version", "task", "licence")
_REVIEW_KEYS = ("score_threshold", "accepted", "undecided", "rejected", "below_threshold")
#: Words that the facts of models hold, besides choices, classes and names of models.
_WORDS = frozenset(
    {
        *("torch", "openvino", "cuda", "mps", "cpu", "none", "float32", "bfloat16", "float16"),
        *("given", "estimated", "as shown", "reference", "fast", "k", "j", "i"),
        *("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"),
    }
)
#: What a model is called that was opened from a file or folder: its own name is that of the file, or was typed.
UNLISTED = "unlisted model"


def shareable(manifest: Mapping[str, Any], renamed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a manifest without the scan's name, path, UIDs, hash and warnings, and without the time of the run.

    It cannot be replayed: it no longer says on what the model was run.

    Parameters
    ----------
    manifest : mapping
        Of a run or of a session.
    renamed : mapping of str to str, optional
        What the labels of the result are called now, by what they were called.
    """
    if not manifest:
        return {}
    found = {key: manifest[key] for key in _AS_IT_IS if key in manifest}
    if manifest.get("model"):
        found["model"] = public_model(manifest)
    suits = suitability_of(manifest)
    if suits:  # reasons name the inputs of a model, and somebody else's may be called anything
        is_ours = is_listed(str(found.get("model", {}).get("name") or ""))
        found["suitability"] = suits if is_ours else {**suits, "reasons": []}
    for key in ("options", "facts"):
        if isinstance(manifest.get(key), Mapping):
            found[key] = _without_words(manifest[key], manifest)
    volumes = manifest.get("volumes_ml")
    if isinstance(volumes, Mapping):
        given = renamed or {}
        names = public_names((name for name in volumes if name not in given), manifest, "object")
        found["volumes_ml"] = {{**names, **given}[name]: value for name, value in volumes.items() if _is_number(value)}
    if isinstance(manifest.get("reviews"), list):
        found["reviews"] = [_numbers(review, _REVIEW_KEYS) for review in manifest["reviews"]]
    scan = manifest.get("input")
    if isinstance(scan, Mapping):
        found["input"] = {key: scan[key] for key in _INPUT_KEYS if key in scan}
    return {**found, "deidentified": True}


def public_model(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest may say of its model: of one that neither ships nor is installed, its task and hashes.

    Where it lay is left out of every one.
    """
    model = manifest.get("model")
    if not isinstance(model, Mapping):
        return {}
    weights = [one for one in model.get("weights") or () if isinstance(one, Mapping)]
    if is_listed(str(model.get("name") or "")):
        kept = {key: model[key] for key in _MODEL_KEYS if key in model}
        return {**kept, "weights": [{key: one[key] for key in ("file", "sha256") if key in one} for one in weights]}
    task = {"task": model["task"]} if model.get("task") in TASKS else {}
    hashes = [{"sha256": one["sha256"]} for one in weights if "sha256" in one]
    return {"name": UNLISTED, **task, "weights": hashes}


def _without_words(values: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return options or facts without text, unless it is a choice that the model leaves, or the name of a class."""
    choices = known_choices(manifest)

    def is_kept(value: object) -> bool:
        if isinstance(value, str):
            return value in choices or value in _WORDS or is_public(value, manifest) or is_listed(value)
        if isinstance(value, list | tuple):
            return all(is_kept(one) for one in value)
        return value is None or _is_number(value)

    return {key: value for key, value in values.items() if is_kept(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float)


def _numbers(values: object, keys: tuple[str, ...]) -> dict[str, Any]:
    known = values if isinstance(values, Mapping) else {}
    return {key: known[key] for key in keys if _is_number(known.get(key))}

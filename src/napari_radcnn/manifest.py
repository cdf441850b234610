"""Manifests: what is written beside each result of how it was made, so that it can be made again and compared.

This module owns the schema ``radcnn-manifest/1``: what is in one, how one is read, and when two are of the same result.
A manifest is a mapping of JSON types. `napari_radcnn.operations.replay` makes a result again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_radcnn import provenance
from napari_radcnn.errors import ReadError
from napari_radcnn.files import file_hash, recover
from napari_radcnn.schemas import MANIFEST, MANIFEST_SUFFIX, beside_store, check_schema

#: Files up to this size, together, are compared with the hashes of their manifest.
_MOST_COMPARED = 1 << 30

# -- made -------------------------------------------------------------------------------------------------------------


def describe_model(
    name: str,
    version: str,
    task: str,
    licence: str,
    weights: Iterable[tuple[str, str]],
    origin: Path | None = None,
    identity: str = "",
) -> dict[str, Any]:
    """Return what a manifest says of a model.

    Parameters
    ----------
    name, version, task, licence : str
        As of its specification.
    weights : iterable of (str, str)
        The name and the SHA-256 of each file.
    origin : path, optional
        Where a foreign model lies.
    identity : str, optional
        As of `napari_radcnn.spec.identity.model_identity`.
    """
    return {
        "name": name,
        "version": version,
        "task": task,
        "licence": licence,
        "weights": [{"file": file, "sha256": sha256} for file, sha256 in weights],
        **({"identity": identity} if identity else {}),
        **({} if origin is None else {"origin": str(origin.absolute())}),
    }


def of_run(
    *,
    model: Mapping[str, Any],
    options: Mapping[str, Any],
    settings: Mapping[str, str],
    computed: Mapping[str, Any],
    first_input: Mapping[str, Any],
    inputs: Mapping[str, Mapping[str, Any]],
    result: Mapping[str, Any],
    facts: Mapping[str, Any],
    warnings: Sequence[str],
    started: str,
    seconds: float,
    suitability: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the manifest of a run of a model.

    Parameters
    ----------
    model : mapping
        As `describe_model` returns it.
    options : mapping
        Of the model, by name.
    settings : mapping
        Device and precision that were asked for.
    computed : mapping
        Device, precision and number of threads that it was computed with.
    first_input, inputs : mapping
        As `napari_radcnn.provenance.identify` returns them; `inputs` by name where the model takes several.
    result : mapping
        Hashes of the voxels, and the grid where it is not that of the input.
    facts : mapping
        What else the model says of its result.
    warnings : sequence of str
        What the user must be told before relying on it.
    started : str
        UTC.
    seconds : float
        How long it took.
    suitability : mapping, optional
        Whether the model was made for such a scan: its ``state``, and ``reasons``.
    """
    return {
        "schema": MANIFEST,
        "model": dict(model),
        "options": dict(options),
        "settings": dict(settings),
        **computed,
        "input": dict(first_input),
        **({"inputs": dict(inputs)} if inputs else {}),
        "result": dict(result),
        "facts": dict(facts),
        "warnings": list(warnings),
        **({} if suitability is None else {"suitability": dict(suitability)}),
        "versions": provenance.versions(),
        "system": provenance.system(),
        "started": started,
        "seconds": round(seconds, 3),
    }


def of_session(
    *,
    engines: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    scan: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    step_times: Sequence[str],
    started: str,
) -> dict[str, Any]:
    """Return the manifest of an interactive result, which is a script of `radcnn interact` as well.

    Parameters
    ----------
    engines : sequence of mapping
        As `describe_model` returns them: the first one answered first; at least one.
    settings : mapping
        Device and precision.
    scan : mapping
        As `napari_radcnn.provenance.identify` returns it.
    steps : sequence of mapping
        What was done, in order.
    step_times : sequence of str
        When, UTC.
    started : str
        When the session began, UTC.
    """
    return {
        "schema": MANIFEST,
        "task": "interactive",
        "engine": engines[0]["name"],
        "model": dict(engines[0]),
        **({"engines": [dict(engine) for engine in engines]} if len(engines) > 1 else {}),
        "settings": dict(settings),
        "input": dict(scan),
        "steps": list(steps),
        "step_times": list(step_times),
        "started": started,
        "finished": provenance.now(),
        "versions": provenance.versions(),
        "system": provenance.system(),
    }


# -- read -------------------------------------------------------------------------------------------------------------


def manifest_path(path: Path) -> Path:
    """Return where the manifest of a file lies: beside it, or beside the store that labels were added to."""
    place = beside_store(path)  # a Zarr store holds nothing but Zarr
    return place.with_name(f"{place.name}{MANIFEST_SUFFIX}")


def read_beside(path: Path) -> dict[str, Any]:
    """Return the manifest beside a file, without the file's own name; empty where there is none that can be read.

    Raises
    ------
    ReadError
        If it is of a newer schema.
    """
    target = manifest_path(path)
    recover(target.parent)
    try:
        found = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    check_schema(found.get("schema"), MANIFEST, target, ReadError)
    return {key: value for key, value in found.items() if key not in ("output", "files")}


def doubts_of(path: Path) -> list[str]:
    """Return why a file may not be what the manifest beside it tells of, a line each; empty where there is no doubt.

    Files of more than 1 GiB together are not compared, since that takes longer than opening them; nor are those of
    manifests that hold no hashes.
    """
    if not path.name:  # "." or a whole disk: beside it there is nothing
        return []
    target = manifest_path(path)
    recover(target.parent)
    try:
        hashes = json.loads(target.read_text(encoding="utf-8"))["files"]
        files = {path.parent / name: sha256 for name, sha256 in hashes.items() if "/" not in name}
        if sum(_size(file) for file in files) > _MOST_COMPARED:
            return []
        changed = [file.name for file, sha256 in files.items() if not file.exists() or file_hash(file) != sha256]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return []
    return [
        f"{target.name} describes a different '{name}' than the present one, which was changed or replaced later."
        for name in changed
    ]


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size if path.exists() else 0


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest whose result can be made again.

    Raises
    ------
    ReadError
        If it cannot be read, is of a newer schema, or does not say what was run on what.
    """
    recover(path.parent)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ReadError(
            f"{path} is not the manifest of a run; a manifest has a name ending in {MANIFEST_SUFFIX} and "
            "lies beside each result."
        ) from error
    check_replayable(found, str(path))
    return dict(found)


def check_replayable(manifest: Any, where: str) -> None:
    """Raise if what JSON gave is no manifest whose result can be made again.

    Raises
    ------
    ReadError
        As of `read_manifest`; begins with `where`.
    """
    if isinstance(manifest, Mapping):
        check_schema(manifest.get("schema"), MANIFEST, where, ReadError)
    try:
        if manifest["schema"] != MANIFEST or not manifest["input"]["path"]:
            raise ReadError(f"{where} does not name an input for repeating the run.")
        _ = manifest["model"]["name"], manifest["settings"]["device"], manifest["input"]["sha256"]
        _ = manifest.get("steps") or manifest["options"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ReadError(
            f"{where} is not the manifest of a run; a manifest has a name ending in {MANIFEST_SUFFIX} "
            "and lies beside each result."
        ) from error


def task_of(manifest: Mapping[str, Any]) -> str:
    """Return the name of the task that a manifest is about; empty where it does not say."""
    model = manifest.get("model")
    named = manifest.get("task") or (model.get("task") if isinstance(model, Mapping) else None)
    return named if isinstance(named, str) else ""


def suitability_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of how the model suits the scan, ``state`` and ``reasons``; empty where nothing."""
    stated = manifest.get("suitability")
    if not isinstance(stated, Mapping) or stated.get("state") not in ("fits", "doubtful", "refused"):
        return {}
    reasons = stated.get("reasons")
    listed = [one for one in reasons if isinstance(one, str)] if isinstance(reasons, list) else []
    return {"state": stated["state"], "reasons": listed}


# -- compared ---------------------------------------------------------------------------------------------------------


def is_same_result(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool | None:
    """Return whether two manifests are of the same result, to the last voxel; None where one of them does not say.

    Hashes are compared, not files: a format may hold the voxels rounded (DICOM) or numbered anew (a segmentation).
    """
    first, second = before.get("result"), after.get("result")
    return first == second if first and second else None

"""A chain as it is run: every model found, every option given, and where each step's inputs come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.cases import IMAGE as IMAGE_COLUMN
from napari_radcnn.cohort.chain.kinds import IMAGE, LABELS, NUMBERS, OPERATIONS, VERBS
from napari_radcnn.cohort.chain.parsing import Step
from napari_radcnn.errors import ModelError, OptionError
from napari_radcnn.foreign.installed import identity_of
from napari_radcnn.interactive.engines.specs import check_runs_at_once
from napari_radcnn.io import check_suffix
from napari_radcnn.models import ModelSpec, find_model, make_options
from napari_radcnn.results import Detections, Embedding, LabelMap, Landmarks, Regression, Survival
from napari_radcnn.spec.options import describe
from napari_radcnn.tasks import TASKS
from napari_radcnn.volume import Volume


@dataclass(frozen=True)
class Resolved:
    """A step as it is run; JSON types alone, so that it travels.

    Attributes
    ----------
    name, verb, model, suffix, anyway
        As of `napari_radcnn.cohort.chain.Step`.
    title, version, identity : str
        Of the model, or of the operation.
    options : mapping
        All of them, with their defaults.
    inputs : mapping of str to str
        Name of the input to a column of the list (``"list:T1"``) or an earlier step (``"step:denoised"``).
    gives : str
        ``"labels"``, ``"image"`` or ``"numbers"``.
    precision : str
        That is asked for.
    columns : tuple of str
        Columns of the table of results that are known before the work.
    """

    name: str
    verb: str
    model: str
    title: str
    version: str
    identity: str
    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    suffix: str
    gives: str
    anyway: bool = False
    precision: str = "auto"
    columns: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return what decides its result, as JSON types."""
        plain = asdict(self)
        for key in ("columns", "gives", "title", "model"):
            del plain[key]
        return {**plain, "model": self.title}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Resolved:
        """Return what `to_dict` gave."""
        return cls(**{**plain, "columns": tuple(plain["columns"])})


def resolve(
    steps: Sequence[Step], *, precision: str = "auto", trust: str | None = None, anyway: bool = False
) -> tuple[Resolved, ...]:
    """Return steps as they are run.

    Raises
    ------
    ModelError
        If a model is unknown, cannot be used, or is for another task than the verb says.
    OptionError
        If an option or an input is unknown, or nothing earlier gives what a step takes.
    WriteError
        If a result is not written under such a suffix.
    """
    done: list[Resolved] = []
    for step in steps:
        found = (
            _resolved_model(step, done, precision, trust, anyway) if step.verb in VERBS else _resolved_other(step, done)
        )
        done.append(found)
    return tuple(done)


def keys_of(steps: Sequence[Resolved]) -> dict[str, str]:
    """Return a hash for each step: of what it does, and of what it is done to."""
    keys: dict[str, str] = {}
    for step in steps:
        before = {name: keys[where.removeprefix("step:")] for name, where in step.inputs.items() if _is_step(where)}
        told = json.dumps([step.describe(), before], sort_keys=True)
        keys[step.name] = hashlib.sha256(told.encode()).hexdigest()
    return keys


def wanted_columns(steps: Sequence[Resolved]) -> tuple[str, ...]:
    """Return the inputs that come from the list, each once."""
    wheres = [where for step in steps for where in step.inputs.values() if not _is_step(where)]
    return tuple(dict.fromkeys(where.removeprefix("list:") for where in wheres))


def changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in words what differs between two descriptions of a chain."""
    old = {str(step.get("name")): step for step in before}
    said = []
    for step in after:
        was = old.pop(step["name"], None)
        if was is None:
            said.append(f"the step '{step['name']}' is new")
            continue
        for key in sorted(set(was) | set(step)):
            if was.get(key) == step.get(key):
                continue
            if key == "options":
                said += _option_changes(step["name"], was.get(key) or {}, step.get(key) or {})
            elif key == "identity":
                said.append(f"the model files of '{step['name']}' have changed")
            else:
                said.append(f"{key} of '{step['name']}': {was.get(key)} -> {step.get(key)}")
    return said + [f"the step '{name}' was removed" for name in old]


def _option_changes(step: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = sorted(name for name in set(was) | set(now) if was.get(name) != now.get(name))
    return [f"option {name} of '{step}': {was.get(name)} -> {now.get(name)}" for name in names]


def _is_step(where: str) -> bool:
    return where.startswith("step:")


def _resolved_model(step: Step, done: Sequence[Resolved], precision: str, trust: str | None, anyway: bool) -> Resolved:
    spec = find_model(step.model, trust=trust)
    check_runs_at_once(spec)
    tasks = VERBS[step.verb]
    if tasks and spec.task not in tasks:
        raise ModelError(f"The step '{step.name}': the model '{spec.name}' is for {spec.task}, not for '{step.verb}'.")
    if not spec.is_available:
        raise ModelError(f"The model is not installed: {spec.how_to_install}")
    options = make_options(spec.options, dict(step.options))
    kind = TASKS[spec.task].kind.result
    gives = LABELS if kind is LabelMap else IMAGE if kind is Volume else NUMBERS
    suffix = step.suffix or (".json" if gives == NUMBERS else ".nii.gz")
    check_suffix(kind, Path(f"x{suffix}"))
    slots = tuple(slot.name for slot in spec.inputs) or (IMAGE_COLUMN,)
    _check_names(step, slots)
    inputs = {}
    for slot in slots:
        default = _last(done, IMAGE) if len(slots) == 1 else ""
        inputs[slot] = _source(step, slot, done, default, IMAGE)
    return Resolved(
        step.name, step.verb, step.model, spec.name, spec.version, identity_of(spec),
        {entry.name: getattr(options, entry.name) for entry in describe(spec.options)},
        inputs, suffix, gives, step.anyway or anyway, precision, _columns(spec, kind),
    )  # fmt: skip


def _columns(spec: ModelSpec, kind: type) -> tuple[str, ...]:
    if kind is LabelMap:
        return tuple(f"{label.name}_ml" for label in spec.labels.values())
    if kind is Detections:
        return ("findings", "best_score", "largest_mm")
    if kind is Embedding:
        return ("numbers", "length")
    if kind is Landmarks:
        return tuple(f"{name}_{axis}_mm" for name in spec.classes for axis in "xyz")
    if kind is Regression:
        return ("value", "low", "high", "unit")
    if kind is Survival:
        return ("risk", "group")
    return tuple(f"probability_{name}" for name in spec.classes) if kind is not Volume else ()


def _resolved_other(step: Step, done: Sequence[Resolved]) -> Resolved:
    operation = OPERATIONS[step.verb]
    unknown = sorted(set(step.options) - set(operation.options))
    if unknown:
        known = ", ".join(operation.options) or "none"
        raise OptionError(
            f"The step '{step.name}': unknown option '{unknown[0]}'; those of '{step.verb}' are: {known}."
        )
    if step.model:
        raise OptionError(f"The step '{step.name}': '{step.verb}' runs no model.")
    _check_names(step, tuple(operation.inputs))
    inputs = {}
    for name, kind in operation.inputs.items():
        default = _last(done, LABELS) if kind == LABELS and name != "reference" else ""
        inputs[name] = _source(step, name, done, default, kind)
    suffix = step.suffix or operation.suffix
    if operation.gives == IMAGE:
        check_suffix(Volume, Path(f"x{suffix}"))
    return Resolved(
        step.name, step.verb, "", step.verb, operation.version, "", dict(step.options), inputs, suffix, operation.gives
    )


def _check_names(step: Step, names: Sequence[str]) -> None:
    unknown = sorted(set(step.inputs) - set(names))
    if unknown:
        raise OptionError(f"The step '{step.name}' takes {', '.join(names)}; it has no input '{unknown[0]}'.")


def _last(done: Sequence[Resolved], kind: str) -> str:
    return next((step.name for step in reversed(done) if step.gives == kind), "")


def _source(step: Step, name: str, done: Sequence[Resolved], default: str, kind: str) -> str:
    """Return where an input comes from: what the chain says, an earlier step of the right kind, or the list."""
    told = step.inputs.get(name)
    if told is None:
        return f"step:{default}" if default else f"list:{name}"
    earlier = next((one for one in done if one.name == told), None)
    if earlier is None:
        return f"list:{told}"
    if earlier.gives == NUMBERS or (kind == LABELS and earlier.gives != LABELS):
        raise OptionError(f"The step '{step.name}': '{told}' gives {earlier.gives}, but '{name}' needs {kind}.")
    return f"step:{told}"

"""Scripts: the prompts and tools of a session as JSON, read strictly and played on a session.

A script is ``{"engine": "region", "steps": [...]}``; the manifest of an interactive result is one, too. Each step has
the keys of one row:

====================  ============================================================================
``object, prompt``    gives an object a prompt, see `napari_radcnn.interactive.prompts.Prompt.to_dict`
``object, tool``      mends an object by a tool, see `napari_radcnn.interactive.tools.tool_from_dict`
``add[, color]``      begins an object, color ``[red, green, blue]`` in 0..1
``remove``            removes an object
``reset``             begins an object anew
``lock``, ``unlock``  keeps an object's voxels from the steps that follow, or allows them again
``rename, to``        gives an object another name
``recolor, color``    gives an object another color
``undo``, ``redo``    takes that number of steps back, or brings them back
``engine``            lets another engine answer from here on
====================  ============================================================================

An object is called by its name; one that a prompt or a tool names first is begun.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from napari_radcnn.errors import OptionError, ReadError
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools import Paint, tool_from_dict
from napari_radcnn.interactive.tools.base import Tool
from napari_radcnn.results import LabelMap
from napari_radcnn.schemas import MANIFEST, check_schema

#: Bytes of a file that is read as a script.
LARGEST = 64 * 1024 * 1024
#: What is larger is no count, no position and no gray value; squared it would still be a number.
_LARGEST_NUMBER = 1e15
#: mm from the origin of the patient space.
_FARTHEST = 1e6

Action = Literal[
    "prompt", "tool", "add", "remove", "reset", "lock", "unlock", "rename", "recolor", "undo", "redo", "engine"
]
_ALONE = ("remove", "reset", "lock", "unlock")


@dataclass(frozen=True)
class ScriptStep:
    """One step.

    Attributes
    ----------
    action : str
        What is done.
    name : str
        The object it is done to; the engine's name of an ``"engine"``; empty for ``"undo"`` and ``"redo"``.
    prompt : Prompt or None
        Of a ``"prompt"``.
    tool : Tool or None
        Of a ``"tool"``.
    color : tuple of float or None
        Of an ``"add"`` or a ``"recolor"``.
    to : str
        The new name of a ``"rename"``.
    count : int
        How many steps an ``"undo"`` or a ``"redo"`` is about.
    """

    action: Action
    name: str = ""
    prompt: Prompt | None = None
    tool: Tool | None = None
    color: tuple[float, float, float] | None = None
    to: str = ""
    count: int = 0

    @property
    def is_of_history(self) -> bool:
        """Whether it moves in the history instead of adding to it."""
        return self.action in ("undo", "redo")

    @property
    def title(self) -> str:
        """What it is, in a few words, for progress and errors."""
        if self.prompt is not None:
            return f"{self.name}: {self.prompt.kind}"
        if self.tool is not None:
            return f"{self.name}: {self.tool.name}"
        return f"{self.action} {self.name or self.count}"


@dataclass(frozen=True)
class Script:
    """What is done in a session, in order.

    Attributes
    ----------
    steps : tuple of ScriptStep
        In order.
    engine : str
        What answers the prompts; empty where the script does not say.
    settings : mapping of str to str
        Device and precision that a manifest names; empty for a script.
    input_sha256 : str
        Of the scan that a manifest is about; empty for a script.
    """

    steps: tuple[ScriptStep, ...]
    engine: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    input_sha256: str = ""


def read_script(path: Path, label_maps: Sequence[LabelMap] = ()) -> Script:
    """Return the script in a file, or the one in the manifest of an interactive result.

    Parameters
    ----------
    path : path
        Of a JSON file.
    label_maps : sequence of LabelMap
        What its tools may copy from; each is recognized by its voxels.

    Raises
    ------
    ReadError
        If it cannot be read, is too large, or is no script; names the step that is wrong.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ReadError(f"{path} is larger than {LARGEST // 2**20} MB, so it is not a script.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ReadError(f"{path} is not UTF-8 text, so it is not a script.") from error
    return parse_script(text, str(path), label_maps)


def parse_script(text: str, where: str = "the script", label_maps: Sequence[LabelMap] = ()) -> Script:
    """Return the script in a text, as `read_script` does; `where` names it in errors.

    Raises
    ------
    ReadError
        If it is no JSON or no script.
    """
    try:
        plain = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_constant=_no_constant,
            parse_float=_usual_float,
            parse_int=_usual_integer,
        )
        return script_from_dict(plain, where, label_maps)
    except RecursionError as error:
        raise ReadError(f"{where} is nested too deeply for a script.") from error
    except json.JSONDecodeError as error:
        raise ReadError(
            f"{where} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except OptionError as error:
        raise ReadError(f"{where}: {error}") from error


def script_from_dict(plain: object, where: str = "the script", label_maps: Sequence[LabelMap] = ()) -> Script:
    """Return the script that JSON types make, as `read_script` does; `where` names it in errors.

    Raises
    ------
    ReadError
        If they make none; names the step that is wrong.
    """
    if not isinstance(plain, Mapping) or not isinstance(plain.get("steps"), list | tuple):
        raise ReadError(f'{where} is not a script: a script is {{"engine": "region", "steps": [...]}}.')
    settings: Mapping[str, str] = {}
    engine, sha256 = plain.get("engine", ""), ""
    check_schema(plain.get("schema"), MANIFEST, where, ReadError)
    if plain.get("schema") == MANIFEST:
        engine, settings, sha256 = _from_manifest(plain, where)
    else:
        unknown = sorted(set(plain) - {"engine", "steps"})
        if unknown:
            raise ReadError(f"{where}: '{_short(unknown[0])}' is not a key of a script; the keys are engine, steps.")
    if not isinstance(engine, str):
        raise ReadError(f"{where}: 'engine' must be the name of an engine, got {_short(engine)}.")
    if not plain["steps"]:
        raise ReadError(f"{where} has no steps.")
    steps = []
    for number, step in enumerate(plain["steps"], 1):
        try:
            steps.append(step_from_dict(step, label_maps))
        except OptionError as error:
            raise ReadError(f"{where}, step {number}: {_short(str(error), 400)}") from error
    return Script(tuple(steps), engine, settings, sha256)


def _from_manifest(plain: Mapping[str, Any], where: str) -> tuple[Any, Mapping[str, str], str]:
    """Return the engine, the settings and the scan's hash that a manifest names."""
    try:
        settings = {key: str(plain["settings"][key]) for key in ("device", "precision")}
        return plain["model"]["name"], settings, str(plain["input"]["sha256"])
    except (KeyError, TypeError) as error:
        raise ReadError(f"{where} is a manifest, but not of an interactive result.") from error


def step_from_dict(plain: object, label_maps: Sequence[LabelMap] = ()) -> ScriptStep:
    """Return one step of a script; a tool may copy from `label_maps`.

    Raises
    ------
    OptionError
        If keys are missing or unknown, or a value is of the wrong kind.
    """
    if not isinstance(plain, Mapping):
        raise OptionError(f"A step must be a JSON object, got {_short(plain)}.")
    for needed, others, make in _FORMS:
        if needed <= set(plain):
            unknown = sorted(str(key) for key in set(plain) - needed - others)
            if unknown:
                raise OptionError(f"'{_short(unknown[0])}' is not a key of a step with {_listed(needed)}.")
            return _tool(plain, label_maps) if "tool" in needed else make(plain)
    keys = "; ".join(_listed(needed) for needed, _, _ in _FORMS)
    raise OptionError(f"A step with {_listed(set(plain)) or 'no keys'} is not supported; a step has one of: {keys}.")


def _prompt(plain: Mapping[str, Any]) -> ScriptStep:
    prompt = Prompt.from_dict(_mapping(plain, "prompt"))
    _check_near(prompt.points)
    return ScriptStep("prompt", _name(plain, "object"), prompt=prompt)


def _tool(plain: Mapping[str, Any], label_maps: Sequence[LabelMap] = ()) -> ScriptStep:
    tool = tool_from_dict(_mapping(plain, "tool"), label_maps)
    if isinstance(tool, Paint):
        _check_near(tool.points)
    return ScriptStep("tool", _name(plain, "object"), tool=tool)


def _add(plain: Mapping[str, Any]) -> ScriptStep:
    return ScriptStep("add", _name(plain, "add"), color=_color(plain) if "color" in plain else None)


def _rename(plain: Mapping[str, Any]) -> ScriptStep:
    return ScriptStep("rename", _name(plain, "rename"), to=_name(plain, "to"))


def _recolor(plain: Mapping[str, Any]) -> ScriptStep:
    return ScriptStep("recolor", _name(plain, "recolor"), color=_color(plain))


def _alone(action: str) -> Callable[[Mapping[str, Any]], ScriptStep]:
    return lambda plain: ScriptStep(cast(Action, action), _name(plain, action))


def _counted(action: str) -> Callable[[Mapping[str, Any]], ScriptStep]:
    def make(plain: Mapping[str, Any]) -> ScriptStep:
        count = plain[action]
        if type(count) is not int or count < 1:
            raise OptionError(f"'{action}' must be a number of steps, at least 1, got {_short(count)}.")
        return ScriptStep(cast(Action, action), count=count)

    return make


#: Keys that a step must have, keys it may have, and how it is made.
_FORMS: tuple[tuple[set[str], set[str], Callable[[Mapping[str, Any]], ScriptStep]], ...] = (
    ({"object", "prompt"}, set(), _prompt),
    ({"object", "tool"}, set(), _tool),
    ({"add"}, {"color"}, _add),
    *(({action}, set(), _alone(action)) for action in (*_ALONE, "engine")),
    ({"rename", "to"}, set(), _rename),
    ({"recolor", "color"}, set(), _recolor),
    *(({action}, set(), _counted(action)) for action in ("undo", "redo")),
)


# -- values ------------------------------------------------------------------------------------------------------------


def _name(plain: Mapping[str, Any], key: str) -> str:
    name = plain[key]
    if not isinstance(name, str) or not name.strip():
        raise OptionError(f"'{key}' must be a name, got {_short(name)}.")
    return name.strip()


def _mapping(plain: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = plain[key]
    if not isinstance(value, Mapping):
        raise OptionError(f"'{key}' must be a JSON object, got {_short(value)}.")
    return value


def _color(plain: Mapping[str, Any]) -> tuple[float, float, float]:
    color = plain["color"]
    parts = color if isinstance(color, Sequence) and not isinstance(color, str) else ()
    if len(parts) != 3 or not all(
        isinstance(part, int | float) and not isinstance(part, bool) and 0 <= part <= 1 for part in parts
    ):
        raise OptionError(f"'color' must be [red, green, blue] from 0 to 1, got {_short(color)}.")
    red, green, blue = (float(part) for part in parts)
    return red, green, blue


def _check_near(points: Sequence[Sequence[float]]) -> None:
    """Refuse a line that leads out of any scan, which would take a step for every millimeter."""
    for point in points:
        if max(map(abs, point)) > _FARTHEST:
            raise OptionError(f"The position {_short(list(point))} mm is outside any possible scan.")


def _listed(keys: set[Any]) -> str:
    return ", ".join(f"'{_short(key)}'" for key in sorted(map(str, keys))[:8])


def _short(value: object, longest: int = 60) -> str:
    """Return a value for an error: on one line, and not a long one."""
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        double = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise OptionError(f"the key '{_short(double)}' occurs twice in the same object.")
    return found


def _no_constant(word: str) -> NoReturn:
    raise OptionError(f"{word} is not a number.")


def _usual_float(digits: str) -> float:
    number = float(digits)
    if abs(number) > _LARGEST_NUMBER:
        raise OptionError(f"the number {_short(digits)} is too large.")
    return number


def _usual_integer(digits: str) -> int:
    _usual_float(digits)
    return int(digits)

"""What is done with every case: one operation, or a chain of them as a small YAML file says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.chain.kinds import OPERATIONS, VERBS
from napari_radcnn.errors import OptionError, ReadError

_KEYS = frozenset(("name", "options", "inputs", "suffix", "anyway"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


@dataclass(frozen=True)
class Step:
    """One operation of a chain.

    Attributes
    ----------
    name : str
        Unique in the chain; what its files are called.
    verb : str
        ``run``, ``segment``, ``detect``, ..., ``convert``, ``evaluate``.
    model : str
        Of a verb that runs one: its name, or the path of a foreign one.
    options : mapping
        Of the model, or of the operation.
    inputs : mapping of str to str
        What it takes: the name of an input to that of a column of the list, or of an earlier step.
    suffix : str
        How the name of its file ends; empty for the operation's own choice.
    anyway : bool
        Whether a model runs on scans that it was not made for.
    """

    name: str
    verb: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""
    anyway: bool = False


def chain_of(
    what: str | Path | Sequence[Step], options: Mapping[str, Any] | None = None, suffix: str = ""
) -> tuple[Step, ...]:
    """Return the steps that are meant.

    Parameters
    ----------
    what : str, path or sequence of Step
        The name of a model or of an operation such as ``convert``, the path of a foreign model, that of a chain
        (``.yaml``, ``.yml``), or steps.
    options : mapping, optional
        Of the one step; a chain has its own.
    suffix : str
        Of the one step.

    Raises
    ------
    ReadError
        If a chain cannot be read.
    OptionError
        If it is none, or options are given for one.
    """
    if not isinstance(what, str | Path):
        return _checked(tuple(what), "the steps")
    path = Path(what)
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        if options or suffix:
            raise OptionError(f"{path}: a chain names options and suffix of each step itself; write them there.")
        return read_chain(path)
    if str(what) in OPERATIONS:
        return (Step(str(what), str(what), "", dict(options or {}), suffix=suffix),)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name.partition(".")[0] if path.exists() else str(what))
    return (Step(name.strip("-._") or "model", "run", str(what), dict(options or {}), suffix=suffix),)


def read_chain(path: Path) -> tuple[Step, ...]:
    """Read a chain.

    Raises
    ------
    ReadError
        If the file cannot be read.
    OptionError
        If it holds no chain; says where.
    """
    import yaml

    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ReadError(f"{path}: not YAML: {' '.join(str(error).split())}.") from error
    listed = plain.get("steps") if isinstance(plain, dict) else None
    if not isinstance(listed, list) or not listed or set(plain) != {"steps"}:
        raise OptionError(f"{path}: a chain is 'steps:' with a list, such as '- segment: brain-extraction'.")
    return _checked(tuple(_step(item, f"{path}: step {n}") for n, item in enumerate(listed, 1)), str(path))


def _step(item: Any, where: str) -> Step:
    plain: dict[str, Any] = {item: None} if isinstance(item, str) else item
    if not isinstance(plain, dict):
        raise OptionError(f"{where}: expected an operation, such as 'segment: brain-extraction'.")
    verbs = [key for key in plain if key in VERBS or key in OPERATIONS]
    unknown = [str(key) for key in plain if key not in verbs and key not in _KEYS]
    if len(verbs) != 1 or unknown:
        said = f"'{unknown[0]}' is unknown" if unknown else f"it names {len(verbs)} operations"
        raise OptionError(
            f"{where}: {said}; a step is one of {', '.join((*VERBS, *OPERATIONS))}, with {', '.join(sorted(_KEYS))}."
        )
    (verb,) = verbs
    given = plain[verb]
    if verb in VERBS and not isinstance(given, str):
        raise OptionError(f"{where}: '{verb}' needs the name of a model, such as '{verb}: MODEL'.")
    if verb in OPERATIONS and given is not None:
        raise OptionError(
            f"{where}: '{verb}' takes no value of its own; put its settings under 'options' and 'inputs'."
        )
    options, inputs = plain.get("options") or {}, plain.get("inputs") or {}
    for key, value in (("options", options), ("inputs", inputs)):
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise OptionError(f"{where}: '{key}' is a list of names and values.")
    name = plain.get("name", given if verb in VERBS else verb)
    if verb in VERBS and "name" not in plain:
        name = Path(given).name.partition(".")[0]
    return Step(
        str(name), verb, given or "", options, {key: str(value) for key, value in inputs.items()},
        str(plain.get("suffix", "")), plain.get("anyway") is True,
    )  # fmt: skip


def _checked(steps: tuple[Step, ...], where: str) -> tuple[Step, ...]:
    if not steps:
        raise OptionError(f"{where}: there is no step.")
    names = [step.name for step in steps]
    for step in steps:
        if not _NAME.fullmatch(step.name):
            raise OptionError(f"{where}: '{step.name}' cannot be the name of a step; use letters, digits, - and _.")
        if names.count(step.name) > 1:
            raise OptionError(f"{where}: two steps are called '{step.name}'; give one another 'name'.")
    return steps

"""JSON and YAML files of models from elsewhere, read as plain values within limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.files import binary_size

_MOST_BYTES, _MOST_NODES, _DEEPEST = 4 << 20, 50_000, 40


def read_config(path: Path, shown: str | None = None) -> dict[str, Any]:
    """Return a JSON or YAML configuration as plain values.

    Parameters
    ----------
    path : Path
        The file.
    shown : str, optional
        What messages call it; its name by default.

    Raises
    ------
    ModelError
        If it is too large, damaged, or no mapping of names to values.
    """
    shown = path.name if shown is None else shown
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{shown}: a configuration of {binary_size(path.stat().st_size)} is too large.")
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            found = json.loads(text)
        else:
            import yaml

            try:
                found = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ModelError(f"{shown}: not valid YAML ({one_line(error)}).") from error
        _count_nodes(found, shown)
    except OSError as error:
        raise ModelError(f"{shown}: the file cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{shown}: not valid {path.suffix[1:].upper()} ({one_line(error)}).") from error
    if not isinstance(found, dict):
        raise ModelError(f"{shown}: a mapping of names to values is expected.")
    return found


def _count_nodes(value: Any, shown: str) -> None:
    """Refuse what is nested too deep or, by aliases of YAML, unfolds to too much."""
    waiting, count = [(value, 0)], 0
    while waiting:
        inner, depth = waiting.pop()
        count += 1
        if count > _MOST_NODES:
            raise ModelError(f"{shown}: a configuration of more than {_MOST_NODES} values is too large.")
        if depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST}")
        if isinstance(inner, dict | list):
            waiting += [(item, depth + 1) for item in (inner.values() if isinstance(inner, dict) else inner)]


def one_line(error: BaseException) -> str:
    """Return the text of an error on one line, cut to what can be shown."""
    return " ".join(str(error).split())[:100]

"""Where caches, settings and data of the user lie, and small caches of what was measured on this computer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from napari_radcnn.errors import WriteError
from napari_radcnn.files import owned, write_text

#: The oldest entries of a file are dropped beyond this many.
_MOST = 500
#: How long another process may take to write a small file, s.
WAIT_SECONDS = 5.0


def cache_folder() -> Path:
    """Return the folder of what can be made again, such as timings; it may not exist yet."""
    return Path(platformdirs.user_cache_dir("napari-radcnn", appauthor=False))


def config_folder() -> Path:
    """Return the folder of what the user chose, such as trusted models; it may not exist yet."""
    return Path(platformdirs.user_config_dir("napari-radcnn", appauthor=False))


def data_folder() -> Path:
    """Return the folder of what the user would miss, such as sessions and installed models; it may not exist yet."""
    return Path(platformdirs.user_data_dir("napari-radcnn", appauthor=False))


def recall(name: str, key: str) -> Mapping[str, Any] | None:
    """Return what `remember` was last given under `key` in the file `name`; None where there is nothing."""
    entry = _read(name).get(key)
    return entry if isinstance(entry, Mapping) else None


def remember(name: str, key: str, entry: Mapping[str, Any]) -> None:
    """Keep `entry` under `key` in the file `name`; a cache that cannot be written is left alone.

    Parameters
    ----------
    name : str
        Of the file, without folder and suffix.
    key : str
        What it is about.
    entry : mapping
        What JSON can hold.
    """
    target = _file(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with owned(target, wait=WAIT_SECONDS):  # what others remember meanwhile is not lost
            entries = _read(name)
            entries.pop(key, None)
            entries[key] = dict(entry)
            kept = dict(list(entries.items())[-_MOST:])
            write_text(target, json.dumps(kept, indent=1) + "\n", overwrite=True)
    except (OSError, WriteError):  # a read-only home, or a full disk: the run itself went well
        return


def _file(name: str) -> Path:
    return cache_folder() / f"{name}.json"


def _read(name: str) -> dict[str, Any]:
    try:
        stored = json.loads(_file(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: a cache is made anew
        return {}
    return stored if isinstance(stored, dict) else {}

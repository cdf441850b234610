"""How studies were laid out the last time, by their kind, kept in the user's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_radcnn.errors import WriteError
from napari_radcnn.files import owned, write_text
from napari_radcnn.gui.reading.protocols.table import Protocol, from_plain, to_plain
from napari_radcnn.user_folders import WAIT_SECONDS, config_folder

#: The kinds that were seen longest ago are dropped beyond this many.
_MOST = 200


def recalled(kind: str) -> Protocol | None:
    """Return how a kind of study was laid out the last time; None where it was not."""
    return from_plain(_read().get(kind))


def remember(kind: str, protocol: Protocol) -> None:
    """Keep how a kind of study is laid out; settings that cannot be written are left alone.

    Modalities, numbers and names of windows are kept, and nothing of a patient.
    """
    _change(kind, protocol)


def forget(kind: str) -> None:
    """Keep it no longer."""
    _change(kind, None)


def _change(kind: str, protocol: Protocol | None) -> None:
    target = _file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with owned(target, wait=WAIT_SECONDS):  # what another window remembers meanwhile is not lost
            known = _read()
            known.pop(kind, None)
            if protocol is not None:
                known[kind] = to_plain(protocol)
            kept = dict(list(known.items())[-_MOST:])
            write_text(target, json.dumps(kept, indent=1) + "\n", overwrite=True)
    except (OSError, WriteError):  # a read-only home: it is laid out all the same
        return


def _read() -> dict[str, Any]:
    try:
        stored = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged
        return {}
    return stored if isinstance(stored, dict) else {}


def _file() -> Path:
    return config_folder() / "hanging.json"

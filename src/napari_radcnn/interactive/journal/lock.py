"""Who has a session open: a process that lives, or one that ended without closing it."""

from __future__ import annotations

from pathlib import Path

from napari_radcnn.errors import JournalError
from napari_radcnn.files import lock as locks
from napari_radcnn.files.lock import (
    HeldError,
    Lock as Lock,  # what `take` returns
    is_held,
)

_PREFIX = "lock-"


def take(folder: Path) -> Lock:
    """Lock a session's folder for this process.

    Raises
    ------
    JournalError
        If a process that lives has it.
    OSError
        If the lock cannot be written; nothing is left behind.
    """
    try:
        return Lock.take(folder, _PREFIX, _signs(folder))
    except HeldError as error:
        raise JournalError(
            f"{folder}: this session is open in another program or window ({error.owner or 'just opened'}); close it "
            "there first."
        ) from error


def is_locked(folder: Path) -> bool:
    """Return whether a process that lives has the session of this folder open."""
    found = lock_files(folder)
    return bool(found) and is_held(found[-1], _signs(folder))


def lock_files(folder: Path) -> list[Path]:
    """Return every lock of a session's folder, oldest first."""
    return locks.lock_files(folder, _PREFIX)


def _signs(folder: Path) -> list[Path]:
    """Return what says when the session was last worked on: everything in its folder."""
    return list(folder.iterdir()) if folder.is_dir() else []

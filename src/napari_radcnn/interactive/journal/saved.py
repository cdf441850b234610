"""The sessions that are on the disk: found, listed, removed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_radcnn.errors import JournalError
from napari_radcnn.interactive.journal.lock import is_locked, lock_files, take
from napari_radcnn.interactive.journal.records import is_begun, survey
from napari_radcnn.schemas import JOURNAL_NAME
from napari_radcnn.user_folders import data_folder

#: A copy of it as it was when damage was found.
DAMAGED_NAME = "damaged.radcnn"
_OLD_DAYS = 90.0
_MANY = 20
_DAY = 86400.0


@dataclass(frozen=True)
class SavedSession:
    """A session on the disk.

    Parameters
    ----------
    path : path
        Its folder.
    header : mapping
        What it was created with; empty where it cannot be read.
    saved : datetime
        When its last record was written, UTC.
    steps : int
        Steps that hold, those taken back not among them.
    is_alive : bool
        Whether a process that lives has it open; it cannot be resumed then.
    is_finished : bool
        Whether the user has what was made in it.
    problem : str
        Why it cannot be read, in one line; empty where it can.
    """

    path: Path
    header: Mapping[str, Any] = field(compare=False)
    saved: datetime
    steps: int
    is_alive: bool
    is_finished: bool = False
    problem: str = ""


def sessions_folder() -> Path:
    """Return where sessions are kept: ``RADCNN_SESSIONS``, or the user's folder of data; it may not exist yet."""
    chosen = os.environ.get("RADCNN_SESSIONS")
    return Path(chosen) if chosen else data_folder() / "sessions"


def saved_sessions(folder: Path | None = None) -> list[SavedSession]:
    """Return the sessions in a folder, the last one first; those that cannot be read say why.

    Parameters
    ----------
    folder : path or None
        Where they are kept; `sessions_folder()` where None. A folder that does not exist holds none.
    """
    folder = sessions_folder() if folder is None else Path(folder)
    found = []
    for path in _folders(folder):
        with suppress(FileNotFoundError):  # removed meanwhile
            session = _look_at(path)
            found += [session] if session is not None else []
    return sorted(found, key=lambda session: (session.saved, session.path.name), reverse=True)


def saved_session(path: str | Path) -> SavedSession:
    """Return the session in a folder, or of a journal; it may be one that cannot be read, and says why.

    Raises
    ------
    JournalError
        If there is none, or its first step never came to the disk.
    """
    path = Path(path)
    folder = path.parent if path.name == JOURNAL_NAME else path
    try:
        found = _look_at(folder)
    except OSError as error:
        raise JournalError(f"{path}: there is no session in this folder.") from error
    if found is None:
        raise JournalError(f"{path}: this session ended before its first step was saved; it is empty.")
    return found


def old_sessions(folder: Path | None = None) -> list[SavedSession]:
    """Return unfinished sessions that few would miss, for the user to be asked about: nothing removes them unasked.

    Those are older than 90 days, or not among the last 20.
    """
    unfinished = [session for session in saved_sessions(folder) if not session.is_finished]
    return [session for session in _expendable(unfinished) if not session.is_alive]


def discard(session: SavedSession | Path) -> None:
    """Remove a session and what it holds, for good.

    Raises
    ------
    JournalError
        If a process that lives has it open, or it cannot be removed.
    """
    path = session if isinstance(session, Path) else session.path
    lock = None
    try:
        lock = take(path)
        remove_session(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if lock is not None:
            lock.release()
        raise JournalError(f"{path}: this session cannot be removed: {error.strerror or error}.") from error


def prune(folder: Path) -> None:
    """Remove what holds no work that is not elsewhere too.

    Those are sessions that were finished and kept, once they are older than 90 days or not among the last 20 of them,
    and what is left of sessions that ended before their first step was written. Unfinished ones stay.

    Raises
    ------
    JournalError
        If something cannot be removed.
    """
    finished = [session for session in saved_sessions(folder) if session.is_finished]
    for session in _expendable(finished):
        if not session.is_alive:
            discard(session)
    for path in folder.glob("session-*"):
        with suppress(FileNotFoundError):
            is_left = not (path / JOURNAL_NAME).exists() or _look_at(path) is None
            is_old = time.time() - path.stat().st_mtime > _DAY
            if is_left and is_old and not path.is_symlink() and not is_locked(path):
                discard(path)


def remove_session(folder: Path) -> None:
    """Remove the files of a session whose lock this process has, and its folder where nothing else lies in it."""
    (folder / JOURNAL_NAME).unlink(missing_ok=True)
    for path in (folder / DAMAGED_NAME, *folder.glob(".radcnn-*"), *lock_files(folder)):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _expendable(sessions: list[SavedSession]) -> list[SavedSession]:
    """Return those beyond the last 20, or older than 90 days; the last one comes first."""
    now = datetime.now(UTC)
    return [
        session
        for number, session in enumerate(sessions)
        if number >= _MANY or (now - session.saved).total_seconds() > _OLD_DAYS * _DAY
    ]


def _folders(folder: Path) -> list[Path]:
    try:
        entries = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except OSError:  # none kept yet, or not ours to read
        return []
    return [entry for entry in entries if (entry / JOURNAL_NAME).is_file()]


def _look_at(path: Path) -> SavedSession | None:
    """Return the session of a folder; None where its first step never came to the disk."""
    file = path / JOURNAL_NAME
    saved = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    try:
        with file.open("rb") as reader:
            if not is_begun(reader):
                return None
            found = survey(reader, str(path))
    except FileNotFoundError:
        raise
    except JournalError as error:
        return SavedSession(path, {}, saved, 0, is_locked(path), problem=str(error))
    except OSError as error:
        problem = f"{path}: the session cannot be opened: {error.strerror or error}."
        return SavedSession(path, {}, saved, 0, is_locked(path), problem=problem)
    if found.records == 1 and not found.is_damaged and not (path / DAMAGED_NAME).exists():
        return None
    return SavedSession(path, found.header, saved, found.steps.done, is_locked(path), found.is_finished)

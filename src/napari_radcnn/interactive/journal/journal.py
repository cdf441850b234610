"""Interactive sessions on the disk, step by step, so that a crash loses none that was acknowledged."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from napari_radcnn.errors import JournalError, WriteError
from napari_radcnn.files import atomic_path, write_error
from napari_radcnn.interactive.journal.lock import Lock, take
from napari_radcnn.interactive.journal.records import (
    Place,
    Record,
    RecordKind,
    Steps,
    encode,
    encode_start,
    places,
    read_payload,
    survey,
)
from napari_radcnn.interactive.journal.saved import (
    DAMAGED_NAME,
    SavedSession,
    discard,
    old_sessions,
    prune,
    remove_session,
    saved_sessions,
    sessions_folder,
)
from napari_radcnn.schemas import JOURNAL_NAME

__all__ = ["Journal", "SavedSession", "discard", "old_sessions", "saved_sessions", "sessions_folder"]

#: A step survives the end of the process at once, and the end of the computer's power after at most this long while
#: the user works on.
_SYNC_SECONDS = 3.0
_BINARY = getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


@dataclass
class _Hold:
    """What must be given back: the open file and the lock, both of this process."""

    pid: int
    descriptor: int | None = None
    lock: Lock | None = None

    def let_go(self) -> None:
        if self.descriptor is not None:
            with suppress(OSError):
                os.close(self.descriptor)
        if self.lock is not None and self.pid == os.getpid():
            self.lock.release()
        self.descriptor = self.lock = None


#: What follows says why: the disk may be full, or may not be written to.
_IN_MEMORY = "The session cannot be saved: its last steps are only in memory until this is solved."


class Journal:
    """The steps of one session, in a file that only grows.

    `create` and `open` make one. It is used by one thread. What cannot be written (a full disk) waits in memory, in
    order, and goes to the file with the next `append`, `sync` or `close`.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self._path = path
        self._start = encode_start(header)
        self._header: dict[str, Any] = json.loads(json.dumps(dict(header)))
        self._hold = _Hold(os.getpid())
        self._pending: list[tuple[str, bytes]] = []
        self._steps = Steps()
        self._end = self._written = 0
        self._is_finished = self._must_rewrite = self._is_closed = False
        self._is_synced, self._synced_at = True, -_SYNC_SECONDS
        self._lost_bytes = 0
        self._finalizer = weakref.finalize(self, self._hold.let_go)

    @classmethod
    def create(cls, folder: Path | None, header: Mapping[str, Any]) -> Journal:
        """Return a new journal; nothing is on the disk before its first step.

        Parameters
        ----------
        folder : path or None
            Where sessions are kept; `sessions_folder()` where None. It need not exist.
        header : mapping
            What JSON can hold; it is stored as it is, so what identifies a patient should not be in it.

        Raises
        ------
        JournalError
            If JSON cannot hold the header.
        """
        name = f"session-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
        return cls((sessions_folder() if folder is None else Path(folder)) / name / JOURNAL_NAME, header)

    @classmethod
    def open(cls, path: str | Path) -> Journal:
        """Take over a session whose process has ended, and cut off what it did not finish writing.

        Of a file that is damaged, not merely unfinished, a copy stays beside it.

        Parameters
        ----------
        path : path
            The session's folder, `SavedSession.path`.

        Raises
        ------
        JournalError
            If a process that lives has it, it was written by a newer version, or its beginning is damaged.
        """
        file = Path(path) / JOURNAL_NAME
        hold = _Hold(os.getpid())
        try:
            if not stat.S_ISREG(file.lstat().st_mode):
                raise JournalError(f"{path}: there is no session in this folder.")
            hold.lock = take(file.parent)
            hold.descriptor = os.open(file, os.O_RDWR | _BINARY | _NOFOLLOW)
            with os.fdopen(os.dup(hold.descriptor), "rb", buffering=0) as reader:
                found = survey(reader, str(path))
            if found.is_damaged:
                _copy(file, file.with_name(DAMAGED_NAME))
            if found.size > found.end:
                os.ftruncate(hold.descriptor, found.end)
        except FileNotFoundError as error:
            hold.let_go()
            raise JournalError(f"{path}: there is no session in this folder.") from error
        except OSError as error:
            hold.let_go()
            raise JournalError(f"{path}: the session cannot be opened: {error.strerror or error}.") from error
        except JournalError:
            hold.let_go()
            raise
        for left in file.parent.glob(".radcnn-*"):  # of a compaction that was not finished
            with suppress(OSError):
                left.unlink()
        journal = cls(file, found.header)
        journal._finalizer.detach()
        journal._hold, journal._finalizer = hold, weakref.finalize(journal, hold.let_go)
        journal._steps, journal._is_finished = found.steps, found.is_finished
        journal._end, journal._written = found.end, found.records
        journal._lost_bytes = found.size - found.end if found.is_damaged else 0
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The session's folder; it exists from the first step on."""
        return self._path.parent

    @property
    def header(self) -> dict[str, Any]:
        """What the journal was created with."""
        return dict(self._header)

    @property
    def waiting(self) -> int:
        """Records that could not be written yet."""
        return len(self._pending)

    @property
    def lost_bytes(self) -> int:
        """Bytes after the last sound record that a damaged disk made unreadable; 0 after a mere crash."""
        return self._lost_bytes

    def records(self) -> Iterator[Record]:
        """Yield what is on the disk, oldest first.

        Raises
        ------
        JournalError
            If the file was changed by something else meanwhile.
        """
        for place, payload in self._read(list(self._places())):
            if place.kind != "finish":
                yield Record(place.kind, payload)  # type: ignore[arg-type]

    def append(self, kind: RecordKind, payload: bytes = b"") -> None:
        """Keep one more record; when this returns, the end of the process cannot lose it any more.

        Parameters
        ----------
        kind : str
            ``"step"``; ``"undo"`` takes back the last step that holds, ``"redo"`` brings back the last one taken back.
        payload : bytes
            At most 1 GiB.

        Raises
        ------
        JournalError
            If the record cannot be written now; the file keeps its last good state, and the record waits in memory for
            the next call. Or if there is nothing to undo or redo, or the journal is closed; then it does not wait.
        """
        if self._is_closed:
            raise JournalError("This session is closed; no more steps are saved.")
        if kind not in get_args(RecordKind) or not self._steps.follow(kind):
            raise JournalError(f"This session has nothing to {kind}.")
        self._pending.append((kind, bytes(payload)))
        self._write_waiting()
        if time.monotonic() - self._synced_at >= _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Write what waits, and wait until the disk has all of it; does nothing where it has.

        Raises
        ------
        JournalError
            As `append` does.
        """
        self._write_waiting()
        if self._is_synced or self._hold.descriptor is None:
            return
        try:
            os.fsync(self._hold.descriptor)
        except OSError as error:
            self._must_rewrite = True  # what the system still holds of the file may never reach the disk as it is
            raise self._error(error) from error
        self._is_synced, self._synced_at = True, time.monotonic()

    def compact(self) -> None:
        """Write the file anew without the steps that no redo can bring back, where there are any.

        A crash leaves the old file or the new one.

        Raises
        ------
        JournalError
            As `append` does; the old file is kept.
        """
        self._write_waiting()
        if self._steps.has_waste:
            self._rewrite()

    def close(self, *, is_finished: bool = False, keep: bool = False) -> None:
        """Write what waits, and let others open the session.

        Parameters
        ----------
        is_finished : bool
            Whether the user has what was made (saved it, or said that it is not needed): the session is removed.
        keep : bool
            Keep a finished session all the same, marked as such.

        Raises
        ------
        JournalError
            If something could not be written; the session is closed all the same.
        """
        if self._is_closed:
            return
        try:
            if is_finished and not keep:
                self._pending.clear()
                self._remove()
            else:
                if is_finished and (self._written or self._pending):
                    self._pending.append(("finish", b""))
                self.sync()
        finally:
            self._is_closed = True
            self._finalizer()

    def _write_waiting(self) -> None:
        if not self._pending and not self._must_rewrite:
            return
        try:
            self._make_ready()
            while self._pending:
                self._write(*self._pending[0])
                del self._pending[0]
        except OSError as error:
            raise self._error(error) from error
        finally:
            if self._pending and not self._written:  # nothing is left of a session that could not be begun
                with suppress(JournalError):
                    self._remove()

    def _make_ready(self) -> None:
        """Make the file ready for one more record: there, this process's own, and sound."""
        if self._hold.descriptor is None:
            self._begin()
        elif os.fstat(self._hold.descriptor).st_nlink == 0:  # the folder was removed under our feet
            self._begin_folder()
            self._rewrite()
        elif self._hold.lock is not None and self._hold.lock.is_overtaken():
            raise JournalError(
                f"{self.path}: this session was taken over on another computer; export your result "
                "and start a new session."
            )
        elif self._must_rewrite:
            self._rewrite()

    def _begin(self) -> None:
        self._begin_folder()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
        self._hold.descriptor = os.open(self._path, flags, 0o600)
        with suppress(OSError, JournalError):  # tidying up must not keep a step from being kept
            prune(self.path.parent)

    def _begin_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        if self._hold.lock is None or not self._hold.lock.path.exists():
            self._hold.lock = take(self.path)

    def _write(self, kind: str, payload: bytes) -> None:
        """Append one record in one call; where it fails, the file is cut back to what it was."""
        descriptor = self._descriptor()
        record = encode(kind, payload, max(self._written, 1))
        data = memoryview(record if self._written else self._start + record)
        size = len(data)
        try:
            os.lseek(descriptor, self._end, os.SEEK_SET)
            while data:  # a disk that fills up takes a part first and refuses the rest
                data = data[os.write(descriptor, data) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, self._end)
            raise
        if not self._written:
            _sync_folder(self.path)
        self._end, self._written = self._end + size, max(self._written, 1) + 1
        self._is_synced, self._is_finished = False, kind == "finish"

    def _rewrite(self) -> None:
        """Write a new file with the records that are needed, and put it in the place of the old one."""
        kept = _needed(self._places())
        if self._is_finished:
            kept += [place for place in self._places() if place.kind == "finish"][-1:]
        old = self._descriptor()
        try:
            with atomic_path(self._path, overwrite=True) as temporary:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
                with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                    file.write(self._start)
                    for number, (place, payload) in enumerate(self._read(kept), 1):
                        file.write(encode(place.kind, payload, number))
                if os.name == "nt":  # Windows gives no name that belongs to an open file
                    os.close(old)
        except WriteError as error:
            if os.name == "nt":
                self._hold.descriptor = os.open(self._path, os.O_RDWR | _BINARY)
            raise JournalError(f"{_IN_MEMORY} {error}") from error
        self._hold.descriptor = os.open(self._path, os.O_RDWR | _BINARY | _NOFOLLOW)
        if os.name != "nt":
            os.close(old)
        _sync_folder(self.path)
        self._end, self._written = os.fstat(self._hold.descriptor).st_size, len(kept) + 1
        self._steps.has_waste = self._must_rewrite = False
        self._is_synced = True

    def _places(self) -> Iterator[Place]:
        if not self._written:
            return
        with os.fdopen(os.dup(self._descriptor()), "rb", buffering=0) as file:
            yield from places(file, self._end)

    def _read(self, wanted: list[Place]) -> Iterator[tuple[Place, bytes]]:
        if not wanted:
            return
        with os.fdopen(os.dup(self._descriptor()), "rb", buffering=0) as file:
            for place in wanted:
                yield place, read_payload(file, place, str(self.path))

    def _descriptor(self) -> int:
        if self._hold.descriptor is None:
            raise JournalError("This session is closed; no more steps are saved.")
        return self._hold.descriptor

    def _remove(self) -> None:
        is_ours = self._hold.lock is None or not self._hold.lock.is_overtaken()
        if self._hold.descriptor is not None:
            os.close(self._hold.descriptor)
        self._hold.descriptor = self._hold.lock = None
        try:
            if is_ours and self.path.is_dir():
                remove_session(self.path)
        except OSError as error:
            raise JournalError(f"{self.path}: this session cannot be removed: {error.strerror or error}.") from error

    def _error(self, error: OSError) -> JournalError:
        return JournalError(f"{_IN_MEMORY} {write_error(self._path, error)}")


def _copy(source: Path, target: Path) -> None:
    """Copy a file; what was there before is replaced."""
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    with source.open("rb") as old, os.fdopen(descriptor, "wb") as new:
        shutil.copyfileobj(old, new)


def _needed(places: Iterator[Place]) -> list[Place]:
    """Return what tells the same steps, with the same undone: each step once, then the undos that hold."""
    done: list[Place] = []
    undone: list[tuple[Place, Place]] = []
    for place in places:
        if place.kind == "step":
            done.append(place)
            undone.clear()
        elif place.kind == "undo":
            undone.append((done.pop(), place))
        elif place.kind == "redo":
            done.append(undone.pop()[0])
    return done + [step for step, _ in reversed(undone)] + [undo for _, undo in undone]


def _sync_folder(folder: Path) -> None:
    """Let a new name in the folder survive the end of power, where the system can."""
    with suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Locks: of several processes that would write the same thing, one does.

A lock is a small file that names its process. Locks of one thing are numbered. The one with the highest number counts,
and whoever finds its process dead makes the next number: of two that try at the same time the file system lets one
succeed. That works on every file system, those of a network included, where locks of the operating system may not.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_radcnn.errors import WriteError
from napari_radcnn.files.owner import Owner

#: How the names of locks of results begin; the name of what is written and a number follow.
PREFIX = ".radcnn-lock-"
#: How the name of a lock ends while it is made.
MAKING = "-lock"
#: A lock that tells nothing may be one that is being written, where that takes two steps.
_YOUNG_SECONDS = 60.0
_PAUSE_SECONDS = 0.02
_MOST_BYTES = 4096


class HeldError(Exception):
    """A process that lives has the lock.

    Attributes
    ----------
    owner : Owner or None
        Which; None where the lock is just being made.
    """

    def __init__(self, owner: Owner | None) -> None:
        super().__init__(f"held by {owner or 'another process'}")
        self.owner = owner


@dataclass(frozen=True)
class Lock:
    """The right to write something; `take` gives it."""

    path: Path

    @classmethod
    def take(cls, folder: Path, prefix: str, signs: Iterable[Path] = ()) -> Lock:
        """Take the lock of something for this process.

        Parameters
        ----------
        folder : path
            Where its locks lie.
        prefix : str
            How their names begin; a number follows.
        signs : iterable of path
            Further files whose age says when the owner last did something.

        Raises
        ------
        HeldError
            If a process that lives has it.
        OSError
            If the lock cannot be written; nothing is left behind.
        """
        signs = tuple(signs)
        found = lock_files(folder, prefix)
        if found:
            _refuse_held(found[-1], signs)
        path = folder / f"{prefix}{_number(found[-1]) + 1 if found else 1}"
        try:
            _create(path, json.dumps(asdict(Owner.this_process())).encode())
        except FileExistsError as error:
            raise HeldError(owner_of(path)) from error
        for other in lock_files(folder, prefix):
            if other != path:  # numbers begin anew when all are gone, perhaps while this process looked
                try:
                    _refuse_held(other, signs)
                except HeldError:
                    path.unlink()
                    raise
        return cls(path)

    def is_overtaken(self) -> bool:
        """Return whether another process took this one for dead (another computer may, after half a day)."""
        prefix, _, number = self.path.name.rpartition("-")
        return self.path.with_name(f"{prefix}-{int(number) + 1}").exists()

    def give_sign(self) -> None:
        """Let other computers see that this process still works."""
        with suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        """Let others have it. Locks of the dead may stay: a lower number never counts again."""
        with suppress(OSError):
            self.path.unlink()


def is_held(lock: Path, signs: Iterable[Path] = ()) -> bool:
    """Return whether the process that wrote a lock lives.

    Parameters
    ----------
    lock : path
        Its file.
    signs : iterable of path
        As of `Lock.take`.
    """
    try:
        written = [lock.stat().st_mtime]
    except OSError:  # released meanwhile
        return False
    owner = owner_of(lock)
    if owner is None:
        return lock.exists() and time.time() - written[0] < _YOUNG_SECONDS
    for path in signs:
        with suppress(OSError):
            written.append(path.stat().st_mtime)
    return owner.is_alive(max(written))


def owner_of(lock: Path) -> Owner | None:
    """Return which process a lock names; None where it cannot be read."""
    try:
        with lock.open("rb") as file:
            return Owner.from_dict(json.loads(file.read(_MOST_BYTES)))
    except (OSError, ValueError, RecursionError):
        return None


def lock_files(folder: Path, prefix: str) -> list[Path]:
    """Return every lock of something, oldest first."""
    try:
        found = [path for path in folder.iterdir() if path.name.startswith(prefix)]
    except FileNotFoundError:
        return []
    return sorted((path for path in found if path.name[len(prefix) :].isdecimal()), key=_number)


# -- of results -------------------------------------------------------------------------------------------------------


class Hold:
    """A target that this process alone may write, until `release`, or until nobody has this object any more."""

    def __init__(self, target: Path, lock: Lock | None) -> None:
        self.target, self._lock = target, lock
        self._finalizer = weakref.finalize(self, _let_go, lock, os.getpid())

    def give_sign(self) -> None:
        """As of `Lock`."""
        if self._lock is not None:
            self._lock.give_sign()

    def release(self) -> None:
        """Let others write it."""
        self._finalizer()


_OWNED: ContextVar[frozenset[str]] = ContextVar("owned", default=frozenset())


def hold(target: Path, *, wait: float = 0.0, signs: Iterable[Path] = ()) -> Hold:
    """Let no other process, window or thread write a target for now.

    Parameters
    ----------
    target : path
        A file or folder that is to be written; its folder exists.
    wait : float
        How long to wait for another process, s.
    signs : iterable of path
        As of `Lock.take`.

    Raises
    ------
    WriteError
        If another process is at it; names the process.
    OSError
        If the folder cannot be written to.
    """
    if _key(target) in _OWNED.get():
        return Hold(target, None)
    until = time.monotonic() + wait
    while True:
        try:
            lock = Lock.take(target.parent, f"{PREFIX}{target.name}-", signs)
        except HeldError as error:
            if time.monotonic() < until:
                time.sleep(_PAUSE_SECONDS)
                continue
            raise WriteError(
                f"{target}: {error.owner or 'another process'} is writing this file now; wait until it has "
                "finished, or choose another name."
            ) from error
        return Hold(target, lock)


@contextmanager
def owned(target: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Let no other process write a target in the block; a block within a block does nothing more.

    Parameters and errors are those of `hold`.
    """
    held = hold(target, wait=wait)
    token = _OWNED.set(_OWNED.get() | {_key(target)})
    try:
        yield
    finally:
        _OWNED.reset(token)
        held.release()


def _let_go(lock: Lock | None, pid: int) -> None:
    if lock is not None and pid == os.getpid():  # not in a copy of the process
        lock.release()


def _key(target: Path) -> str:
    return str(Path(os.path.realpath(target.parent), target.name))


def _refuse_held(lock: Path, signs: Iterable[Path]) -> None:
    if is_held(lock, signs):
        raise HeldError(owner_of(lock))


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2][:10])


def _create(path: Path, data: bytes) -> None:
    """Create a file with its bytes in it, all at once where the file system can; fail where it exists.

    A process that is killed between making a file and filling it would leave a lock that tells nothing.
    """
    temporary = path.with_name(f".radcnn-{secrets.token_hex(4)}{MAKING}")
    try:
        _write_new(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links here (FAT, some network shares)
            _write_new(path, data)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError:
        path.unlink()
        raise

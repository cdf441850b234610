"""Who has a session open: a process that lives, or one that ended without closing it."""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from napari_radcnn.errors import JournalError

#: A lock that tells nothing may be one that is being written, where that takes two steps.
_YOUNG_SECONDS = 60.0
#: Another computer's process cannot be looked at: it counts as alive this long after the session's last step.
_ELSEWHERE_SECONDS = 12 * 3600.0
#: Start times are rounded, and differ by that from one look to the next.
_TOLERANCE_SECONDS = 2.0
_MOST_BYTES = 4096


@dataclass(frozen=True)
class Owner:
    """A process, told from every other one.

    Parameters
    ----------
    pid : int
        Its number, which the system gives to another process sooner or later.
    started : float
        When it started, seconds since 1970. A clock that is set anew moves it.
    started_after_boot : float
        The same, in seconds since the computer started.
    boot : str
        The system's name of this run of the computer; empty where it has none.
    place : str
        The computer, and the container in it: the same number means another process elsewhere.
    """

    pid: int
    started: float
    started_after_boot: float
    boot: str
    place: str

    @classmethod
    def this_process(cls) -> Owner:
        """Return the process that asks."""
        started, after_boot = _start_of(psutil.Process())
        return cls(os.getpid(), started, after_boot, _boot(), _place())

    @classmethod
    def from_dict(cls, plain: Any) -> Owner:
        """Return the owner that a lock names.

        Raises
        ------
        ValueError
            If it names none.
        """
        kinds = {"pid": int, "started": float, "started_after_boot": float, "boot": str, "place": str}
        if not isinstance(plain, dict) or any(not isinstance(plain.get(key), kind) for key, kind in kinds.items()):
            raise ValueError("no owner")
        return cls(**{key: plain[key] for key in kinds})

    def is_alive(self, last_sign: float) -> bool:
        """Return whether the process runs; where that cannot be known, whether it gave a sign lately.

        Parameters
        ----------
        last_sign : float
            When something of the session was last written, seconds since 1970.
        """
        if self.place != _place():
            return time.time() - last_sign < _ELSEWHERE_SECONDS
        if self.boot and _boot() and self.boot != _boot():
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:  # killed; its parent has not looked yet
                return False
            started, after_boot = _start_of(process)
        except psutil.AccessDenied:
            return True
        except (psutil.Error, ValueError, OverflowError):  # none of this number, or no such number
            return False
        return min(abs(started - self.started), abs(after_boot - self.started_after_boot)) < _TOLERANCE_SECONDS


@dataclass(frozen=True)
class Lock:
    """The right to write into a session's folder; `take` gives it.

    Locks are numbered. The one with the highest number counts, and whoever finds its process dead makes the next
    number: of two that try at the same time the file system lets one succeed.
    """

    path: Path

    @classmethod
    def take(cls, folder: Path) -> Lock:
        """Lock a session's folder for this process.

        Raises
        ------
        JournalError
            If a process that lives has it.
        OSError
            If the lock cannot be written; nothing is left behind.
        """
        newest = _newest(folder)
        if newest is not None and _holds(newest):
            raise JournalError(f"{folder}: this session is open in another program or window; close it there first.")
        path = folder / f"lock-{_number(newest) + 1 if newest is not None else 1}"
        try:
            _create(path, json.dumps(asdict(Owner.this_process())).encode())
        except FileExistsError as error:
            raise JournalError(
                f"{folder}: this session was just opened in another program or window; close it there first."
            ) from error
        return cls(path)

    def is_overtaken(self) -> bool:
        """Return whether another process took this one for dead (another computer may, after half a day)."""
        return self.path.with_name(f"lock-{_number(self.path) + 1}").exists()

    def release(self) -> None:
        """Let others have the session. Locks of the dead stay: a lower number never counts again."""
        with suppress(OSError):
            self.path.unlink()


def is_locked(folder: Path) -> bool:
    """Return whether a process that lives has the session of this folder open."""
    newest = _newest(folder)
    return newest is not None and _holds(newest)


def lock_files(folder: Path) -> list[Path]:
    """Return every lock of a session's folder, oldest first."""
    return sorted((path for path in folder.glob("lock-*") if path.name[5:].isdecimal()), key=_number)


def _create(path: Path, data: bytes) -> None:
    """Create a file with its bytes in it, all at once where the file system can; fail where it exists.

    A process that is killed between making a file and filling it would leave a lock that tells nothing.
    """
    temporary = path.with_name(f".radcnn-{secrets.token_hex(4)}")
    try:
        _write_new(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links here (FAT, some network shares)
            _write_new(path, data)
    finally:
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


def _newest(folder: Path) -> Path | None:
    locks = lock_files(folder)
    return locks[-1] if locks else None


def _number(path: Path) -> int:
    return int(path.name[5:15])


def _holds(lock: Path) -> bool:
    """Return whether the process that wrote the lock lives."""
    try:
        written = lock.stat().st_mtime
        with lock.open("rb") as file:
            owner = Owner.from_dict(json.loads(file.read(_MOST_BYTES)))
    except FileNotFoundError:  # released meanwhile
        return False
    except (OSError, ValueError, RecursionError):
        with suppress(OSError):
            return time.time() - lock.stat().st_mtime < _YOUNG_SECONDS
        return False
    signs = [written]
    for path in lock.parent.iterdir():
        with suppress(OSError):
            signs.append(path.stat().st_mtime)
    return owner.is_alive(max(signs))


def _start_of(process: psutil.Process) -> tuple[float, float]:
    started = float(process.create_time())
    return started, started - float(psutil.boot_time())


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # not Linux
        return ""


def _place() -> str:
    try:
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        container = ""
    return f"{platform.node()} {container}".strip()

"""Which process something on the disk belongs to: one that lives, or one that has ended."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

#: Another computer's process cannot be looked at: it counts as alive this long after its last sign.
ELSEWHERE_SECONDS = 12 * 3600.0
#: Start times are rounded, and differ by that from one look to the next.
_TOLERANCE_SECONDS = 2.0


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
        import psutil

        started, after_boot = _start_of(psutil.Process())
        return cls(os.getpid(), started, after_boot, _boot(), _place())

    @classmethod
    def from_dict(cls, plain: Any) -> Owner:
        """Return the owner that a file names.

        Raises
        ------
        ValueError
            If it names none.
        """
        kinds = {"pid": int, "started": float, "started_after_boot": float, "boot": str, "place": str}
        if not isinstance(plain, dict) or any(not isinstance(plain.get(key), kind) for key, kind in kinds.items()):
            raise ValueError("no owner")
        return cls(**{key: plain[key] for key in kinds})

    def __str__(self) -> str:
        if self.pid == os.getpid() and self.is_alive(0.0):
            return "this program"
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(min(max(self.started, 0.0), 2.0**40)))
        return f"process {self.pid} on {self.place.partition(' ')[0] or 'this computer'}, started {since}"

    def is_alive(self, last_sign: float) -> bool:
        """Return whether the process runs; where that cannot be known, whether it gave a sign lately.

        Parameters
        ----------
        last_sign : float
            When something of it was last written, seconds since 1970.
        """
        import psutil

        if self.place != _place():
            return time.time() - last_sign < ELSEWHERE_SECONDS
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


def _start_of(process: psutil.Process) -> tuple[float, float]:
    import psutil

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

"""Faults of the disk and of the power, at one chosen call: what a writer leaves behind is then looked at.

Run as a program: ``python faults.py PLACE N OUTPUT`` writes an output of `OUTPUTS` there and ends itself by SIGKILL
just before its N-th call that changes names or waits for the disk.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

#: Calls that put names and bytes on the disk.
CALLS = ("replace", "rename", "link", "fsync", "unlink", "mkdir")


class Faults:
    """Counts calls on files below a folder, and acts before the chosen one.

    Parameters
    ----------
    folder : path
        Calls on anything else are left alone.
    chosen : int
        The number of the call, from 0; -1 only counts.
    act : callable
        Called with the name of the call; raises, or ends the process.
    """

    def __init__(self, folder: Path, chosen: int, act: Callable[[str], None]) -> None:
        self.folder, self.chosen, self.act, self.count = str(folder), chosen, act, 0

    def reached(self, name: str, subject: Any) -> None:
        """Note a call."""
        if not self._is_ours(subject):
            return
        self.count += 1
        if self.count - 1 == self.chosen:
            self.act(name)

    def _is_ours(self, subject: Any) -> bool:
        if isinstance(subject, int):
            try:
                subject = Path(f"/proc/self/fd/{subject}").readlink()
            except OSError:
                return False
        return isinstance(subject, str | bytes | os.PathLike) and os.fsdecode(subject).startswith(self.folder)

    @contextmanager
    def on(self) -> Iterator[Faults]:
        """Watch the calls in the block."""
        with ExitStack() as patches:
            for name in CALLS:
                patches.enter_context(patch.object(os, name, self._watched(name, getattr(os, name))))
            opened = self._watched_open(builtins.open)
            patches.enter_context(patch.object(builtins, "open", opened))
            patches.enter_context(patch.object(io, "open", opened))
            yield self

    def _watched(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **how: Any) -> Any:
            self.reached(name, given[0])
            return original(*given, **how)

        return call

    def _watched_open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", *given: Any, **how: Any) -> Any:
            if set(mode) & set("wxa+"):
                self.reached("open", file)
            return original(file, mode, *given, **how)

        return call


def raising(number: int) -> Callable[[str], None]:
    """Return what fails as the system does, with ``errno.ENOSPC``, ...."""

    def act(name: str) -> None:
        raise OSError(number, os.strerror(number))

    return act


def kill(name: str) -> None:
    """End this process as a lost battery does."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from written import OUTPUTS

    place, number, output = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    faults = Faults(place, number, kill)
    prepared = OUTPUTS[output].prepare(place.parent / "scan")
    with faults.on():
        prepared(place, 1)

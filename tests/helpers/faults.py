"""Faults of the disk and of the power, at one chosen call: what a writer leaves behind is then looked at.

Counted is what Python asks the system for: making, naming and removing files and folders, each piece that is written,
waiting for the disk. What libraries in C++ write is one call to it; `limited` lets those meet a full disk.

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

#: Calls that put names and bytes on the disk, or take them away.
CALLS = ("replace", "rename", "link", "fsync", "unlink", "rmdir", "mkdir", "write", "ftruncate")


class _Raw(io.FileIO):
    """A file whose writes are counted: what the system gets, not what is put into a buffer."""

    watch: Faults

    def write(self, data: Any) -> int | None:
        self.watch.reached("write", self.fileno())
        return super().write(data)


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
        #: The last call that was counted.
        self.name = ""

    def reached(self, name: str, subject: Any, folder: int | None = None) -> None:
        """Note a call."""
        if not self._is_ours(subject, folder):
            return
        self.count += 1
        self.name = name
        if self.count - 1 == self.chosen:
            self.act(name)

    def _is_ours(self, subject: Any, folder: int | None = None) -> bool:
        if isinstance(subject, int):
            try:
                subject = Path(f"/proc/self/fd/{subject}").readlink()
            except OSError:
                return False
        if not isinstance(subject, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(subject)
        if folder is not None and not name.startswith("/"):  # as of `shutil.rmtree`
            return self._is_ours(folder)
        return name.startswith(self.folder)

    @contextmanager
    def on(self) -> Iterator[Faults]:
        """Watch the calls in the block."""
        with ExitStack() as patches:
            for name in CALLS:
                patches.enter_context(patch.object(os, name, self._watched(name, getattr(os, name))))
            patches.enter_context(patch.object(os, "open", self._watched_descriptor(os.open)))
            opened = self._watched_open(builtins.open)
            patches.enter_context(patch.object(builtins, "open", opened))
            patches.enter_context(patch.object(io, "open", opened))
            yield self

    def _watched(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **how: Any) -> Any:
            self.reached(name, given[0], how.get("dir_fd"))
            return original(*given, **how)

        return call

    def _watched_descriptor(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, flags: int, *given: Any, **how: Any) -> Any:
            if flags & os.O_CREAT:
                self.reached("open", path)
            return original(path, flags, *given, **how)

        return call

    def _watched_open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", *given: Any, **how: Any) -> Any:
            if not set(mode) & set("wxa+") or not self._is_ours(file):
                return original(file, mode, *given, **how)
            if not isinstance(file, int):
                self.reached("open", file)
            return self._counted(file, mode, *given, **how)

        return call

    def _counted(
        self,
        file: Any,
        mode: str,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """Return what `open` would, with writes that are counted."""
        raw = _Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        raw.watch = self
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


def raising(number: int) -> Callable[[str], None]:
    """Return what fails as the system does, with ``errno.ENOSPC``, ...."""

    def act(name: str) -> None:
        raise OSError(number, os.strerror(number))

    return act


def kill(name: str) -> None:
    """End this process as a lost battery does."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminate(name: str) -> None:
    """End this process as a shutdown does, where nothing handles it."""
    os.kill(os.getpid(), signal.SIGTERM)


def limited(n_bytes: int) -> None:
    """Let no file of this process grow beyond a size, in whatever language it is written: what a full disk is like."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


if __name__ == "__main__":
    from written import OUTPUTS

    place, number, output = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    faults = Faults(place, number, kill)
    prepared = OUTPUTS[output].prepare(place.parent / "scan")
    with faults.on():
        prepared(place, 1)

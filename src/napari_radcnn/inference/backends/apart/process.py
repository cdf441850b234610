"""A process that computes, from the side of the one that started it: asked, waited for, ended when cancelled."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

import napari_radcnn
from napari_radcnn.errors import ModelError, ResourceError
from napari_radcnn.inference.backends.apart.messages import Message, Words, receive, send
from napari_radcnn.inference.backends.base import BackendError, OutOfMemoryError

#: Seconds between two looks at whether the user wants to stop.
_INTERVAL = 0.05
#: What the other process may raise that is told apart here; its first class that is among these.
_ERRORS = {kind.__name__: kind for kind in (OutOfMemoryError, BackendError, ResourceError, ModelError)}
#: Nothing but what is installed is imported: no module that happens to lie in the current folder.
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from napari_radcnn.inference.backends.apart.child import main; main()"
)


class Process:
    """A process that computes one network.

    Parameters
    ----------
    name : str
        Of the network's file, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        package = Path(napari_radcnn.__file__).parents[1]
        new_group: dict[str, Any] = {"start_new_session": True}  # Ctrl-C in a terminal is for us, not for it
        if sys.platform == "win32":
            new_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        try:
            self._process = subprocess.Popen(  # noqa: S603  nothing of it comes from outside
                [sys.executable, "-P", "-c", _PROGRAM, str(package)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._told,
                **new_group,
            )
        except OSError as error:
            raise ResourceError(
                f"{name}: the process that computes the network cannot be started ({sys.executable}: "
                f"{error.strerror or error}); close other programs."
            ) from error
        _RUNNING[self.pid] = self
        self._inbox: queue.Queue[Message | None] = queue.Queue()
        threading.Thread(target=_listen, args=(self._process.stdout, self._inbox), daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def send(self, words: Words, array: npt.NDArray[np.float32] | None = None) -> None:
        """Tell it something; what became of it is found out by `wait`."""
        pipe = cast(BinaryIO, self._process.stdin)
        with suppress(OSError):  # it is gone: the next wait says why
            send(pipe, words, array)

    def wait(self, check: Callable[[], None], limit: float | None = None) -> Message:
        """Return what it says next.

        Parameters
        ----------
        check : callable
            Called over and over while it computes; it may raise.
        limit : float, optional
            Seconds; without it, as long as it takes.

        Raises
        ------
        OutOfMemoryError, BackendError, ResourceError, ModelError
            What it raised, or that it has ended.
        TimeoutError
            If the time is over.
        """
        end = None if limit is None else time.monotonic() + limit
        while True:
            try:
                message = self._inbox.get(timeout=_INTERVAL)
                break
            except queue.Empty:
                if end is not None and time.monotonic() > end:
                    raise TimeoutError from None
            check()
        if message is None:
            raise self._gone()
        words = message[0]
        if "error" in words:
            kind = next((_ERRORS[name] for name in words["error"] if name in _ERRORS), ModelError)
            text = str(words["text"])
            raise kind(text if self._name in text else f"{self._name}: {text}")
        return message

    def end(self) -> None:
        """End it, whatever it is doing."""
        _RUNNING.pop(self.pid, None)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._told):
            if pipe is not None:
                with suppress(OSError):  # what was still to be written to it
                    pipe.close()

    def _gone(self) -> BackendError | OutOfMemoryError:
        status = self._process.wait()
        self._told.seek(0)
        lines = [line.strip() for line in self._told.read().decode(errors="replace").splitlines() if line.strip()]
        self.end()
        if status == -9:
            return OutOfMemoryError(
                f"{self._name}: the operating system ended the process that computes the network, as it does when "
                "memory runs out: close other programs, or crop the scan."
            )
        cause = f"signal {-status}" if status < 0 else f"exit status {status}"
        said = f"; its last output: {lines[-1][:160]}" if lines else ""
        return BackendError(
            f"{self._name}: the process that computes the network ended unexpectedly ({cause}{said}). The file may be "
            "damaged, or use what this computer does not support: export it again."
        )


def _listen(pipe: BinaryIO, inbox: queue.Queue[Message | None]) -> None:
    try:
        with pipe:
            while (message := receive(pipe)) is not None:
                inbox.put(message)
    finally:
        inbox.put(None)


def running() -> tuple[int, ...]:
    """Return the numbers of the processes that compute for this one."""
    return tuple(_RUNNING)


_RUNNING: dict[int, Process] = {}

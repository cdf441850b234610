"""The process that computes a network: told by its standard input what to open and what to compute.

It is started by `napari_radcnn.inference.backends.apart.process` and ends with it, whatever it is computing.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from napari_radcnn.errors import RadcnnError
from napari_radcnn.inference.backends.apart.messages import Message, Words, network_of, receive, send

#: Linux's prctl: the signal that a process gets when the one that started it ends.
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the pipe is closed."""
    pipe_in, pipe_out = _own_pipes()
    _end_with(os.getppid())
    inbox: queue.Queue[Message] = queue.Queue()
    # A thread of its own, so that the end of the other process is noticed while a network is computed.
    threading.Thread(target=_listen, args=(pipe_in, inbox), daemon=True).start()
    _Server(inbox, pipe_out).serve()


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for messages: what libraries print goes where errors go."""
    if sys.platform == "win32":
        import msvcrt

        for number in (0, 1):
            msvcrt.setmode(number, os.O_BINARY)
    pipe_in, pipe_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return pipe_in, pipe_out


def _end_with(parent: int) -> None:
    """On Linux, be killed when the thread that started this process is gone; elsewhere `_listen` notices."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            os._exit(1)


def _listen(pipe: BinaryIO, inbox: queue.Queue[Message]) -> None:
    try:
        while (message := receive(pipe)) is not None:
            inbox.put(message)
    finally:
        os._exit(0)


class _Server:
    """Answers one message after the other."""

    def __init__(self, inbox: queue.Queue[Message], pipe: BinaryIO) -> None:
        self._inbox, self._pipe = inbox, pipe
        self._predictor: Any = None

    def serve(self) -> None:
        while True:
            words, array = self._inbox.get()
            try:
                if words["do"] == "open":
                    self._open(words, array)
                elif words["do"] == "weigh":
                    self._weigh(words)
                else:
                    self._run(array)
            except RadcnnError as error:
                send(self._pipe, {"error": [kind.__name__ for kind in type(error).__mro__], "text": str(error)})
            except MemoryError:
                text = "Not enough free memory for one patch of this model; close other programs."
                send(self._pipe, {"error": ["OutOfMemoryError"], "text": text})

    def _open(self, words: Words, sample: Any) -> None:
        from napari_radcnn.inference.backends.choice import open_predictor
        from napari_radcnn.inference.settings import RunSettings
        from napari_radcnn.progress import Monitor

        monitor = Monitor(1, self._say)
        self._predictor, told = open_predictor(
            network_of(words["network"]),
            tuple(words["patch"]),
            RunSettings(**words["settings"]),
            threads=words["threads"],
            sample=sample,
            tolerance=words["tolerance"],
            outputs=words["outputs"],
            monitor=monitor,
            scan=self._ask_for_scan if words["asks"] else None,
        )
        send(self._pipe, {"opened": self._facts(), "warnings": list(told)})

    def _say(self, done: int, total: int, message: str) -> None:  # noqa: ARG002  as of `napari_radcnn.progress`
        send(self._pipe, {"say": message})

    def _ask_for_scan(self) -> str:
        send(self._pipe, {"ask": "scan"})
        return str(self._inbox.get()[0]["scan"])

    def _run(self, patch: Any) -> None:
        from napari_radcnn.inference.backends.fallback import late_warnings

        answer = self._predictor(patch)
        send(self._pipe, {"opened": self._facts(), "late": late_warnings([self._predictor])}, answer)

    def _weigh(self, words: Words) -> None:
        from napari_radcnn.inference.backends.openvino.layers import weigh

        send(self._pipe, {"bytes": weigh(network_of(words["network"]), tuple(words["patch"]))})

    def _facts(self) -> Words:
        names = ("backend", "device", "precision", "agreement", "measured_on")
        return {name: getattr(self._predictor, name) for name in names}

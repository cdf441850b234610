"""Ctrl-C and SIGTERM: the first cancels, the second ends, whatever is being computed."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from napari_radcnn.errors import ExitStatus

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: How long the main thread may take to end by itself after a second signal, s.
_PATIENCE = 3.0


@contextmanager
def cancelling() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a cancel; a second one ends the program.

    Python calls handlers between two steps of the main thread, so that a native call which does not come back would
    put both off for ever. The interpreter itself notes each signal at once, though, and a thread here reads its notes:
    it sets the event in the middle of such a call, and after a second signal gives the main thread three seconds to
    end as Ctrl-C ends a program, cleaning up behind it; then it ends the process.
    """
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if handled:
            signal.default_int_handler(number, frame)
        handled.append(number)
        cancel.set()

    handled: list[int] = []
    notes, noted = socket.socketpair()
    noted.setblocking(False)
    watcher = threading.Thread(target=_watch, args=(notes, cancel), name="radcnn-signals", daemon=True)
    watcher.start()
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    noted_before = signal.set_wakeup_fd(noted.fileno(), warn_on_full_buffer=False)
    try:
        yield cancel
    finally:
        signal.set_wakeup_fd(noted_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        noted.close()  # the watcher reads the end
        watcher.join()
        notes.close()


def _watch(notes: socket.socket, cancel: threading.Event) -> None:
    """Read the numbers of signals until there are no more; after the second, end what does not end by itself."""
    count = 0
    while count < 2:
        number = notes.recv(1)
        if not number:
            return
        if number[0] in _SIGNALS:
            count += 1
            cancel.set()
    notes.settimeout(_PATIENCE)
    with suppress(TimeoutError):
        if not notes.recv(1):
            return
    with suppress(OSError):  # standard error may be closed
        os.write(
            2, b"\nradcnn: ended at once, in the middle of a computation; no half-written result was put in place.\n"
        )
    os._exit(ExitStatus.CANCELLED)

"""The process that works on cases, one after the other: jobs come in as lines of JSON, answers go out as such.

It ends when whoever started it does: its standard input closes then.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from napari_radcnn.version import __version__

#: Progress is told at most this often, s.
_PAUSE = 0.2


class _Line:
    """The line to whoever started this process."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said = 0.0
        self._last = ""
        self.jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self.grants: queue.Queue[bool] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, **what: Any) -> None:
        self._out.write(json.dumps(what) + "\n")
        self._out.flush()

    def progress(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        if now - self._said < _PAUSE and message == self._last:
            return
        self._said, self._last = now, message
        self.tell(progress=[done, total, message])

    @contextmanager
    def ask(self, n_bytes: int) -> Iterator[None]:
        self.tell(needs=n_bytes)
        self.grants.get()
        try:
            yield
        finally:
            self.tell(released=True)

    def _listen(self) -> None:
        for line in sys.stdin:
            what = json.loads(line)
            if "job" in what:
                self.jobs.put(what["job"])
            elif what.get("grant"):
                self.grants.put(True)
        os._exit(0)  # whoever asked is gone: nobody takes the result


def main() -> None:
    """Work until the standard input closes."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    line = _Line(out)
    line.tell(ready=__version__, pid=os.getpid())
    from napari_radcnn.cohort.jobs import Job
    from napari_radcnn.cohort.steps.running import run_case

    while True:
        job = Job.from_dict(line.jobs.get())
        line.tell(working=job.case)
        answer = run_case(job, line.ask, line.progress)
        line.tell(answer=answer.to_dict())


if __name__ == "__main__":
    main()

"""Processes that work on cases, seen from whoever starts them: they may die or hang, and another takes the case."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.cohort.work.budget import MemoryBudget
from napari_radcnn.errors import CancelledError
from napari_radcnn.progress import Progress

#: A case is begun at most so often.
MOST_TRIES = 3
#: How long a process may say nothing before it is taken for hanging, s.
PATIENCE = 3600.0
#: How long it may take to start at least, s.
_START = 300.0
_POLL = 0.2
_COMMAND = "napari_radcnn.cohort.work.process"


class HandLostError(Exception):
    """A process ended, or was ended, before its case was done.

    Parameters
    ----------
    cause : str
        In words.
    may_lack_memory : bool
        Whether the system may have killed it for want of memory.
    """

    def __init__(self, cause: str, *, may_lack_memory: bool = False) -> None:
        super().__init__(cause)
        self.may_lack_memory = may_lack_memory


class Hand:
    """One process that works on one case at a time; started when it is first needed.

    Parameters
    ----------
    budget : MemoryBudget
        What it shares with others on this computer.
    threads : int
        For numeric libraries that go by the environment; 0 for their default.
    """

    def __init__(self, budget: MemoryBudget, threads: int = 0) -> None:
        self._budget, self._threads = budget, threads
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def work(
        self,
        job: Job,
        *,
        progress: Progress | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        patience: float = PATIENCE,
        is_alone: bool = False,
    ) -> Answer:
        """Let the process work on a case, and wait for it; alone it is lent all the memory there is.

        Raises
        ------
        HandLostError
            If it ended or hung.
        CancelledError
            If `is_cancelled` says so.
        """
        process = self._started()
        self._send(process, {"job": job.to_dict()})
        heard, allowed = time.monotonic(), max(patience, _START)
        try:
            while True:
                if is_cancelled():
                    self.close()
                    raise CancelledError
                try:
                    what = self._said.get(timeout=_POLL)
                except queue.Empty:
                    if time.monotonic() - heard > allowed:
                        self.close()
                        raise HandLostError(f"it did not respond for {allowed:g} s") from None
                    continue
                heard = time.monotonic()
                if what is None:
                    raise self._lost(process)
                if "working" in what:
                    allowed = patience
                if "answer" in what:
                    return Answer.from_dict(what["answer"])
                self._hear(process, what, progress, is_cancelled, self._budget.n_bytes if is_alone else 0)
        finally:
            self._budget.give_back(self)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            _close(process)
            self._errors.close()

    def _hear(
        self,
        process: subprocess.Popen[str],
        what: dict[str, Any],
        progress: Progress | None,
        is_cancelled: Callable[[], bool],
        least: int,
    ) -> None:
        if "progress" in what and progress is not None:
            progress(*what["progress"])
        elif "needs" in what:
            is_gone = lambda: is_cancelled() or process.poll() is not None  # noqa: E731
            if self._budget.lend(self, max(least, int(what["needs"])), is_gone):
                self._send(process, {"grant": True})
        elif "released" in what:
            self._budget.give_back(self)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        environment = dict(os.environ)
        if self._threads:
            environment["OMP_NUM_THREADS"] = str(self._threads)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603  ourselves
            [sys.executable, "-m", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self._said = queue.Queue()
        threading.Thread(target=_listen, args=(self._process, self._said), daemon=True).start()
        return self._process

    def _send(self, process: subprocess.Popen[str], what: dict[str, Any]) -> None:
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()
        except OSError:
            return  # it has ended: what it said last tells that

    def _lost(self, process: subprocess.Popen[str]) -> HandLostError:
        status = process.wait()
        self._process = None
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._errors.close()
        _close(process)
        said = f": {lines[-1]}" if lines else ""
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
            is_killed = name == "SIGKILL"
            hint = ", perhaps because memory ran out" if is_killed else ""
            return HandLostError(f"it was killed by {name}{hint}", may_lack_memory=is_killed)
        return HandLostError(f"it ended with status {status}{said}")


def _close(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        with suppress(OSError):  # what was not read any more
            process.stdin.close()


def _listen(process: subprocess.Popen[str], said: queue.Queue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            try:
                said.put(json.loads(line))
            except ValueError:  # the last line of one that was killed
                break
    said.put(None)


def work_with_tries(
    hand: Hand,
    job: Job,
    *,
    tries: int = MOST_TRIES,
    progress: Progress | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    patience: float = PATIENCE,
    has_others: bool = False,
) -> Answer:
    """Let a case be worked on; by a new process where one was lost, and after `tries` say that it cannot be done.

    A case for which memory did not suffice beside others (`has_others`) is tried again while none of them holds any.

    Raises
    ------
    CancelledError
        If `is_cancelled` says so.
    """
    lost: list[str] = []
    is_alone = False
    for number in range(1, tries + 1):
        try:
            answer = hand.work(job, progress=progress, is_cancelled=is_cancelled, patience=patience, is_alone=is_alone)
        except HandLostError as error:
            lost.append(str(error))
            is_alone = is_alone or (has_others and error.may_lack_memory)
            continue
        if answer.is_short and has_others and not is_alone and number < tries:
            is_alone = True
            continue
        return replace(answer, tries=number)
    return lost_answer(job.case, lost)


def lost_answer(case: str, lost: list[str]) -> Answer:
    """Return the answer for a case over which every process was lost."""
    causes = "; ".join(dict.fromkeys(lost))
    return Answer(
        case,
        "failed",
        f"The process that computed it ended unexpectedly {len(lost)} times: {causes}.",
        [],
        tries=len(lost),
    )

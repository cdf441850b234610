"""Whoever works on the cases of a run: processes on this computer, or workers elsewhere."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Protocol

from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.cohort.steps.running import run_case
from napari_radcnn.cohort.work.budget import MemoryBudget
from napari_radcnn.cohort.work.hands import PATIENCE, Hand, work_with_tries
from napari_radcnn.errors import CancelledError
from napari_radcnn.progress import CancelEvent

#: Called with the case, and as `napari_radcnn.progress.Progress`.
CaseProgress = Callable[[str, int, int, str], object]
_POLL = 0.2


class Workers(Protocol):
    """What a run gives its cases to."""

    def work(
        self, jobs: Iterator[Job], progress: CaseProgress, cancel: CancelEvent | None
    ) -> Iterator[tuple[Job, Answer]]:
        """Yield the answer for every job as it comes, in any order; jobs are taken as they are needed.

        Raises
        ------
        CancelledError
            If `cancel` was set; nobody works any more then.
        """
        ...


class Here:
    """The very process that asks, one case after the other: for small cases, and for tests."""

    def work(
        self, jobs: Iterator[Job], progress: CaseProgress, cancel: CancelEvent | None
    ) -> Iterator[tuple[Job, Answer]]:
        """As of `Workers`."""
        for job in jobs:
            yield job, run_case(job, progress=_for(progress, job.case), cancel=cancel)


class Processes:
    """Processes on this computer, which together take no more memory than there is.

    Parameters
    ----------
    n : int
        How many; at least one.
    patience : float
        How long one may say nothing before it is taken for hanging, s.
    memory : int, optional
        Bytes for all of them; by default what is free when the work begins.
    threads : int
        For each; by default the cores shared out among them.
    """

    def __init__(self, n: int, *, patience: float = PATIENCE, memory: int | None = None, threads: int = 0) -> None:
        import os

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.n, self.patience, self.memory = max(1, n), patience, memory
        self.threads = threads or max(1, cores // self.n)
        self.budget: MemoryBudget | None = None

    def work(
        self, jobs: Iterator[Job], progress: CaseProgress, cancel: CancelEvent | None
    ) -> Iterator[tuple[Job, Answer]]:
        """As of `Workers`."""
        budget = self.budget = MemoryBudget(self.memory)
        idle: queue.LifoQueue[Hand] = queue.LifoQueue()
        hands = [Hand(budget, self.threads) for _ in range(self.n)]
        for hand in hands:
            idle.put(hand)
        is_over = threading.Event()

        def work(job: Job) -> Answer:
            hand = idle.get()
            try:
                return work_with_tries(
                    hand, job, progress=_for(progress, job.case), is_cancelled=is_over.is_set, patience=self.patience,
                    has_others=self.n > 1,
                )  # fmt: skip
            finally:
                idle.put(hand)

        pool = ThreadPoolExecutor(self.n, thread_name_prefix="radcnn-cohort")
        running: dict[Future[Answer], Job] = {}
        try:
            is_more = True
            while running or is_more:
                # One more than there are processes, so that none waits for the next.
                while is_more and len(running) <= self.n:
                    job = next(jobs, None)
                    is_more = job is not None
                    if job is not None:
                        job = replace(job, threads=self.threads)
                        running[pool.submit(work, job)] = job
                finished, _ = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
                if cancel is not None and cancel.is_set():
                    raise CancelledError
                for future in finished:
                    yield running.pop(future), future.result()
        finally:
            is_over.set()
            for hand in hands:
                hand.close()
            pool.shutdown(cancel_futures=True)


def _for(progress: CaseProgress, case: str) -> Callable[[int, int, str], object]:
    return lambda done, total, message: progress(case, done, total, message)

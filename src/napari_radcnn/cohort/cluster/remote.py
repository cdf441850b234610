"""What runs on the workers: whether one may work at all, and a case, in a process of its own beside the worker."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.cluster.sending import packed, unpacked
from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.cohort.reading import is_there
from napari_radcnn.cohort.work.budget import MemoryBudget
from napari_radcnn.cohort.work.hands import Hand, HandLostError
from napari_radcnn.errors import CancelledError, RadcnnError
from napari_radcnn.files import file_hash
from napari_radcnn.foreign.installed import identity_of
from napari_radcnn.memory import free_memory
from napari_radcnn.models import find_model
from napari_radcnn.models.registry import install_pack, model_names
from napari_radcnn.version import __version__

_PAUSE = 1.0
#: States of a task in a worker whose result nobody waits for any more.
_UNWANTED = ("cancelled", "resumed", "released", "forgotten")
_LOCAL = threading.local()
_BUDGETS: dict[str, MemoryBudget] = {}
_BUDGETS_LOCK = threading.Lock()


def enter(text: str, packs: Mapping[str, bytes]) -> str:
    """Return as JSON which version a worker has, and what keeps it from working on a run.

    Parameters
    ----------
    text : str
        JSON: ``version``, ``steps`` with ``model`` and ``identity``, ``trust``, ``sha256`` of each pack, and ``paths``
        that it must see as well, where files do not travel.
    packs : mapping of str to bytes
        Models that it does not have, by the name they are to get.
    """
    asked = json.loads(text)
    found = {"version": __version__, "python": platform.python_version(), "problem": ""}
    if asked["version"] != __version__:
        found["problem"] = f"has napari-radcnn {__version__}, not {asked['version']}: update it"
        return json.dumps(found)
    unseen = next((path for path in asked["paths"] if not is_there(Path(path))), None)
    if unseen is not None:
        found["problem"] = f"cannot access {unseen}: share that folder with it, or send the files (--send)"
        return json.dumps(found)
    try:
        for name, data in packs.items():
            _receive(name, data, asked["sha256"][name], asked["trust"])
        for step in asked["steps"]:
            spec = find_model(step["model"], trust=asked["trust"])
            if not spec.is_available:
                found["problem"] = spec.how_to_install
            elif identity_of(spec) != step["identity"]:
                found["problem"] = f"has a different model called '{step['model']}': install the same model there"
    except RadcnnError as error:
        found["problem"] = " ".join(str(error).split())
    return json.dumps(found)


def _receive(name: str, data: bytes, sha256: str, trust: str | None) -> None:
    """Install a model that was sent, unless it is there."""
    if name in model_names():
        return
    with tempfile.TemporaryDirectory(prefix="radcnn-model-") as temporary:
        path = Path(temporary) / f"{name}.radcnn-model.zip"
        path.write_bytes(data)
        if file_hash(path) != sha256:
            raise RadcnnError(
                f"The model '{name}' was damaged during the transfer to this worker; run the command again."
            )
        install_pack(path, trust=trust)


def run_job(text: str, topic: str, files: bytes, patience: float) -> tuple[str, bytes]:
    """Work on a case, and return the answer as JSON with the files that travel back.

    Parameters
    ----------
    text : str
        A job as JSON.
    topic : str
        Under which progress is told.
    files : bytes
        The files of the case as a ZIP archive; empty where they lie on a path that all computers share.
    patience : float
        As of `napari_radcnn.cohort.work.hands.Hand`.
    """
    from distributed import get_worker

    worker = get_worker()
    job = Job.from_dict(json.loads(text))
    where = str(worker.name) if str(worker.name) != worker.address else worker.address
    if job.version != __version__:
        said = f"has napari-radcnn {__version__}, not {job.version}: update it"
        return json.dumps(Answer(job.case, "refused", said, [], where=where).to_dict()), b""
    hand = _hand(worker)
    with tempfile.TemporaryDirectory(prefix="radcnn-case-", ignore_cleanup_errors=True) as temporary:
        here = unpacked(job, files, Path(temporary)) if files else job
        try:
            teller = _Teller(worker, topic, job.case)
            answer = hand.work(here, progress=teller, is_cancelled=_unwanted(worker, teller), patience=patience)
        except HandLostError as error:
            answer = Answer(job.case, "lost", str(error), [])
        except CancelledError:
            answer = Answer(job.case, "unwanted", "", [])
        made = packed(answer, Path(here.staging)) if files else b""
    return json.dumps(replace(answer, where=where).to_dict()), made


def _hand(worker: Any) -> Hand:
    """Return the process of this thread; it stays from case to case, with its model loaded."""
    hand: Hand | None = getattr(_LOCAL, "hand", None)
    if hand is None:
        with _BUDGETS_LOCK:
            budget = _BUDGETS.get(worker.id)
            if budget is None:
                limit = worker.memory_manager.memory_limit or free_memory()
                budget = _BUDGETS[worker.id] = MemoryBudget(min(int(limit), free_memory()))
        cores = worker.state.nthreads
        hand = _LOCAL.hand = Hand(budget, threads=_threads(cores))
    return hand


def _threads(n_workers: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(1, n_workers))


class _Teller:
    """Sends progress to the client, by way of the scheduler: at most once a second, and the last word in any case."""

    def __init__(self, worker: Any, topic: str, case: str) -> None:
        self._worker, self._topic, self._case = worker, topic, case
        self._said = 0.0
        self._waiting: tuple[int, int, str] | None = None

    def __call__(self, done: int, total: int, message: str) -> None:
        self._waiting = (done, total, message)
        self.flush()

    def flush(self) -> None:
        """Send what waits, if it is time."""
        now = time.monotonic()
        if self._waiting is None or now - self._said < _PAUSE:
            return
        done, total, message = self._waiting
        self._waiting, self._said = None, now
        self._worker.log_event(self._topic, {"case": self._case, "done": done, "total": total, "message": message})


def _unwanted(worker: Any, teller: _Teller) -> Callable[[], bool]:
    """Return whether nobody waits for this task any more: the client cancelled it, or is gone; asked all the time."""
    key = worker.get_current_task()

    def is_unwanted() -> bool:
        teller.flush()
        task = worker.state.tasks.get(key)
        return task is None or task.state in _UNWANTED

    return is_unwanted

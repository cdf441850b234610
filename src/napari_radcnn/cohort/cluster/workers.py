"""The workers of a scheduler, as whoever works on the cases of a run."""

from __future__ import annotations

import hashlib
import json
import queue
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.cohort.chain import Resolved
from napari_radcnn.cohort.cluster import remote
from napari_radcnn.cohort.cluster.connecting import connect
from napari_radcnn.cohort.cluster.models import packs_of
from napari_radcnn.cohort.cluster.sending import pack_inputs, unpack_results
from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.cohort.reading import is_there
from napari_radcnn.cohort.results.layout import RUN
from napari_radcnn.cohort.work.hands import MOST_TRIES, PATIENCE, lost_answer
from napari_radcnn.cohort.work.workers import CaseProgress
from napari_radcnn.errors import CancelledError, ModelError, RadcnnError, ResourceError
from napari_radcnn.progress import CancelEvent
from napari_radcnn.version import __version__

if TYPE_CHECKING:
    from distributed import Client, Future

_POLL = 0.2
#: How often it is looked which workers there are, s.
_LOOK = 1.0
#: How long a scheduler may be away, and how long there may be no worker, s.
_AWAY, _NOBODY = 30.0, 120.0
#: How long that may be before it is told, s.
_SOON = 3.0
#: Cases that wait at the scheduler for each that is worked on: a worker never waits for the client.
_AHEAD = 2
#: Between the name of a case's folder and who works there.
_TURN = "+"


@dataclass
class _Task:
    """A case that is at the scheduler."""

    job: Job
    future: Future[Any] | None
    allowed: frozenset[str]
    lost: list[str] = field(default_factory=list)
    avoided: frozenset[str] = frozenset()


class Cluster:
    """Workers of a dask.distributed scheduler.

    Parameters
    ----------
    address : str
        ``tls://HOST:PORT``; ``tcp://`` on this computer alone.
    certificates : path, optional
        The folder with the certificates; by default the user's.
    send : bool
        Whether files travel to the workers and back; else all computers see them under the same path.
    patience : float
        How long a case may say nothing before its process is taken for hanging, s.
    tell : callable, optional
        Called with a line for what should be known, such as a worker that is not used.
    """

    def __init__(
        self,
        address: str,
        certificates: Path | None = None,
        *,
        send: bool = False,
        patience: float = PATIENCE,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        self.address, self.certificates, self.send, self.patience = address, certificates, send, patience
        self.tell = tell or _nobody
        self._entered: dict[str, str] = {}
        self._done: queue.Queue[tuple[_Task, Future[Any] | Answer]] = queue.Queue()
        self._is_told = False

    def work(
        self, jobs: Iterator[Job], progress: CaseProgress, cancel: CancelEvent | None
    ) -> Iterator[tuple[Job, Answer]]:
        """As of `napari_radcnn.cohort.work.workers.Workers`.

        Raises
        ------
        ResourceError
            If the scheduler cannot be reached or goes away, or no worker can be used.
        ModelError
            If no worker has, or trusts, the model.
        """
        client = connect(self.address, self.certificates)
        topic = f"radcnn-{secrets.token_hex(4)}"
        try:
            client.subscribe_topic(topic, _hearer(progress))
            yield from self._work(client, topic, jobs, cancel)
        finally:
            with suppress(OSError, TimeoutError):
                client.close(timeout=5)

    def without_workers(self, seconds: float) -> None:
        """Decide what to do where nobody can work.

        Parameters
        ----------
        seconds : float
            For how long there has been no worker.

        Raises
        ------
        ResourceError
            If that was too long.
        """
        if seconds > _NOBODY:
            raise ResourceError(f"{self.address}: there has been no worker for {_NOBODY:g} s; start one.")
        if seconds > _SOON:
            self.tell_once(f"{self.address}: there is no worker; waiting up to {_NOBODY:g} s for one.")

    def tell_once(self, text: str) -> None:
        """Tell why nothing goes on, once until it does."""
        if not self._is_told:
            self._is_told = True
            self.tell(text)

    def goes_on(self) -> None:
        """Note that there are workers."""
        self._is_told = False

    def _work(
        self, client: Client, topic: str, jobs: Iterator[Job], cancel: CancelEvent | None
    ) -> Iterator[tuple[Job, Answer]]:
        running: dict[str, _Task] = {}
        job = next(jobs, None)
        if job is None:
            return
        packs, steps, origins = packs_of(job.steps, job.trust) if self.send else ({}, job.steps, {})
        self._watch = _Watch(self, client, job, steps, packs)
        while running or job is not None:
            self._watch.look()
            while job is not None and len(running) < self._watch.n_wanted:
                if cancel is not None and cancel.is_set():
                    break
                sent = replace(job, steps=steps, origins=origins)
                running[job.case] = self._submit(client, topic, sent, frozenset(), [])
                job = next(jobs, None)
            if cancel is not None and cancel.is_set():
                client.cancel([task.future for task in running.values() if task.future is not None], force=True)
                raise CancelledError
            for task in self._watch.stranded(running):
                if task.future is not None:
                    task.future.cancel()
                running[task.job.case] = self._submit(client, topic, task.job, task.avoided, task.lost)
            try:
                task, found = self._done.get(timeout=_POLL)
            except queue.Empty:
                continue
            if running.get(task.job.case) is not task:  # what was given to somebody else meanwhile
                continue
            answer = found if isinstance(found, Answer) else self._answer(task, found)
            if answer is None:
                running[task.job.case] = self._submit(client, topic, task.job, task.avoided, task.lost)
                continue
            del running[task.job.case]
            done, task.future = task.job, None
            del task, found  # the scheduler forgets what nobody holds
            yield done, answer

    def _submit(self, client: Client, topic: str, job: Job, avoided: frozenset[str], lost: list[str]) -> _Task:
        allowed = self._watch.allowed - avoided or self._watch.allowed
        # A worker that was cut off may still write for the case: each that it is given to has a folder of its own.
        place = Path(job.staging)
        place = place.with_name(f"{place.name.partition(_TURN)[0]}{_TURN}{secrets.token_hex(4)}")
        job = replace(job, staging=str(place))
        task = _Task(job, None, allowed, lost, avoided)
        if not allowed:  # it would go to a worker that has not been asked: it is stranded until there is one that was
            return task
        files, problem = _packed(job) if self.send else (b"", "")
        if problem:  # of this case alone: the others go on
            self._done.put((task, Answer(job.case, "failed", problem, [])))
            return task
        task.future = client.submit(
            remote.run_job, json.dumps(job.to_dict()), topic, files, self.patience,
            key=f"radcnn-{secrets.token_hex(8)}", pure=False, workers=sorted(allowed),
            allow_other_workers=False,
        )  # fmt: skip
        task.future.add_done_callback(lambda found: self._done.put((task, found)))
        return task

    def _answer(self, task: _Task, future: Future[Any]) -> Answer | None:
        """Return the answer of a task that ended; None where the case must go elsewhere."""
        status = future.status
        if status == "finished":
            try:
                text, made = future.result()
            except OSError as error:  # the worker that held it went away before it was fetched
                return self._lost(task, f"the connection to its worker was lost ({error})", "")
            try:
                answer = Answer.from_dict(json.loads(text))
                if answer.case != task.job.case:
                    raise ValueError(f"it is of the case '{str(answer.case)[:60]}'")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return self._lost(task, f"the answer of a worker cannot be used: {error}", "")
            if answer.is_full and self.send:  # its own disk, not the one that results come to
                return self._lost(task, f"the disk of {answer.where} is full", answer.where)
            if answer.is_short and len(task.lost) < MOST_TRIES - 1:  # another one may have the memory, or the device
                return self._lost(task, answer.reason, answer.where)
            if answer.state in ("done", "failed"):
                if self.send and made:
                    unpack_results(made, Path(task.job.staging))
                return replace(answer, tries=len(task.lost) + 1)
            if answer.state == "unwanted":
                return None
            return self._lost(task, answer.reason, answer.where)
        if status == "error":
            cause = future.exception()
            if type(cause).__name__ == "KilledWorker":
                return lost_answer(
                    task.job.case, [*task.lost, *["its workers ended unexpectedly"] * MOST_TRIES][:MOST_TRIES]
                )
            return self._lost(task, f"{type(cause).__name__}: {cause}", "")
        return None  # cancelled or lost: the scheduler forgot it

    def _lost(self, task: _Task, cause: str, where: str) -> Answer | None:
        task.lost.append(cause)
        address = self._watch.address_of(where)
        if address:
            task.avoided = task.avoided | {address}
        return lost_answer(task.job.case, task.lost) if len(task.lost) >= MOST_TRIES else None


class _Watch:
    """Which workers there are, which may work, and how many cases they are to be given."""

    def __init__(
        self, cluster: Cluster, client: Client, job: Job, steps: tuple[Resolved, ...], packs: dict[str, bytes]
    ) -> None:
        self._cluster, self._client, self._packs = cluster, client, packs
        self._asked = json.dumps(
            {
                "version": __version__,
                "steps": [{"model": step.model, "identity": step.identity} for step in steps if step.model],
                "trust": job.trust,
                "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in packs.items()},
                "paths": [] if cluster.send else _shared(job),
            }
        )
        self.allowed: frozenset[str] = frozenset()
        self.n_wanted = 0
        self._names: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        self._looked = -_LOOK
        self._seen = self._peopled = time.monotonic()
        self._was_peopled = False

    def look(self) -> None:
        """Look which workers there are, and ask new ones whether they can work.

        Raises
        ------
        ResourceError
            If the scheduler has gone away, or there is no worker for long.
        ModelError
            If no worker can run the model; once one could, others are waited for.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        if self._client.status != "running":
            self._cluster.tell_once(
                f"{self._cluster.address}: the scheduler does not answer; waiting up to {_AWAY:g} s for it."
            )
            if now - self._seen > _AWAY or self._client.status == "closed":
                raise ResourceError(
                    f"{self._cluster.address}: the scheduler no longer responds. Start it again, and run the same "
                    "command: finished cases are kept."
                )
            return
        self._seen = now
        try:
            threads = self._threads()
        except (OSError, TimeoutError):  # it is just going away; the next look tells
            return
        self._ask([address for address in threads if address not in self._problems])
        self.allowed = frozenset(address for address in threads if not self._problems.get(address, "?"))
        n_threads = sum(threads[address] for address in self.allowed)
        self.n_wanted = (n_threads + 1) if self._cluster.send else n_threads * _AHEAD
        if self.allowed:
            self._peopled, self._was_peopled = now, True
            self._cluster.goes_on()
        elif threads and not self._was_peopled and all(address in self._problems for address in threads):
            address, problem = next(iter((a, self._problems[a]) for a in threads))
            raise ModelError(f"{self._cluster.address}: no worker can be used: {self._names.get(address)} {problem}.")
        else:
            self._cluster.without_workers(now - self._peopled)

    def stranded(self, running: dict[str, _Task]) -> list[_Task]:
        """Return the tasks that none of the workers they may go to is there for any more."""
        if not self.allowed:
            return []
        return [task for task in running.values() if not (task.allowed & self.allowed)]

    def address_of(self, name: str) -> str:
        """Return the address of a worker; empty where it is not known."""
        return next((address for address, known in self._names.items() if name in (known, address)), "")

    def _threads(self) -> dict[str, int]:
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        self._names |= {address: str(info["name"]) for address, info in workers.items()}
        return {address: int(info["nthreads"]) for address, info in workers.items()}

    def _ask(self, new: list[str]) -> None:
        if not new:
            return
        found = self._client.run(remote.enter, self._asked, self._packs, workers=new, on_error="return")
        for address, text in found.items():
            if isinstance(text, str):
                self._problems[address] = json.loads(text)["problem"].rstrip(".")
            elif isinstance(text, ImportError | AttributeError):
                self._problems[address] = (
                    "has no napari-radcnn, or a different version: install the version of this computer"
                )
            else:
                continue  # it went away while it was asked
            if self._problems[address]:
                self._cluster.tell(
                    f"worker {self._names.get(address, address)} is not used: {self._problems[address]}."
                )


def _packed(job: Job) -> tuple[bytes, str]:
    """Return the files of a case as they travel, or why they cannot."""
    try:
        return pack_inputs(job), ""
    except RadcnnError as error:
        return b"", str(error)
    except OSError as error:
        return b"", f"{error.filename or job.case}: {error.strerror or error}."


def _shared(job: Job) -> list[str]:
    """Return what whoever works must see under the same path: the folder of the run, and the files of a case."""
    places = [Path(job.staging).parents[1] / RUN, *(Path(placed.path) for placed in job.inputs.values())]
    return [str(path) for path in places if is_there(path)]


def _nobody(text: str) -> None:
    """Tell nobody."""


def _hearer(progress: CaseProgress) -> Callable[[Any], None]:
    def hear(event: Any) -> None:
        _, what = event
        progress(what["case"], what["done"], what["total"], what["message"])

    return hear

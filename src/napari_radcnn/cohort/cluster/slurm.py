"""Workers as jobs of Slurm, by dask-jobqueue; the scheduler lives in the process that asks."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from shutil import which
from typing import Any

from napari_radcnn.cohort.cluster.certificates import default_folder, security_of
from napari_radcnn.cohort.cluster.needed import needed
from napari_radcnn.cohort.cluster.serving import PAGES
from napari_radcnn.cohort.cluster.workers import Cluster
from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.cohort.work.hands import PATIENCE
from napari_radcnn.cohort.work.workers import CaseProgress
from napari_radcnn.errors import OptionError, ReadError, ResourceError
from napari_radcnn.progress import CancelEvent

#: How often the queue is asked, s, and how often jobs that ended without a word are submitted again.
_ASK, _MOST_SUBMITTED = 10.0, 3
_POLL = 0.1


@dataclass(frozen=True)
class Profile:
    """What a job asks of Slurm; a small YAML file.

    Attributes
    ----------
    cores : int
        Of each job.
    memory : str
        Of each job: ``"16GB"``.
    jobs : int
        How many.
    cases : int
        Worked on at a time in each job.
    queue, account, walltime : str
        As of ``sbatch``; the cluster's default where empty.
    gpus : int
        Graphics cards of each job.
    directives, prologue : tuple of str
        Further words for ``#SBATCH``, and lines of the shell before the worker starts, such as ``module load``.
    python : str
        Which Python has this package on the nodes; by default the one that asks.
    interface : str
        The network that nodes and this computer share, such as ``ib0``.
    host : str
        The address of this computer there, in place of an interface.
    logs : str
        A folder for what the jobs say.
    """

    cores: int
    memory: str
    jobs: int = 1
    cases: int = 1
    queue: str = ""
    account: str = ""
    walltime: str = ""
    gpus: int = 0
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    python: str = ""
    interface: str = ""
    host: str = ""
    logs: str = ""


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Raises
    ------
    ReadError
        If the file cannot be read.
    OptionError
        If an entry is unknown, of another type, or missing.
    """
    import yaml

    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: not YAML: {' '.join(str(error).split())}.") from error
    known = {entry.name: entry for entry in fields(Profile)}
    if not isinstance(plain, dict) or not {"cores", "memory"} <= set(plain):
        raise OptionError(f"{path}: a Slurm profile needs at least 'cores' and 'memory', such as 4 and 16GB.")
    unknown = sorted(str(key) for key in plain if key not in known)
    if unknown:
        raise OptionError(f"{path}: unknown entry '{unknown[0]}'; there are: {', '.join(known)}.")
    return Profile(**{key: _checked(path, key, value) for key, value in plain.items()})


def _checked(path: Path, key: str, value: Any) -> Any:
    if key in ("cores", "jobs", "cases", "gpus"):
        if isinstance(value, bool) or not isinstance(value, int) or value < (key != "gpus"):
            raise OptionError(
                f"{path}: '{key}' must be a whole number of at least {int(key != 'gpus')}, got {value!r}."
            )
        return value
    if key in ("directives", "prologue"):
        if not isinstance(value, list) or not all(isinstance(line, str) and "\n" not in line for line in value):
            raise OptionError(f"{path}: '{key}' must be a list of lines, got {value!r}.")
        return tuple(value)
    text = str(value)
    if "\n" in text:
        raise OptionError(f"{path}: '{key}' must be one line, got {value!r}.")
    return text


class Slurm(Cluster):
    """Workers that Slurm starts for the length of a run.

    Parameters
    ----------
    profile : Profile
        What each job asks for.
    certificates, send, patience, tell
        As of `Cluster`.
    """

    def __init__(
        self,
        profile: Profile,
        certificates: Path | None = None,
        *,
        send: bool = False,
        patience: float = PATIENCE,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__("", certificates, send=send, patience=patience, tell=tell)
        self.profile = profile
        self._jobs_name = f"radcnn-{secrets.token_hex(3)}"
        self._cluster: Any = None
        self._asked = time.monotonic()
        self._submitted = 0

    def work(
        self, jobs: Iterator[Job], progress: CaseProgress, cancel: CancelEvent | None
    ) -> Iterator[tuple[Job, Answer]]:
        """As of `Cluster`; the jobs are cancelled at the end, however it comes."""
        needed("distributed", "dask_jobqueue")
        if which("sbatch") is None:
            raise ResourceError("There is no 'sbatch' on this computer: run this where jobs of Slurm are submitted.")
        self._cluster = self._start()
        try:
            self.address = self._cluster.scheduler_address
            yield from super().work(jobs, progress, cancel)
        finally:
            self._cluster.close()

    def _start(self) -> Any:
        from dask_jobqueue import SLURMCluster

        profile = self.profile
        directives = [*profile.directives, *([f"--gres=gpu:{profile.gpus}"] if profile.gpus else [])]
        where = {"host": profile.host} if profile.host else {}
        cluster = SLURMCluster(
            cores=profile.cores,
            memory=profile.memory,
            processes=1,
            queue=profile.queue or None,
            account=profile.account or None,
            walltime=profile.walltime or None,
            job_name=self._jobs_name,
            job_extra_directives=directives,
            job_script_prologue=list(profile.prologue),
            python=profile.python or None,
            interface=profile.interface or None,
            log_directory=profile.logs or None,
            worker_extra_args=["--nthreads", str(profile.cases), "--no-dashboard", "--dashboard-address", PAGES],
            scheduler_options={"dashboard": False, "dashboard_address": PAGES, "allowed_failures": 2, **where},
            security=self._security(),
        )
        self._submit_jobs(cluster)
        return cluster

    def _submit_jobs(self, cluster: Any) -> None:
        self._submitted += 1
        try:
            cluster.scale(jobs=self.profile.jobs)
        except (RuntimeError, ValueError) as error:
            raise ResourceError(f"Slurm did not accept the job: {' '.join(str(error).split())[:300]}") from error

    def _security(self) -> Any:
        from distributed.security import Security

        folder = self.certificates or default_folder()
        words: dict[str, Any] = {}
        for role in ("scheduler", "worker", "client"):
            config = security_of(folder, role).get_tls_config_for_role(role)
            words |= {"tls_ca_file": config["ca_file"], f"tls_{role}_cert": config["cert"]}
            words[f"tls_{role}_key"] = config["key"]
        return Security(require_encryption=True, **words)

    def without_workers(self, seconds: float) -> None:
        """Look into the queue: jobs may wait there for hours, or have ended without a word.

        Raises
        ------
        ResourceError
            If they ended again and again.
        """
        now = time.monotonic()
        if now - self._asked < _ASK or seconds < _ASK:
            return
        self._asked = now
        states = self._queue()
        if states is None:
            return
        if states:
            counted = ", ".join(f"{states.count(state)} {state.lower()}" for state in dict.fromkeys(states))
            self.tell(f"no worker yet: Slurm has {len(states)} jobs of this run ({counted}).")
            return
        if self._submitted >= _MOST_SUBMITTED:
            logs = f"; see {self.profile.logs}" if self.profile.logs else "; name a folder with 'logs' to see why"
            raise ResourceError(f"The jobs of Slurm ended {self._submitted} times before they worked on a case{logs}.")
        self.tell("the jobs of Slurm have ended; they are submitted again.")
        self._cluster.scale(0)
        until = time.monotonic() + _ASK  # dask takes what it has not closed yet for a job of the same name
        while self._cluster.workers and time.monotonic() < until:
            time.sleep(_POLL)
        self._submit_jobs(self._cluster)

    def _queue(self) -> list[str] | None:
        """Return the states of the jobs of this run; None where the queue does not answer."""
        try:
            done = subprocess.run(  # noqa: S603  Slurm's own
                ["squeue", "--noheader", "--name", self._jobs_name, "--format", "%T"],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.split()

"""Scheduler and workers started with the settings that a cohort needs, by dask.distributed's own commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_radcnn.cohort.cluster.certificates import default_folder, tls_flags
from napari_radcnn.cohort.cluster.connecting import is_this_computer, parsed
from napari_radcnn.cohort.cluster.needed import needed
from napari_radcnn.errors import OptionError

#: A worker's death is not the fault of the third case that it worked on: as many tries as `MOST_TRIES`.
SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "60s",
    # What is told of the progress of each run stays with the scheduler: the last hundred lines, not a thousand.
    "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "100",
    # Both serve pages about cases and workers by plain HTTP, even without the dashboard: none here,
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
}
#: and nobody on another computer can ask for one.
PAGES = "127.0.0.1:0"


def scheduler_command(host: str, port: int, certificates: Path | None) -> list[str]:
    """Return what starts a scheduler.

    Raises
    ------
    OptionError
        If it would speak plain TCP to other computers, or certificates are missing.
    """
    tls = _tls(certificates, host, "scheduler")
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port)]
    command += ["--no-dashboard", "--dashboard-address", PAGES]
    command += ["--protocol", "tls" if tls else "tcp", *(["--host", host] if host else [])]
    return [*command, *tls]


def worker_command(
    address: str, certificates: Path | None, *, jobs: int = 1, name: str = "", extra: Sequence[str] = ()
) -> list[str]:
    """Return what starts a worker.

    Raises
    ------
    OptionError
        If the scheduler is reached by plain TCP on another computer, or certificates are missing.
    """
    host, _, is_encrypted = parsed(address)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", str(jobs), "--nworkers", "1"]
    command += [
        "--no-dashboard",
        "--dashboard-address",
        PAGES,
        "--memory-limit",
        "0",
        *(["--name", name] if name else []),
        *extra,
    ]
    return [*command, *(_tls(certificates, host, "worker") if is_encrypted else [])]


def serve(command: Sequence[str]) -> int:
    """Become a scheduler or a worker; where a process cannot become another one, run it and return its status."""
    needed("distributed")
    environment = {**os.environ, **SETTINGS}
    if sys.platform != "win32":
        os.execve(command[0], list(command), environment)  # noqa: S606  so that a signal reaches it
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603


def _tls(certificates: Path | None, host: str, role: str) -> list[str]:
    if certificates is None and is_this_computer(host) and not default_folder().is_dir():
        return []
    if certificates is None and not default_folder().is_dir():
        raise OptionError(
            f"A {role} that other computers reach needs certificates: make some with `radcnn cohort certificates`, and "
            "name their folder with --certificates."
        )
    return tls_flags(certificates or default_folder(), role)

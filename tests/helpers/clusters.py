"""A scheduler and workers as processes of this computer, with certificates, for tests and experiments."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cohorts
from napari_radcnn.cli import main
from patience import PATIENCE


def free_port() -> int:
    """Return a port that nobody listens at just now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Processes:
    """A scheduler and its workers; each is a process group of its own, so that a kill takes all of it.

    Parameters
    ----------
    folder : path
        For certificates and what the processes say.
    models : path
        Where the workers find the model.
    before : mapping of str to sequence of str
        Words before the command of each, such as ``ip netns exec NAME``; by name, ``"scheduler"`` or the worker's.
    host : str
        Where the scheduler is reached.
    """

    def __init__(
        self, folder: Path, models: Path, *, before: Mapping[str, Sequence[str]] | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.folder, self.models, self.before, self.host = folder, models, before or {}, host
        self.certificates, self.port = folder / "certificates", free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        if not self.certificates.exists():
            assert main(["cohort", "certificates", str(self.certificates), "--host", host]) == 0

    @property
    def address(self) -> str:
        """Return where the scheduler is."""
        return f"tls://{self.host}:{self.port}"

    @property
    def words(self) -> list[str]:
        """Return what ``radcnn cohort run`` needs to reach it."""
        return ["--scheduler", self.address, "--certificates", str(self.certificates)]

    def scheduler(self) -> None:
        """Start the scheduler, and wait until it listens."""
        words = ["scheduler", "--host", self.host, "--port", str(self.port)]
        self._start("scheduler", words, {})
        self._until("scheduler", "Scheduler at")

    def worker(self, name: str, *words: str, **more: str) -> None:
        """Start a worker, and wait until it is registered."""
        self._start(name, ["worker", self.address, "--name", name, *words], more)
        self._until(name, "Registered to")

    def kill(self, name: str) -> None:
        """Kill one, with all its processes."""
        process = self.running.pop(name, None)
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        """Kill all."""
        for name in list(self.running):
            self.kill(name)

    def said(self, name: str) -> str:
        """Return what one has said."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def _start(self, name: str, words: Sequence[str], more: Mapping[str, str]) -> None:
        command = [*self.before.get(name, ()), sys.executable, "-m", "napari_radcnn.cli", "cohort", *words]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [*command, "--certificates", str(self.certificates)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=cohorts.environment(self.models, **more),
                start_new_session=True,
                cwd=self.folder,
            )

    def _until(self, name: str, sign: str) -> None:
        until = time.monotonic() + PATIENCE
        while sign not in self.said(name):
            assert self.running[name].poll() is None, self.said(name)
            assert time.monotonic() < until, self.said(name)
            time.sleep(0.1)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

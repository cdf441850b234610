"""Displays for tests that run in several processes: pointer, keyboard and clipboard are one to a display."""

from __future__ import annotations

import os
import shutil
import subprocess


class Display:
    """A display without a screen, until `close`.

    Attributes
    ----------
    name : str
        What ``DISPLAY`` is set to.
    """

    def __init__(self) -> None:
        reader, writer = os.pipe()
        with os.fdopen(reader, encoding="ascii") as number:
            self._server = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
                pass_fds=[writer],
                stderr=subprocess.DEVNULL,
            )
            os.close(writer)
            self.name = f":{number.readline().strip()}"  # written when it can be used
        if self.name == ":":
            raise RuntimeError(f"Xvfb did not start: status {self._server.wait()}")

    @staticmethod
    def can_be_made() -> bool:
        return shutil.which("Xvfb") is not None

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()

"""Looking at the screen in tests."""

import time

import numpy as np
from qtpy.QtWidgets import QApplication

from patience import PATIENCE

#: Between two moves of the mouse, ms: vispy leaves out moves that come within a hundredth of a second.
MOVE_MS = 12


def pump(times: int = 10) -> None:
    for _ in range(times):
        QApplication.processEvents()


def screenshot(viewer) -> np.ndarray:
    """Return the canvas as an (h, w) array of brightness."""
    pump()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float).mean(-1)


def wait_for_plan(dock) -> None:
    """Let the Models dock find out what the run it shows would cost."""
    dock.update_plan()
    end = time.monotonic() + PATIENCE
    while dock.is_planning:
        assert time.monotonic() < end, "there is no plan"
        QApplication.processEvents()
        time.sleep(0.001)

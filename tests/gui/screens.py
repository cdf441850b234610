"""Looking at the screen in tests."""

import numpy as np
from qtpy.QtWidgets import QApplication


def pump(times: int = 10) -> None:
    for _ in range(times):
        QApplication.processEvents()


def screenshot(viewer) -> np.ndarray:
    """Return the canvas as an (h, w) array of brightness."""
    pump()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float).mean(-1)

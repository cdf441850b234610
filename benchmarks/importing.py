"""What importing costs."""

from __future__ import annotations

import statistics
import subprocess
import sys

from benchmarks.common import table

_CODE = "import time; a = time.perf_counter(); import napari_radcnn; print(time.perf_counter() - a)"


def report() -> str:
    """Return the figures as Markdown."""
    seconds = [
        float(subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True).stdout)
        for _ in range(11)
    ]
    rows = [("median of 11 fresh processes", f"{statistics.median(seconds) * 1e3:.1f} ms")]
    return table(("import napari_radcnn", "measured"), rows)

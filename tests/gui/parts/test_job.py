"""Work beside the viewer when the program ends."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.gui

QUITS = """
import time
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QWidget
from napari_radcnn.gui.parts.job import Job
application = QApplication([])
widget = QWidget()

def work(_progress, cancel):
    while not cancel.is_set():
        time.sleep(0.01)
    print("cancelled")

jobs = [Job(widget, "work", work, is_silent=True) for _ in range(2)]
jobs[0].start()

def end():
    jobs[1].start()  # its thread begins a moment later
    application.quit()

QTimer.singleShot(500, end)
application.exec()
print("ended", sum(job.is_running for job in jobs))
"""


def test_the_program_ends_quietly_while_work_runs_and_while_it_is_about_to(tmp_path):
    script = tmp_path / "quits.py"
    script.write_text(QUITS, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["cancelled", "cancelled", "ended", "0"]

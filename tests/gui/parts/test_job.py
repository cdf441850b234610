"""Work beside the viewer when the program ends."""

import subprocess
import sys
import threading

import pytest
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.parts.job import SHORT_MS, Job
from napari_radcnn.gui.parts.widgets import WorkPanel
from patience import PATIENCE

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
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["cancelled", "cancelled", "ended", "0"]


def test_progress_that_comes_while_progress_is_shown_is_not_piled_up(make_napari_viewer, qtbot, monkeypatch):
    """napari's bar processes events while it is drawn, and finds the next progress among them."""
    viewer = make_napari_viewer()
    page = QWidget()
    viewer.window.add_dock_widget(page)
    may_end = threading.Event()
    job = Job(page, "work", lambda _progress, _cancel: may_end.wait(PATIENCE))
    depths, depth = [], 0

    def set_description(bar, text):
        nonlocal depth
        depth += 1
        depths.append((depth, text))
        if len(depths) < 50:
            job.progressed.emit(len(depths), 100, f"step {len(depths)}")
        depth -= 1

    job.start()
    qtbot.waitUntil(lambda: job._bar is not None)
    monkeypatch.setattr(type(job._bar), "set_description", set_description)
    job.progressed.emit(1, 100, "step")
    job.progressed.emit(2, 100, "next step")
    assert depths == [(1, "work: step"), (1, "work: next step")]
    monkeypatch.undo()
    may_end.set()
    with qtbot.waitSignal(job.ended, timeout=10_000):
        pass


def test_work_that_is_done_at_once_shows_no_moving_bar(make_napari_viewer, qtbot):
    """A bar that moves has the window drawn all the time, which takes processors from the work."""
    viewer = make_napari_viewer(show=True)
    panel = WorkPanel("Go")
    viewer.window.add_dock_widget(panel)
    may_end = threading.Event()
    panel.start("work", lambda _progress, _cancel: may_end.wait(PATIENCE), str, str)
    assert not panel.progress_bar.isVisible()
    qtbot.waitUntil(panel.progress_bar.isVisible)
    may_end.set()
    qtbot.waitUntil(lambda: panel.job is None)
    assert not panel.progress_bar.isVisible()
    panel.start("work", lambda _progress, _cancel: "done", str, str)
    qtbot.waitUntil(lambda: panel.job is None)
    qtbot.wait(SHORT_MS + 100)  # the bar of work that has ended does not come later
    assert not panel.progress_bar.isVisible()
    assert panel.message_label.text() == "done"

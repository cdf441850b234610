"""The Models page with "Where: Cluster", by real clicks: scheduler and workers with TLS, that answer, die, go away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

import clusters
import cohorts
import toy_package
from models_dock import docked
from napari_radcnn.cli import main
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data
from napari_radcnn.gui.parts.where import CLUSTER
from napari_radcnn.gui.reading.show import add_to_viewer

pytestmark = pytest.mark.gui
#: Processes are started, and the machine may be busy, ms.
_LONG = 240_000


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test fail that reaches for another computer."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            raise AssertionError(f"a test reached for the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[clusters.Processes]:
    models = cohorts.lay_out_model(tmp_path / "models")
    with toy_package.installed(models), clusters.Processes(tmp_path, models) as processes:
        processes.scheduler()
        processes.worker("one")
        yield processes


def _type(qtbot: Any, line: Any, text: str) -> None:
    line.setFocus()
    line.selectAll()
    qtbot.keyClicks(line, text)
    qtbot.keyClick(line, Qt.Key.Key_Return)


def _plan(qtbot: Any, dock: Any) -> None:
    dock.update_plan()
    qtbot.waitUntil(lambda: not dock.is_planning, timeout=_LONG)


def _set(qtbot: Any, dock: Any, option: str, value: float) -> None:
    dock.options_form.editors[option].setValue(value)
    _plan(qtbot, dock)


def _run(qtbot: Any, dock: Any) -> list[str]:
    """Press Run, and return the list that its lines of progress go to."""
    _plan(qtbot, dock)
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    lines: list[str] = []
    assert dock.job is not None, dock.panel.message_label.text()
    dock.job.progressed.connect(lambda _done, _total, message: lines.append(message))
    return lines


def _ended(qtbot: Any, dock: Any) -> str:
    """Wait for the end of a run, and return the line that is shown then."""
    qtbot.waitUntil(lambda: dock.job is None, timeout=_LONG)
    return str(dock.panel.message_label.text())


def _bright(layer: Any) -> int:
    return int((label_map_from_layer(layer).array == 1).sum())


def test_a_worker_elsewhere_runs_what_is_chosen_here(
    make_napari_viewer, qtbot, tmp_path: Path, cluster: clusters.Processes
) -> None:
    viewer, dock = docked(make_napari_viewer, cohorts.scan(5))
    dock.model_combo.setCurrentIndex(dock.model_combo.findData(cohorts.MODEL))
    _plan(qtbot, dock)
    assert "GiB memory" in dock.plan_label.text()
    dock.where.where_combo.setCurrentText(CLUSTER)
    _type(qtbot, dock.where.certificates_line, str(cluster.certificates))
    _type(qtbot, dock.where.address_line, cluster.address)
    # what is said of the cost is said of the worker, and nothing of this computer's memory or time
    _plan(qtbot, dock)
    told = f"Run by a worker of {cluster.address}: its time and memory are not known before the run."
    assert dock.plan_label.text() == told
    assert "memory" not in dock.warning_label.text()

    lines = _run(qtbot, dock)
    assert _ended(qtbot, dock) == "Done: layer 'scan 5 · toy-waiting'"
    assert lines[0] == f"waiting for a worker of {cluster.address}"
    found = label_map_from_layer(viewer.layers[1])
    assert int((found.array == 1).sum()) == 15
    assert (found.provenance["input"]["name"], found.provenance["model"]["name"]) == ("scan 5", cohorts.MODEL)
    assert np.array_equal(found.geometry.affine, cohorts.scan(5).geometry.affine)

    # Cancel: what runs elsewhere ends
    _set(qtbot, dock, "seconds", 600)
    lines = _run(qtbot, dock)
    qtbot.waitUntil(lambda: "waiting" in lines, timeout=_LONG)
    qtbot.mouseClick(dock.panel.cancel_button, Qt.MouseButton.LeftButton)
    assert _ended(qtbot, dock) == "Cancelled; no layer was added."
    assert len(viewer.layers) == 2

    # a worker that dies: another one, which is waited for, does it
    _set(qtbot, dock, "seconds", 5)
    lines = _run(qtbot, dock)
    qtbot.waitUntil(lambda: "waiting" in lines, timeout=_LONG)
    cluster.kill("one")
    nobody = f"{cluster.address}: there is no worker; waiting up to 120 s for one."
    qtbot.waitUntil(lambda: nobody in lines, timeout=_LONG)
    cluster.worker("two")
    assert _ended(qtbot, dock).startswith("Done: layer 'scan 5 · toy-waiting")
    assert _bright(viewer.layers[2]) == 15

    # a scan that kills whoever works on it: three times, then it is told
    _set(qtbot, dock, "seconds", 0)
    deadly = add_to_viewer(viewer, layer_data(cohorts.scan(1, 9001).with_metadata(name="deadly")))
    dock.layer_combo.choose(deadly)
    _run(qtbot, dock)
    said = (
        "The process that computed it ended unexpectedly 3 times: it was killed by SIGKILL, perhaps because memory "
        "ran out."
    )
    assert _ended(qtbot, dock) == said

    # no certificate of this authority, no scheduler, no certificates at all: a line that says which
    others = tmp_path / "others"
    assert main(["cohort", "certificates", str(others)]) == 0
    _type(qtbot, dock.where.certificates_line, str(others))
    _run(qtbot, dock)
    assert "certificate was not signed by our authority" in _ended(qtbot, dock)
    cluster.close()
    _type(qtbot, dock.where.certificates_line, str(cluster.certificates))
    _run(qtbot, dock)
    assert _ended(qtbot, dock) == f"{cluster.address}: Connection refused; is the scheduler running?"
    _type(qtbot, dock.where.certificates_line, str(tmp_path / "none"))
    _run(qtbot, dock)
    assert "none/ca.pem: no such certificate; make some with `radcnn cohort certificates`" in _ended(qtbot, dock)
    assert len(viewer.layers) == 4

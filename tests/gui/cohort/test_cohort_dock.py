"""The Cohort page by real clicks: cases are listed, run, stopped, gone on with, and opened with their results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea

import cohorts
from napari_radcnn.cohort import Case
from napari_radcnn.errors import OptionError
from napari_radcnn.gui.cohort.dock import CohortDock
from napari_radcnn.gui.cohort.rows import CaseRows, CaseTable
from napari_radcnn.gui.layers.layers import label_map_from_layer
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.parts.where import CLUSTER, WhereBox

pytestmark = pytest.mark.gui
#: Processes are started, and the machine may be busy, ms.
_LONG = 240_000


def _click(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def _states(dock):
    return [dock.rows.data(dock.rows.index(row, 1)) for row in range(dock.rows.rowCount())]


def test_a_cohort_is_listed_run_stopped_gone_on_with_and_opened(
    make_napari_viewer, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = cohorts.lay_out_model(tmp_path / "models")
    monkeypatch.setenv("PYTHONPATH", cohorts.environment(place)["PYTHONPATH"])
    monkeypatch.syspath_prepend(str(place))
    cases = cohorts.write_cohort(tmp_path / "in", 4)
    (tmp_path / "in" / "scan002.nii.gz").write_bytes(b"")
    chain = tmp_path / "slow.yaml"
    chain.write_text(f"steps: [{{segment: {cohorts.MODEL}, options: {{seconds: 600}}}}]\n")
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Cohort")
    assert isinstance(dock, CohortDock)
    assert not dock.panel.start_button.isEnabled()
    viewer.window.resize(1366, 560)  # as on a small screen, the page scrolls

    qtbot.keyClicks(dock.cases_line, str(cases))
    qtbot.keyClick(dock.cases_line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dock.panel.job is None and dock.cases is not None, timeout=_LONG)
    assert _states(dock) == ["waiting"] * 4
    assert dock.panel.message_label.text() == "4 cases."
    assert dock.out == tmp_path / "in" / "cases-results"

    # a run that would take long is stopped
    dock.choose_chain(chain)
    _click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(lambda: "working" in _states(dock), timeout=_LONG)
    _click(qtbot, dock.panel.cancel_button)
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=_LONG)
    assert dock.panel.message_label.text() == "Stopped; Run resumes."

    dock.model_combo.setCurrentIndex(dock.model_combo.findData(cohorts.MODEL))
    _click(qtbot, dock.panel.start_button)
    bar = dock.findChild(QScrollArea).verticalScrollBar()
    bar.setValue(bar.minimum())  # the run that was stopped may have scrolled
    assert dock.open_button.visibleRegion().isEmpty()
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=_LONG)
    qtbot.waitUntil(lambda: not dock.open_button.visibleRegion().isEmpty(), timeout=_LONG)
    assert "3 cases done, 1 failed" in dock.panel.message_label.text()
    assert "option seconds of 'toy-waiting': 600.0 -> 0.0" in dock.note_label.text()
    assert _states(dock) == ["done", "done", "failed", "done"]
    shown = {
        dock.rows.headerData(column, Qt.Orientation.Horizontal): column for column in range(dock.rows.columnCount())
    }
    number = dock.rows.data(dock.rows.index(3, shown["bright_ml"]))
    assert float(number) == pytest.approx(cohorts.expected_ml(3), rel=1e-3)
    assert "scan002.nii.gz" in dock.rows.data(dock.rows.index(2, shown["Note"]))

    # a case is opened with its result, in one place
    dock.table.selectRow(3)
    _click(qtbot, dock.open_button)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=_LONG)
    scan, labels = viewer.layers
    assert scan.name.startswith("scan003")
    assert labels.name.startswith("toy-waiting")
    assert int((label_map_from_layer(labels).array == 1).sum()) == 13
    assert labels.data.shape == scan.data.shape
    # and the page comes back for the next one, by Return in the list
    qtbot.waitUntil(lambda: panel_of(viewer).name == "Cohort", timeout=_LONG)
    qtbot.keyClick(dock.table, Qt.Key.Key_Up)
    qtbot.keyClick(dock.table, Qt.Key.Key_Up)
    qtbot.keyClick(dock.table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=_LONG)
    assert viewer.layers[2].name.startswith("scan001")
    qtbot.waitUntil(lambda: panel_of(viewer).name == "Cohort", timeout=_LONG)

    # what is no address is said before anything is begun
    dock.where.where_combo.setCurrentText(CLUSTER)
    dock.where.address_line.setText("tcp://10.0.0.5:8786")
    dock.run()
    assert dock.panel.job is None
    assert "plain TCP" in dock.panel.message_label.text()

    # the page of models asks for the same, and does not run before it is known
    _, page = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    qtbot.waitUntil(lambda: page.panel.start_button.isEnabled(), timeout=_LONG)
    page.where.where_combo.setCurrentText(CLUSTER)
    asked = "Enter the address of the scheduler, such as tls://cluster:8786."
    qtbot.waitUntil(lambda: page.plan_label.text() == asked, timeout=10_000)
    assert not page.panel.start_button.isEnabled()
    qtbot.keyClicks(page.where.address_line, "tls://cluster:8786")
    qtbot.keyClick(page.where.address_line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.panel.start_button.isEnabled(), timeout=_LONG)
    assert page._chosen().where[0] == "tls://cluster:8786"


def test_options_and_columns_are_those_of_the_chosen_model(make_napari_viewer, qtbot, tmp_path: Path) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 2)
    cases.write_text("case,before,after\na,scan000.nii.gz,scan001.nii.gz\n")
    dock = CohortDock(make_napari_viewer(show=False))
    qtbot.addWidget(dock)
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("nlm-denoise"))
    assert dock.columns.isHidden()
    dock.choose_cases(cases)
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=_LONG)
    # two columns name files: none is taken before one is chosen
    assert list(dock.columns.combos) == ["image"]
    assert dock.columns.mapping() == {}
    dock.run()
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=_LONG)
    assert "no column 'image'" in dock.panel.message_label.text()
    qtbot.keyClicks(dock.columns.combos["image"], "after")
    assert dock.columns.mapping() == {"image": "after"}
    dock.choices.form.editors["strength"].setValue(0.3)
    dock.run()
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=_LONG)
    assert "1 cases done, 0 failed" in dock.panel.message_label.text()
    made_by = json.loads((tmp_path / "in" / "cases-results" / "a" / "nlm-denoise.nii.gz.radcnn.json").read_text())
    assert made_by["options"]["strength"] == 0.3
    assert Path(made_by["input"]["path"]).name == "scan001.nii.gz"
    # operations have inputs of their own, and no options here; so has a chain
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("evaluate"))
    assert list(dock.columns.combos) == ["reference", "prediction"]
    assert dock.choices.isHidden()
    chain = tmp_path / "chain.yaml"
    chain.write_text("steps: [{denoise: nlm-denoise, inputs: {image: before}}, {evaluate: , inputs: {prediction: x}}]")
    dock.choose_chain(chain)
    assert {name: combo.currentText() for name, combo in dock.columns.combos.items()} == {
        "before": "before", "reference": "choose a column", "x": "choose a column",
    }  # fmt: skip
    chain.write_text("steps: [{denoise: none}]")
    dock.choose_chain(chain)
    assert dock.columns.combos == {}


def test_states_and_numbers_of_cases(qtbot) -> None:
    rows = CaseRows(None)
    rows.set_cases([Case("a", {}), Case("b", {}, doubt="two scans fit"), Case("c", {}), Case("d", {})])
    results = {
        "a": {"case": "a", "state": "done", "age": "60", "liver_ml": "1234.5678", "warnings": "w", "seconds": "1"},
        "c": {"case": "c", "state": "failed", "reason": "no such file", "age": "61", "liver_ml": ""},
    }
    rows.set_results(results, ["age"])
    rows.set_working("d: patch 1 (1/2)")
    rows.set_working("nobody: patch 1")
    table = [[rows.data(rows.index(row, column)) for column in range(rows.columnCount())] for row in range(4)]
    assert table == [
        ["a", "done", "1235", "w"],
        ["b", "in doubt", "", "two scans fit"],
        ["c", "failed", "", "no such file"],
        ["d", "working", "", ""],
    ]
    assert (rows.count("done"), rows.count("failed")) == (1, 1)
    # of many numbers the most wanted come first, without the name of their step
    chain = dict.fromkeys(("case", "state", "x: a mean", "x: b area", "x: c area", "x: d area", "y: e_ml"), "1")
    rows.set_results({"a": chain | {f"z: f{n}": "1" for n in range(9)}}, [])
    shown = [rows.headerData(column, Qt.Orientation.Horizontal) for column in range(rows.columnCount())]
    assert shown == ["Case", "State", "e_ml", "a mean", "b area", "c area", "d area", "f0", "Note"]
    # in a narrow panel the first of them are seen, and all in the tool tip of the case
    table = CaseTable()
    qtbot.addWidget(table)
    table.setModel(rows)
    table.resize(280, 200)
    table.show()
    assert [column for column in range(9) if not table.isColumnHidden(column)] in ([0, 1, 2, 8], [0, 1, 2, 3, 8])
    assert table.columnWidth(8) >= 50
    assert table.horizontalHeader().length() <= table.viewport().width()
    assert "z: f0: 1" in rows.data(rows.index(0, 0), Qt.ItemDataRole.ToolTipRole)
    table.resize(900, 200)
    assert not any(table.isColumnHidden(column) for column in range(9))


def test_where_is_this_computer_until_a_cluster_is_named(qtbot) -> None:
    box = WhereBox()
    qtbot.addWidget(box)
    assert box.cluster() is None
    box.where_combo.setCurrentText(CLUSTER)
    with pytest.raises(OptionError, match="Enter the address"):
        box.cluster()
    box.address_line.setText("tls://cluster:8786")
    box.certificates_line.setText("/certificates")
    assert box.cluster() == ("tls://cluster:8786", Path("/certificates"))

"""The Cohort page: a list of cases, a run over it beside the viewer, and a case opened with its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QModelIndex, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.cohort import Case, CaseList, Summary, find_cases, read_list, run
from napari_radcnn.cohort.chain.kinds import OPERATIONS
from napari_radcnn.cohort.reading import is_there, locate
from napari_radcnn.cohort.results.layout import TABLE
from napari_radcnn.cohort.results.record import read_record, record_path
from napari_radcnn.cohort.results.table import read_table
from napari_radcnn.cohort.tables import SUFFIXES
from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.cohort.choices import InputColumns, ModelChoices, wanted_of
from napari_radcnn.gui.cohort.rows import CaseRows, CaseTable
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.parts.where import WhereBox
from napari_radcnn.gui.parts.widgets import WorkPanel, fill_scrolled, narrow_combo, reveal, wrapped_label
from napari_radcnn.gui.scans.opening import scans_page
from napari_radcnn.models import models
from napari_radcnn.progress import Progress
from napari_radcnn.tasks import TASKS

_REFRESH_MS = 1000
#: Until a note below the buttons has its size.
_SETTLED_MS = 100
#: Pages of the panel: this one, and the one that opens scans.
_NAME, _OPENS = "Cohort", "Scans"
#: Of a button with dots and the arrow of a menu, pixels.
_MENU_WIDTH = 44
#: Of the time, what reading a long table again may take.
_SHARE = 0.1


class CohortDock(QWidget):
    """Lists cases with state and key numbers, runs a model on all, and opens one with its result.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.cases: CaseList | None = None
        self._table_read = 0.0
        self._rest = 0.0
        self._build()
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._connect()
        self._show_choices()
        self._update_ready()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.cases_line, self.cases_button = QLineEdit(), QToolButton()
        self.cases_button.setText("…")
        self.cases_button.setMinimumWidth(_MENU_WIDTH)
        self.cases_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        choices = QMenu(self.cases_button)
        choices.addAction("A list …", self._choose_list)
        choices.addAction("A folder of scans …", self._choose_folder)
        self.cases_button.setMenu(choices)
        self.cases_line.setPlaceholderText("cases.csv, or a folder of scans")
        self.cases_line.setToolTip("A list (.csv, .tsv, .xlsx, .json) with the columns case and image, or a folder")
        form.addRow("Cases", _in_a_line(self.cases_line, self.cases_button))
        self.model_combo = narrow_combo()
        self.model_combo.setMinimumContentsLength(10)
        self.model_combo.setToolTip("What is done with every case; a chain is a small YAML file")
        form.addRow("Model", self.model_combo)
        self.columns, self.choices = InputColumns(), ModelChoices()
        form.addRow(self.columns)
        form.addRow(self.choices)
        self.out_line, self.out_button = QLineEdit(), QPushButton("…")
        self.out_line.setPlaceholderText("a new folder, or the folder of a run to resume")
        self.out_button.setMaximumWidth(30)
        form.addRow("Results", _in_a_line(self.out_line, self.out_button))
        self.jobs_box = QSpinBox()
        self.jobs_box.setRange(1, 64)
        self.jobs_box.setToolTip("Number of cases computed at the same time; fewer if free memory does not suffice")
        form.addRow("At a time", self.jobs_box)
        layout.addLayout(form)
        self.where = WhereBox()
        layout.addWidget(self.where)
        self.panel = WorkPanel("Run")
        layout.addWidget(self.panel)
        self.note_label = wrapped_label()
        self.note_label.hide()
        layout.addWidget(self.note_label)
        self.rows = CaseRows(self)
        self.table = CaseTable()
        self.table.setModel(self.rows)
        self.table.setMinimumHeight(220)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        layout.addWidget(self.table, 1)
        self.open_button = QPushButton("Open the case with its result")
        layout.addWidget(self.open_button)
        fill_scrolled(self, inside)
        self._fill_models()

    def _connect(self) -> None:
        self.cases_line.editingFinished.connect(self._on_cases_typed)
        self.model_combo.activated.connect(self._on_model)
        self.model_combo.currentIndexChanged.connect(self._show_choices)
        self.out_button.clicked.connect(self._choose_out)
        self.out_line.editingFinished.connect(self._on_out)
        self.where.changed.connect(self._update_ready)
        self.panel.start_button.clicked.connect(self.run)
        self.panel.ended.connect(self._on_ended)
        self.table.selectionModel().currentRowChanged.connect(self._on_row)
        self.table.doubleClicked.connect(self._on_double_click)
        self.open_button.clicked.connect(self.open_case)
        self.table.entered_case.connect(self.open_case)

    def _fill_models(self) -> None:
        self._specs = {spec.name: spec for spec in models() if TASKS[spec.task].build and spec.is_available}
        for spec in self._specs.values():
            self.model_combo.addItem(f"{spec.title} ({spec.name})", spec.name)
        for name in OPERATIONS:
            self.model_combo.addItem(name, name)
        self.model_combo.addItem("A chain …", "")

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def out(self) -> Path | None:
        """The folder for the results."""
        text = self.out_line.text().strip()
        return Path(text).expanduser() if text else None

    def choose_cases(self, path: Path) -> None:
        """List the cases of a file or a folder, beside the viewer."""
        if self.panel.job is not None:
            return
        self.cases_line.setText(str(path))

        def work(progress: Progress, cancel: Event) -> CaseList:
            return find_cases(path, progress=progress, cancel=cancel) if path.is_dir() else read_list(path)

        self.panel.start("Listing the cases", work, self._show_cases, lambda: "Cancelled.")

    def _show_cases(self, cases: CaseList) -> str:
        self.cases = cases
        self.rows.set_cases(cases.cases)
        self._show_columns()
        if self.out is None and cases.source is not None:
            self.out_line.setText(str(cases.source.parent / f"{cases.source.stem}-results"))
        self._table_read = 0.0
        self.refresh()
        doubtful = len(cases.doubtful)
        return f"{len(cases)} cases" + (f", {doubtful} in doubt: see their notes." if doubtful else ".")

    def _on_cases_typed(self) -> None:
        text = self.cases_line.text().strip()
        if text and (self.cases is None or Path(text) not in (self.cases.source, self.cases.folder)):
            self.choose_cases(Path(text).expanduser())

    def _choose_list(self) -> None:
        wanted = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        path, _ = QFileDialog.getOpenFileName(self, "List of cases", self.cases_line.text(), f"Lists ({wanted})")
        if path:
            self.choose_cases(Path(path))

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of cases", self.cases_line.text())
        if path:
            self.choose_cases(Path(path))

    def _on_model(self) -> None:
        if self.model_combo.currentData() == "":
            path, _ = QFileDialog.getOpenFileName(self, "Chain", "", "Chains (*.yaml *.yml)")
            self.choose_chain(Path(path) if path else None)

    def _show_choices(self, *_: Any) -> None:
        """Show the options of what is done, and which columns it takes."""
        self.choices.show_for(self._specs.get(self._what))
        self._show_columns()

    def _show_columns(self) -> None:
        what = self._what
        self.columns.show_for(wanted_of(what, self._specs.get(what)) if what else (), self.cases)

    @property
    def _what(self) -> str:
        """The name of a model or an operation, or the path of a chain."""
        return str(self.model_combo.currentData() or "")

    def choose_chain(self, path: Path | None) -> None:
        """Offer a chain among the models, and choose it; without one the first model."""
        if path is not None:
            self.model_combo.insertItem(0, path.name, str(path))
        self.model_combo.setCurrentIndex(0)

    def _choose_out(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder for the results", self.out_line.text())
        if path:
            self.out_line.setText(path)
            self._on_out()

    def _on_out(self) -> None:
        self._table_read = 0.0
        self.refresh()

    def _update_ready(self) -> None:
        self.jobs_box.setEnabled(not self.where.is_cluster)
        self.panel.set_ready(self.cases is not None and self.out is not None)
        self._on_row()

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the chosen model on every case, beside the viewer; what is done already stays."""
        cases, out = self.cases, self.out
        if cases is None or out is None or self.panel.job is not None:
            return
        try:
            cluster = self.where.cluster()
            options = self.choices.options()
        except RadcnnError as error:
            self.panel.fail(str(error))
            return
        notes: list[str] = []
        how = {"options": options, "inputs": self.columns.mapping(), "anyway": self.choices.anyway}
        work = partial(_work, self._what, cases, out, {**how, "jobs": self.jobs_box.value()}, cluster, notes)
        self.note_label.hide()
        self.panel.start("Cohort", work, partial(self._told, notes), lambda: "Stopped; Run resumes.")
        if self.panel.job is not None:
            self.panel.job.progressed.connect(self._on_progress)
            self._timer.start()

    def _told(self, notes: list[str], summary: Summary) -> str:
        self.note_label.setText("\n".join(notes))
        self.note_label.setVisible(bool(notes))
        QTimer.singleShot(_SETTLED_MS, self._reveal)
        kept = f" ({summary.n_kept} before)" if summary.n_kept else ""
        return f"{summary.n_done} cases done{kept}, {summary.n_failed} failed, in {summary.seconds:.0f} s."

    def _reveal(self) -> None:
        """Scroll a page that is lower than all of it to the cases, which are what is looked at now."""
        if isalive(self):
            reveal(self.open_button)

    def _on_progress(self, _done: int, _total: int, message: str) -> None:
        self.rows.set_working(message)

    def _on_ended(self) -> None:
        self._timer.stop()
        self.rows.end_work()
        self._rest = 0.0
        self.refresh()
        self._update_ready()

    def refresh(self) -> None:
        """Show what stands in the table of results by now."""
        table = None if self.out is None else self.out / TABLE
        if self.cases is None or table is None or time.monotonic() < self._rest:
            return
        try:
            written = table.stat().st_mtime
            if written == self._table_read:
                return
            began = time.monotonic()
            results = {row["case"]: row for row in read_table(table)}
        except (OSError, KeyError):
            results, written, began = {}, 0.0, time.monotonic()
        self._table_read = written
        self.rows.set_results(results, self.cases.columns)
        # A table of very many rows is read less often, so that the viewer stays quick.
        self._rest = time.monotonic() + (time.monotonic() - began) / _SHARE
        self._update_ready()

    # -- one case --------------------------------------------------------------------------------------------------

    def _case(self) -> Case | None:
        row = self.table.currentIndex().row()
        return self.rows.cases[row] if 0 <= row < len(self.rows.cases) else None

    def _on_row(self, *_: Any) -> None:
        self.open_button.setEnabled(self._case() is not None)

    def _on_double_click(self, _index: QModelIndex) -> None:
        self.open_case()

    def open_case(self) -> None:
        """Open the scans of the chosen case with their results by the Scans page, and come back for the next."""
        case = self._case()
        if case is None or self.cases is None:
            return
        paths = paths_of(case, self.cases, self.out)
        if not paths:
            self.panel.fail(f"{case.name}: none of its files exists.")
            return
        page = scans_page(self._viewer)
        page.open_paths(paths)

        def come_back() -> None:
            page.panel.ended.disconnect(come_back)
            panel = panel_of(self._viewer)
            if panel.name == _OPENS:  # the user has not turned elsewhere meanwhile
                panel.open(_NAME)
                self.table.setFocus()

        page.panel.ended.connect(come_back)


def paths_of(case: Case, cases: CaseList, out: Path | None) -> list[Path]:
    """Return the files of a case that the viewer opens: its scans first, then the images among its results."""
    named = [locate(text, cases.folder)[0] for text in case.values.values()]
    found = [path for path in named if is_there(path)]
    record = None if out is None else read_record(record_path(out, case.name))
    if record is not None and out is not None:
        files = (out / record.folder / name for done in record.steps for name in done.files)
        found += [path for path in files if path.exists() and is_shown(path)]
    return list(dict.fromkeys(found))


def is_shown(path: Path) -> bool:
    """Return whether a result is shown as a layer: images, labels and findings, and no table."""
    from napari_radcnn.io import Kind, kind_of

    return kind_of(path) in (Kind.IMAGES, Kind.FINDINGS)


def _work(
    model: str,
    cases: CaseList,
    out: Path,
    how: Mapping[str, Any],
    cluster: tuple[str, Path | None] | None,
    notes: list[str],
    progress: Progress,
    cancel: Event,
) -> Summary:
    """Run a cohort; on a thread. What is told meanwhile is seen at once, and kept for the end."""
    workers, last = None, (0, len(cases))

    def tracked(done: int, total: int, message: str) -> None:
        nonlocal last
        last = (done, total)
        progress(done, total, message)

    def tell(text: str) -> None:
        notes.append(text)
        progress(*last, text)

    if cluster is not None:
        from napari_radcnn.cohort.cluster.workers import Cluster

        workers = Cluster(*cluster, send=True, tell=tell)
    return run(model, cases, out, workers=workers, progress=tracked, cancel=cancel, tell=tell, **how)


def _in_a_line(*widgets: QWidget) -> QHBoxLayout:
    line = QHBoxLayout()
    for widget in widgets:
        line.addWidget(widget)
    return line

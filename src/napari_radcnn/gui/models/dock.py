"""The Models dock: choose scans and a model, see what the run will cost, run, cancel, read the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.export.saving import safe_stem
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.gui.layers.show import add_to_viewer
from napari_radcnn.gui.layers.view import watch
from napari_radcnn.gui.models.chooser import ModelChooser
from napari_radcnn.gui.models.dialogs import ask_to_run_anyway
from napari_radcnn.gui.models.inputs import InputForm
from napari_radcnn.gui.models.pages import Page, Shown, page_class
from napari_radcnn.gui.models.planner import Planner
from napari_radcnn.gui.models.replayed import ask_for_manifest, replay_and_show, replay_button
from napari_radcnn.gui.models.result_table import ResultTable
from napari_radcnn.gui.models.run import ModelRun, can_be_input
from napari_radcnn.gui.models.streamed import Preview, label_bytes, must_stream
from napari_radcnn.gui.models.text import about, suitability_line
from napari_radcnn.gui.parts.form import OptionsForm
from napari_radcnn.gui.parts.job import Job
from napari_radcnn.gui.parts.widgets import LayerCombo, WorkPanel, fill_scrolled, wrapped_label
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import ModelSpec
from napari_radcnn.suitability import Suitability
from napari_radcnn.tasks import TASKS

#: How often labels that are being written are drawn anew, ms.
_REDRAWN_MS = 1000


class ModelsDock(QWidget):
    """Runs a model on layers of the viewer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._preview: tuple[Preview, Any] | None = None
        self._suitability = Suitability()
        self._planner = Planner(self, self.update_plan)
        self._redraw = QTimer(self)
        self._redraw.setInterval(_REDRAWN_MS)
        self._build()
        self._connect()
        self.setAcceptDrops(True)
        watch(napari_viewer)
        self._on_model()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        self.panel = WorkPanel("Run")
        self.chooser = ModelChooser(self.panel)
        layout.addWidget(self.chooser)
        self.about = wrapped_label()
        layout.addWidget(self.about)
        self.install_label = wrapped_label(color=WARNING_COLOR)
        layout.addWidget(self.install_label)
        self.inputs = InputForm(self._viewer, lambda layer: can_be_input(self.spec, layer))
        layout.addWidget(self.inputs)
        self._options_place = QVBoxLayout()
        layout.addLayout(self._options_place)
        self.options_form: OptionsForm | None = None
        self.settings_form = OptionsForm(RunSettings)
        layout.addWidget(self.settings_form)
        self.plan_label = wrapped_label()
        layout.addWidget(self.plan_label)
        self.suitability_label = wrapped_label(color=WARNING_COLOR)
        self.suitability_label.hide()
        layout.addWidget(self.suitability_label)
        self.warning_label = wrapped_label(color=WARNING_COLOR)
        layout.addWidget(self.warning_label)
        layout.addWidget(self.panel)
        self.results = ResultTable()
        layout.addWidget(self.results)
        self.replay_button = replay_button()
        layout.addWidget(self.replay_button)
        self._pages = {page: page(self._viewer) for page in self._page_classes()}
        for page in self._pages.values():
            if page.widget is not None:
                layout.addWidget(page.widget)
        layout.addStretch()
        for label in (self.about, self.install_label, self.plan_label, self.warning_label, self.panel.message_label):
            label.setTextFormat(Qt.TextFormat.PlainText)  # names in it are anybody's
        fill_scrolled(self, inside)

    def _connect(self) -> None:
        self.inputs.changed.connect(self._on_change)
        self.chooser.changed.connect(self._on_model)
        self.settings_form.changed.connect(self._on_change)
        self.panel.start_button.clicked.connect(self.run)
        self.panel.ended.connect(self._on_ended)
        self.replay_button.clicked.connect(self.replay)
        self._planner.answered.connect(self._show_plan)
        self._planner.failed.connect(self.plan_label.setText)
        self._planner.is_slow.connect(self._on_slow)
        self._redraw.timeout.connect(self._on_redraw)

    @staticmethod
    def _page_classes() -> list[type[Page]]:
        """Return the page of every task that a model does, each once."""
        return list(dict.fromkeys(page_class(name) for name, task in TASKS.items() if task.build))

    def page(self, task: str) -> Page:
        """Return the page that shows results of a task."""
        return self._pages[page_class(task)]

    @property
    def layer_combo(self) -> LayerCombo:
        """The list of scans for the first input."""
        return self.inputs.combos[0]

    @property
    def model_combo(self) -> QComboBox:
        """The list of models."""
        return self.chooser.combo

    @property
    def card_button(self) -> QPushButton:
        """Shows what is known of the chosen model."""
        return self.chooser.card_button

    @property
    def job(self) -> Job | None:
        """The run, or the opening of a model, that is under way."""
        return self.panel.job

    # -- a foreign model -------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802  Qt's name
        """Take a model's folder or file, while nothing else is under way."""
        if self.job is None and any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802  Qt's name
        """Open what was dropped as a model."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.chooser.open_path(Path(paths[0]))

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def spec(self) -> ModelSpec | None:
        """The chosen model."""
        return self.chooser.spec

    @property
    def layer(self) -> Any | None:
        """The layer chosen for the first input, if it is still in the viewer."""
        return self.layer_combo.layer

    @property
    def is_planning(self) -> bool:
        """Whether the cost line is about to change."""
        return self._planner.is_busy

    def _on_model(self) -> None:
        """Show what the chosen model is, its inputs and its own settings."""
        spec = self.spec
        if self.options_form is not None:
            self._options_place.removeWidget(self.options_form)
            self.options_form.hide()  # it is deleted later, and would lie over the next one until then
            self.options_form.deleteLater()
            self.options_form = None
        if spec is None:
            return
        self.results.show_rows([])
        self._clear_pages()
        self.about.setText(about(spec))
        self.install_label.setText(spec.how_to_install)
        self.install_label.setVisible(not spec.is_available)
        self.inputs.set_slots(spec.inputs)
        self.options_form = OptionsForm(spec.options)
        self.options_form.changed.connect(self._on_change)
        self._options_place.addWidget(self.options_form)
        self._on_change()

    def _on_change(self, *_: Any) -> None:
        self.panel.set_ready(False)
        self._show_suitability(Suitability())
        self._planner.settle()

    def _chosen(self) -> ModelRun | str:
        """Return what would be run, or why nothing can be."""
        spec, problem = self.spec, self.inputs.problem
        if spec is None or problem:
            return problem
        if not spec.is_available:
            return ""
        options = None if self.options_form is None else self.options_form.value()
        return ModelRun(spec, tuple(self.inputs.layers), options, self.settings_form.value())

    def update_plan(self) -> None:
        """Find out beside the viewer what the run will cost and what speaks against it; without torch."""
        self._planner.drop()
        self.warning_label.hide()
        self.panel.set_ready(False)
        try:
            chosen = self._chosen()
        except RadcnnError as error:
            chosen = str(error)
        if isinstance(chosen, str):
            self.plan_label.setText(chosen)
        else:
            self._planner.start(chosen.plan)

    def _on_slow(self) -> None:
        self.plan_label.setText("Checking the scan …")

    def _show_plan(self, cost: Plan) -> None:
        spec, told = self.spec, cost.summary()
        if spec is not None and must_stream(spec, self.layer):
            size = label_bytes(spec, volume_from_layer(self.layer)) / 2**30
            told += (
                f"\nThe labels ({size:.1f} GiB) are too large for this computer's memory: Run asks for an OME-Zarr "
                "folder (.ome.zarr) and writes them there as they are computed."
            )
        self.plan_label.setText(told)
        self._show_suitability(cost.suitability)
        self.warning_label.setText("\n".join(f"⚠ {line}" for line in cost.warnings))
        self.warning_label.setVisible(bool(cost.warnings))
        self.panel.set_ready(True)

    def _show_suitability(self, suits: Suitability) -> None:
        """Show whether the model was made for the scan; of one that was not, Run asks before it runs."""
        self._suitability = suits
        self.suitability_label.setText(suitability_line(suits.state))
        self.suitability_label.setVisible(suits.state != "fits")
        self.panel.start_button.setText("Run anyway …" if suits.state == "refused" else "Run")

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the chosen model on the chosen layers, beside the viewer."""
        if self.job is not None:
            return
        try:
            chosen = self._chosen()
        except RadcnnError as error:
            self.panel.fail(str(error))
            return
        if isinstance(chosen, str):
            return
        if self._suitability.state == "refused":
            ask_to_run_anyway(self, chosen.spec, self._suitability.reasons, lambda: self._start(chosen.run_anyway()))
            return
        self._start(chosen)

    def _start(self, chosen: ModelRun) -> None:
        if self.job is not None:
            return
        self.results.clear()
        self._clear_pages()
        if must_stream(chosen.spec, self.layer):
            self._stream(chosen)
            return
        self.panel.start(chosen.spec.title, chosen.run, self._show_result, lambda: "Cancelled; no layer was added.")

    def _stream(self, chosen: ModelRun) -> None:
        """Ask for a store and run into it, showing what has been found so far."""
        volume = volume_from_layer(self.layer)
        name = safe_stem(f"{volume.name}_{chosen.spec.name}") + ".ome.zarr"
        folder = volume.metadata.source.parent if volume.metadata.source else Path.home()
        given, _ = QFileDialog.getSaveFileName(
            self, "Write the labels to", str(folder / name), "OME-Zarr (*.ome.zarr *.zarr)"
        )
        if not given:
            return
        target = Path(given if given.endswith(".zarr") else f"{given}.ome.zarr")
        preview = Preview(chosen.spec, volume.geometry, f"{volume.name} · {chosen.spec.name} (so far)")
        self.panel.start(
            chosen.spec.title,
            lambda progress, cancel: chosen.stream(target, preview.put, progress, cancel),
            self._show_result,
            lambda: "Cancelled; nothing was written.",
        )
        if preview.can_be_shown:
            layer = add_to_viewer(self._viewer, preview.layer_data())
            layer.editable = False
            self._preview = (preview, layer)
            self._redraw.start()

    def _on_redraw(self) -> None:
        if self._preview is None:
            return
        preview, layer = self._preview
        if layer in self._viewer.layers and preview.take_news():
            layer.refresh()

    def _on_ended(self) -> None:
        """Take away what was shown only while the run lasted."""
        self._redraw.stop()
        if self._preview is not None:
            _, layer = self._preview
            self._preview = None
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._planner.settle()

    def cancel(self) -> None:
        """Stop the run at the next patch."""
        self.panel.cancel()

    def _show_result(self, shown: Shown) -> str:
        told = f"Done: {getattr(shown.result, 'name', '')}"
        for further in shown.maps:
            add_to_viewer(self._viewer, further)
        if shown.data is not None:
            told = f"Done: layer '{add_to_viewer(self._viewer, shown.data).name}'"
        else:
            told = "\n".join((told, *(f"⚠ {warning}" for warning in shown.result.warnings)))
        told = "\n".join((told, *shown.notes))
        self.results.show_rows(shown.rows)
        self.page(shown.task).show(shown.result)
        return told

    def _clear_pages(self) -> None:
        for page in self._pages.values():
            page.clear()

    # -- a result made again ---------------------------------------------------------------------------------------

    def replay(self) -> None:
        """Ask for a manifest, make its result again beside the viewer, and show whether it is the same."""
        from napari.layers import Labels

        if self.job is not None:
            return
        path = ask_for_manifest(self)
        if path is None:
            return
        self.results.clear()
        self._clear_pages()
        labels = [layer for layer in self._viewer.layers if isinstance(layer, Labels)]
        self.panel.start(
            f"Replaying {path.name}",
            lambda progress, cancel: replay_and_show(path, labels, progress, cancel),
            self._show_result,
            lambda: "Cancelled; no layer was added.",
        )

"""The Models dock: choose scans and a model, see what the run will cost, run, cancel, read the result."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.compat import isalive
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
from napari_radcnn.gui.layers.belonging import identity, is_made_of, is_map, made_of, scan_of
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.gui.models.answers import Answers
from napari_radcnn.gui.models.chooser import ModelChooser
from napari_radcnn.gui.models.dialogs import ask_to_run_anyway
from napari_radcnn.gui.models.inputs import InputForm
from napari_radcnn.gui.models.kept import Kept
from napari_radcnn.gui.models.pages import Page, Shown
from napari_radcnn.gui.models.planner import Planner
from napari_radcnn.gui.models.queue import RunQueue, WaitingRun
from napari_radcnn.gui.models.replayed import ask_for_manifest, replay_and_show, replay_button
from napari_radcnn.gui.models.result_table import ResultTable
from napari_radcnn.gui.models.run import ModelRun, can_be_input
from napari_radcnn.gui.models.streamed import TOO_LARGE_FOR_CLUSTER, Preview, label_bytes, must_stream
from napari_radcnn.gui.models.suited import judge_all
from napari_radcnn.gui.models.text import about, suitability_line
from napari_radcnn.gui.parts.form import OptionsForm
from napari_radcnn.gui.parts.job import Job
from napari_radcnn.gui.parts.pin import Pin
from napari_radcnn.gui.parts.section import Section
from napari_radcnn.gui.parts.where import WhereBox
from napari_radcnn.gui.parts.widgets import LayerCombo, LinesBox, WorkPanel, fill_scrolled, is_seen, wrapped_label
from napari_radcnn.gui.reading.show import add_result, add_to_viewer, watch, words_of
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import ModelSpec
from napari_radcnn.progress import Progress
from napari_radcnn.suitability import Suitability

#: How often labels that are being written are drawn anew, ms.
_REDRAWN_MS = 1000
#: Room above Run for what speaks against a run and for its cost, and below it for messages: more than that scrolls.
_VERDICT_LINES, _MESSAGE_LINES = 4, 2


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
        self._suitability, self._cost_warnings = Suitability(), tuple[str, ...]()
        self._shown_for: tuple[Hashable | None, ModelSpec | None] = (None, None)
        self._running: ModelRun | None = None
        self._planner = Planner(self, self.update_plan)
        self._sorter = Planner(self, self._sort_models)
        self._sorted_for: tuple[Hashable | None, int] = (None, 0)
        self._redraw = QTimer(self, interval=_REDRAWN_MS)
        self._build()
        self._connect()
        self.setAcceptDrops(True)
        watch(napari_viewer)
        self._on_model()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        self.panel = WorkPanel("Run", n_lines=_MESSAGE_LINES)
        self.chooser = ModelChooser(self.panel)
        layout.addWidget(self.chooser)
        self.about = wrapped_label()
        layout.addWidget(self.about)
        self.install_label = wrapped_label(color=WARNING_COLOR)
        layout.addWidget(self.install_label)
        self.inputs = InputForm(self._viewer, lambda layer: can_be_input(self.spec, layer))
        layout.addWidget(self.inputs)
        self.pin = Pin(self._viewer, self.layer_combo, self._scan_for, self._held)
        layout.addWidget(self.pin)
        self._options_place = QVBoxLayout()
        layout.addLayout(self._options_place)
        self.options_form: OptionsForm | None = None
        self.settings_form, self.where = OptionsForm(RunSettings), WhereBox()
        self.settings_section = Section("Device and precision", self.settings_form)
        self.queue, self.replay_button, self.answers = RunQueue(), replay_button(), Answers(self._viewer)
        for part in (self.settings_section, self.where, self.queue, self.replay_button, self.answers):
            layout.addWidget(part)
        layout.addStretch()
        self.suitability_label = wrapped_label(color=WARNING_COLOR)
        self.suitability_label.hide()
        self.warning_label = wrapped_label(color=WARNING_COLOR)
        self.plan_label = wrapped_label()
        for label in (self.about, self.install_label, self.plan_label, self.warning_label, self.panel.message_label):
            label.setTextFormat(Qt.TextFormat.PlainText)  # names in it are anybody's
        self.panel.takes_more = True
        foot = QWidget()
        below = QVBoxLayout(foot)
        below.setContentsMargins(9, 0, 9, 4)
        below.addWidget(LinesBox(self.suitability_label, self.warning_label, self.plan_label, n_lines=_VERDICT_LINES))
        below.addWidget(self.panel)
        fill_scrolled(self, inside, foot)

    def _connect(self) -> None:
        self.inputs.changed.connect(self._on_change)
        self.chooser.changed.connect(self._on_model)
        for part in (self.settings_form, self.where):
            part.changed.connect(self._on_change)
        self.panel.start_button.clicked.connect(self.run)
        self.panel.ended.connect(self._on_ended)
        self.replay_button.clicked.connect(self.replay)
        self._planner.answered.connect(self._show_plan)
        self._planner.failed.connect(self.plan_label.setText)
        self._planner.failed.connect(self._sort_models)
        self._sorter.answered.connect(self.chooser.show_suitability)
        self._planner.is_slow.connect(self._on_slow)
        self._redraw.timeout.connect(self._on_redraw)
        self.queue.changed.connect(self._planner.settle)
        self._viewer.layers.events.removed.connect(self._on_removed)

    def _on_removed(self, event: Any) -> None:
        """Take runs on a scan that is closed out of the queue."""
        if isalive(self):
            self.queue.drop(identity(event.value))

    def page(self, task: str) -> Page:
        """Return the page that shows results of a task."""
        return self.answers.page(task)

    @property
    def results(self) -> ResultTable:
        """The numbers of the result that is shown."""
        return self.answers.table

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

    def _scan_for(self, layer: Any) -> Any | None:
        """Return the scan of the layer that the user turns to; none where every input has a list of its own."""
        if self.spec is None or len(self.spec.inputs) > 1:
            return None
        offered = self.layer_combo.layers
        found = layer if layer in offered and not is_map(layer) else scan_of(layer, self._viewer.layers)
        return found if found in offered else None

    def _held(self, layer: Any) -> str:
        """Return why the dock stays with its scan while another layer is active."""
        if self._running is not None and identity(self._running.layers[0]) == identity(self.layer):
            return "A model is running on this scan"
        # what a run has added is seen, and its numbers stay those of the scan that it was made of
        return "Result of this scan" if is_made_of(layer, self.layer) else ""

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
        self.about.setText(about(spec))
        self.install_label.setText(spec.how_to_install)
        self.install_label.setVisible(not spec.is_available)
        self.inputs.set_slots(spec.inputs)
        self.options_form = OptionsForm(spec.options)
        self.options_form.changed.connect(self._on_change)
        self._options_place.addWidget(self.options_form)
        self._on_change()

    def _on_change(self, *_: Any) -> None:
        self._show_chosen()
        self.panel.set_ready(False)
        self._show_suitability(Suitability())
        self._planner.settle()

    def _show_chosen(self) -> None:
        """Show what belongs to the chosen scan and model, and nothing of another, from the moment it is chosen."""
        chosen, before = (identity(self.layer), self.spec), self._shown_for
        if chosen[0] == before[0] and chosen[1] is before[1]:
            self.answers.retitle(self.layer)
            return
        self._shown_for = chosen
        self._planner.drop()
        self.plan_label.setText("Checking the scan …")
        self.warning_label.hide()
        if chosen[0] != before[0]:
            self._sorter.drop()
            self._sorted_for = (None, 0)
            self.chooser.forget_suitability()
        kept = self.answers.choose(self.layer, self.spec)
        if self.job is None:
            self.panel.message_label.setText("" if kept is None else kept.line)
        self.panel.say_again()

    def _is_shown(self, scan: Hashable | None, spec: ModelSpec) -> bool:
        return scan == identity(self.layer) and spec is self.spec

    def _chosen(self) -> ModelRun | str:
        """Return what would be run, or why nothing can be."""
        spec, problem = self.spec, self.inputs.problem
        if spec is None or problem:
            return problem
        if not spec.is_available:
            return ""
        options = None if self.options_form is None else self.options_form.value()
        settings, where = self.settings_form.value(), self.where.cluster()
        if where is not None and must_stream(spec, self.layer):
            return TOO_LARGE_FOR_CLUSTER
        return ModelRun(spec, tuple(self.inputs.layers), options, settings, where=where)

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
        self._cost_warnings = tuple(cost.warnings)
        self._update_ready()
        self._sort_models()

    def _sort_models(self, *_: Any) -> None:
        """Find out beside the viewer which models suit the chosen scan, once for each scan."""
        layer, specs = self.layer, self.chooser.specs
        wanted = (identity(layer), len(specs))
        if layer is not None and wanted != self._sorted_for and self.window().isVisible():  # not after closing
            self._sorted_for = wanted
            self._sorter.start(partial(judge_all, specs, layer))

    def _update_ready(self) -> None:
        """Let what is planned be run, unless it runs or waits already."""
        try:
            chosen = self._chosen()
        except RadcnnError:
            return
        asked = [*([] if self._running is None else [self._running]), *(one.run for one in self.queue.waiting)]
        is_asked = isinstance(chosen, ModelRun) and any(chosen.is_same(other) for other in asked)
        self.panel.set_ready(not is_asked)

    def _show_suitability(self, suits: Suitability) -> None:
        """Show whether the model was made for the scan; of one that was not, Run asks before it runs."""
        self._suitability = suits
        self.suitability_label.setText(suitability_line(suits.state))
        self.suitability_label.setVisible(suits.state != "fits")
        verb = "Run" if self.job is None else "Add to queue"
        self.panel.start_button.setText("Run anyway …" if suits.state == "refused" else verb)

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the chosen model on the chosen layers beside the viewer, or let it wait for the run under way."""
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
        if must_stream(chosen.spec, chosen.layers[0]):
            target = self._ask_for_store(chosen)
            if target is None:
                return
            begin = partial(self._stream, chosen, target)
        else:
            begin = partial(self._run_in_panel, chosen, chosen.run, "Cancelled; no layer was added.")
        if self.job is None:
            begin()
        else:
            title = f"{chosen.spec.title} · {chosen.scan_name}"
            self.queue.add(WaitingRun(title, tuple(identity(layer) for layer in chosen.layers), chosen, begin))
        self.panel.set_ready(False)  # until something else is chosen: the same twice would be a mistake

    def _begin_next(self) -> None:
        """Start the run that has waited longest."""
        if not isalive(self) or self.job is not None:
            return
        if not self.window().isVisible():  # the viewer was closed
            self.queue.empty()
        waiting = self.queue.take()
        if waiting is not None:
            waiting.begin()

    def _run_in_panel(self, chosen: ModelRun, work: Callable[[Progress, Event], Shown], cancelled: str) -> None:
        """Run beside the viewer; what comes of it belongs to the scan, whichever is chosen by then."""
        name, scan = chosen.scan_name, identity(chosen.layers[0])
        self._running = chosen
        self.answers.drop(chosen.layers[0], chosen.spec)
        self.panel.start(
            chosen.spec.title,
            work,
            lambda shown: self._show_result(shown, chosen.spec, scan, name),
            lambda: cancelled,
            whose=lambda: "" if self._is_shown(scan, chosen.spec) else f"{name} · {chosen.spec.title}: ",
        )

    def _ask_for_store(self, chosen: ModelRun) -> Path | None:
        """Ask where labels are to be written that memory does not hold."""
        volume = volume_from_layer(chosen.layers[0], chosen.points[0])
        name = safe_stem(f"{volume.name}_{chosen.spec.name}") + ".ome.zarr"
        folder = volume.metadata.source.parent if volume.metadata.source else Path.home()
        given, _ = QFileDialog.getSaveFileName(
            self, "Write the labels to", str(folder / name), "OME-Zarr (*.ome.zarr *.zarr)"
        )
        if not given:
            return None
        return Path(given if given.endswith(".zarr") else f"{given}.ome.zarr")

    def _stream(self, chosen: ModelRun, target: Path) -> None:
        """Run into a store, showing what has been found so far."""
        volume = volume_from_layer(chosen.layers[0], chosen.points[0])
        preview = Preview(chosen.spec, volume.geometry, f"{volume.name} · {chosen.spec.name} (so far)")
        self._run_in_panel(
            chosen,
            lambda progress, cancel: chosen.stream(target, preview.put, progress, cancel),
            "Cancelled; nothing was written.",
        )
        if preview.can_be_shown:
            layer = add_to_viewer(self._viewer, made_of(preview.layer_data(), identity(chosen.layers[0])))
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
        self._running = None
        self._show_suitability(self._suitability)
        self._planner.settle()
        self.pin.follow()
        QTimer.singleShot(0, self._begin_next)

    def cancel(self) -> None:
        """Stop the run at the next patch."""
        self.panel.cancel()

    def _show_result(self, shown: Shown, spec: ModelSpec, scan: Hashable | None, name: str) -> str:
        """Add the layers of a result, and show the rest of it if its scan is still the chosen one."""
        told = self._add_layers(shown, scan, is_told=is_seen(self) and self._is_shown(scan, spec))
        kept = Kept.of(spec, told, shown.task, shown.result, shown.rows)
        self.answers.keep(scan, kept)
        if self._is_shown(scan, spec):
            self.answers.show_new(self.layer, kept, shown)
            return told
        if any(identity(layer) == scan for layer in self._viewer.layers):
            return f"Done: {spec.title} on '{name}'. Choose that scan and model to see the result."
        return told if shown.data is not None else f"'{name}' was closed: the result of {spec.title} is not shown."

    def _add_layers(self, shown: Shown, scan: Hashable | None, *, is_told: bool = False) -> str:
        """Add the layers of a result, leaving another scan active that is being looked at by now."""
        layers = self._viewer.layers
        active = layers.selection.active
        for further in shown.maps:
            add_result(self._viewer, made_of(further, scan, is_map=True), is_told=is_told)
        told = f"Done: {getattr(shown.result, 'name', '')}"
        if shown.data is not None:
            told = f"Done: {words_of(add_result(self._viewer, made_of(shown.data, scan), is_told=is_told))}"
        if shown.data is None or is_told:  # what was said of the run before it stands above it
            new = (warning for warning in shown.result.warnings if warning not in self._cost_warnings)
            told = "\n".join((told, *(f"⚠ {warning}" for warning in new)))
        is_elsewhere = active in layers and identity(scan_of(active, layers)) != scan
        if scan is not None and is_elsewhere:
            layers.selection.active = active
        return "\n".join((told, *shown.notes))

    # -- a result made again ---------------------------------------------------------------------------------------

    def replay(self) -> None:
        """Ask for a manifest, make its result again beside the viewer, and show whether it is the same."""
        from napari.layers import Labels

        if self.job is not None:
            return
        path = ask_for_manifest(self)
        if path is None:
            return
        self.answers.clear()
        labels = [layer for layer in self._viewer.layers if isinstance(layer, Labels)]
        self.panel.start(
            f"Replaying {path.name}",
            lambda progress, cancel: replay_and_show(path, labels, progress, cancel),
            lambda shown: self._show_replayed(shown, path),
            lambda: "Cancelled; no layer was added.",
        )

    def _show_replayed(self, shown: Shown, path: Path) -> str:
        """Show a result whose scan need not be open."""
        told = self._add_layers(shown, None)
        self.answers.show_other(f"Replayed from {path.name}", shown)
        return told

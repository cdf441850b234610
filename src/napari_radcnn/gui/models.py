"""The Models dock: choose a layer and a model, see what the run will cost, run, cancel, read the result."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from threading import Event
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QFormLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.colors import WARNING_COLOR
from napari_radcnn.gui.form import OptionsForm
from napari_radcnn.gui.job import Job
from napari_radcnn.gui.layers import LayerData, layer_data, volume_from_layer
from napari_radcnn.gui.result_table import ResultTable
from napari_radcnn.gui.show import add_to_viewer
from napari_radcnn.gui.view import watch
from napari_radcnn.gui.widgets import LayerCombo, WorkPanel, fill_scrolled, narrow_combo, wrapped_label
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.io import Progress
from napari_radcnn.models import ModelSpec, models
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.volume import Volume

#: Edits that follow each other faster than this lead to one new plan, ms.
_SETTLE_MS = 80


class ModelsDock(QWidget):
    """Runs a model on a layer of the viewer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._specs: Mapping[str, ModelSpec] = {spec.name: spec for spec in models()}
        self._build()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.update_plan)
        watch(napari_viewer)
        self._on_model()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        choice = QFormLayout()
        choice.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.layer_combo = LayerCombo(self._viewer, _is_image)
        self.layer_combo.setToolTip("The scan that the model runs on; it is never changed")
        self.model_combo = narrow_combo()
        for spec in self._specs.values():
            self.model_combo.addItem(spec.title, spec.name)
            row = self.model_combo.count() - 1
            self.model_combo.setItemData(row, spec.how_to_install or spec.summary, Qt.ItemDataRole.ToolTipRole)
            if not spec.is_available:
                gray = self.palette().brush(self.palette().ColorGroup.Disabled, self.palette().ColorRole.Text)
                self.model_combo.setItemData(row, gray, Qt.ItemDataRole.ForegroundRole)
        choice.addRow("Scan", self.layer_combo)
        choice.addRow("Model", self.model_combo)
        layout.addLayout(choice)
        self.about = wrapped_label()
        layout.addWidget(self.about)
        self.card_button = QPushButton("Model card …")
        self.card_button.setToolTip("What it was made from, how well it does and where it fails")
        layout.addWidget(self.card_button, alignment=Qt.AlignmentFlag.AlignLeft)
        self.install_label = wrapped_label(color=WARNING_COLOR)
        layout.addWidget(self.install_label)
        self._options_place = QVBoxLayout()
        layout.addLayout(self._options_place)
        self.options_form: OptionsForm | None = None
        self.settings_form = OptionsForm(RunSettings)
        layout.addWidget(self.settings_form)
        self.plan_label = wrapped_label()
        layout.addWidget(self.plan_label)
        self.warning_label = wrapped_label(color=WARNING_COLOR)
        layout.addWidget(self.warning_label)
        self.panel = WorkPanel("Run")
        layout.addWidget(self.panel)
        self.results = ResultTable()
        layout.addWidget(self.results)
        layout.addStretch()
        fill_scrolled(self, inside)
        self.layer_combo.changed.connect(self._on_change)
        self.model_combo.currentIndexChanged.connect(self._on_model)
        self.settings_form.changed.connect(self._on_change)
        self.card_button.clicked.connect(self._show_card)
        self.panel.start_button.clicked.connect(self.run)
        self.panel.ended.connect(self._settle_down)

    @property
    def job(self) -> Job | None:
        """The run that is under way."""
        return self.panel.job

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def spec(self) -> ModelSpec | None:
        """The chosen model."""
        return self._specs.get(self.model_combo.currentData())

    @property
    def layer(self) -> Any | None:
        """The chosen layer, if it is still in the viewer."""
        return self.layer_combo.layer

    def _on_model(self, _index: int = 0) -> None:
        """Show what the chosen model is and its own settings."""
        spec = self.spec
        if self.options_form is not None:
            self._options_place.removeWidget(self.options_form)
            self.options_form.deleteLater()
            self.options_form = None
        if spec is None:
            return
        made_for = ", ".join((*spec.modalities, *([spec.body_part] if spec.body_part else ())))
        self.about.setText(
            f"{spec.summary}\n{spec.task.capitalize()}, made for: {made_for or 'any scan'}\n"
            f"Version {spec.version} · licence: {spec.licence}"
        )
        self.card_button.setVisible(_card_file(spec) is not None)
        self.install_label.setText(spec.how_to_install)
        self.install_label.setVisible(not spec.is_available)
        self.options_form = OptionsForm(spec.options)
        self.options_form.changed.connect(self._on_change)
        self._options_place.addWidget(self.options_form)
        self._on_change()

    def _on_change(self, *_: Any) -> None:
        self.panel.set_ready(False)
        self._settle.start()

    def _settle_down(self) -> None:
        self._settle.start()

    def update_plan(self) -> None:
        """Say what the run will cost and what speaks against it; without torch."""
        from napari_radcnn.operations import plan

        self._settle.stop()
        self.warning_label.hide()
        self.panel.set_ready(False)
        spec, layer = self.spec, self.layer
        if spec is None or layer is None:
            self.plan_label.setText("Open a scan: it then stands in the list above.")
            return
        if not spec.is_available:
            self.plan_label.setText("")
            return
        try:
            volume = volume_from_layer(layer)
            settings = self.settings_form.value()
            cost = plan(volume, spec, self._options(), device=settings.device, precision=settings.precision)
        except RadcnnError as error:
            self.plan_label.setText(str(error))
            return
        self.plan_label.setText(cost.summary())
        self.warning_label.setText("\n".join(f"⚠ {line}" for line in cost.warnings))
        self.warning_label.setVisible(bool(cost.warnings))
        self.panel.set_ready(True)

    def _options(self) -> Any:
        return None if self.options_form is None else self.options_form.value()

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the chosen model on the chosen layer, beside the viewer."""
        from napari_radcnn.operations import run

        spec, layer = self.spec, self.layer
        if spec is None or layer is None or self.job is not None:
            return
        try:
            volume = volume_from_layer(layer)
            options, settings = self._options(), self.settings_form.value()
        except RadcnnError as error:
            self.panel.fail(str(error))
            return
        limits = None if getattr(layer, "rgb", False) else tuple(layer.contrast_limits)

        def work(progress: Progress, cancel: Event) -> tuple[Any, LayerData | None, list[tuple[str, str]]]:
            result = run(
                volume,
                spec,
                options,
                device=settings.device,
                precision=settings.precision,
                progress=progress,
                cancel=cancel,
            )
            data = None
            if isinstance(result, LabelMap | Volume):
                data = layer_data(result, progress=progress, cancel=cancel)
            if isinstance(result, Volume) and data is not None:
                data[1]["contrast_limits"] = limits  # a restored image is compared with its scan
            return result, data, ResultTable.rows_of(result)

        self.results.clear()
        self.panel.start(spec.title, work, self._show_result, lambda: "Cancelled; no layer was added.")

    def cancel(self) -> None:
        """Stop the run at the next patch."""
        self.panel.cancel()

    def _show_result(self, outcome: tuple[Any, LayerData | None, list[tuple[str, str]]]) -> str:
        result, data, rows = outcome
        told = f"Done: {getattr(result, 'name', '')}"
        if data is not None:
            told = f"Done: layer '{add_to_viewer(self._viewer, data).name}'"
        elif isinstance(result, Detections | Classification):
            told = "\n".join((told, *(f"⚠ {warning}" for warning in result.warnings)))
        self.results.show_rows(rows)
        return told

    def _show_card(self) -> None:
        card = None if self.spec is None else _card_file(self.spec)
        if card is None or self.spec is None:
            return
        box = QMessageBox(self)
        box.setWindowTitle(f"Model card: {self.spec.title}")
        box.setTextFormat(Qt.TextFormat.MarkdownText)
        box.setText(card)
        box.open()


def _card_file(spec: ModelSpec) -> str | None:
    """Return the text of the model's card."""
    card = resources.files("napari_radcnn") / "cards" / spec.card
    return card.read_text(encoding="utf-8") if card.is_file() else None


def _is_image(layer: Any) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image)

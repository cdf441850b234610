"""The Export dock: a layer into a file, in a format that whoever gets it can read."""

from __future__ import annotations

import weakref
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.errors import CancelledError, WriteError
from napari_radcnn.gui.export.saving import (
    Choice,
    choices,
    files_in_the_way,
    frozen,
    kind_of,
    knows_series,
    result_of,
    safe_stem,
    series_of,
    sources_of_layer,
    without_suffix,
)
from napari_radcnn.gui.layers.unsaved import note_saved, state_of
from napari_radcnn.gui.parts.pin import Pin
from napari_radcnn.gui.parts.widgets import LayerCombo, WorkPanel, fill_scrolled, narrow_combo, wrapped_label
from napari_radcnn.io.dicom_results.deidentify import doubts
from napari_radcnn.io.targets import refuse_sources
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import manifest_path
from napari_radcnn.progress import Progress
from napari_radcnn.results import Detections
from napari_radcnn.volume import Volume


class ExportDock(QWidget):
    """Writes a layer on its scan's own grid, beside the viewer, and reads it back.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._choices: list[Choice] = []
        self._stem_is_typed = False
        self._build()
        self.pin = Pin(napari_viewer, self.layer_combo, self._layer_for, self._held)
        self._pin_place.addWidget(self.pin)
        self.panel.ended.connect(self.pin.follow)
        self.layer_combo.changed.connect(self._on_layer)
        self.series_combo.changed.connect(self._on_format)
        self.format_combo.currentIndexChanged.connect(self._on_format)
        self._on_layer()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.layer_combo = LayerCombo(self._viewer, lambda layer: kind_of(layer) is not None)
        self.format_combo = narrow_combo()
        form.addRow("Layer", self.layer_combo)
        self._pin_place = QVBoxLayout()
        form.addRow(self._pin_place)
        form.addRow("Format", self.format_combo)
        self.series_combo = LayerCombo(self._viewer, lambda layer: series_of(layer) is not None)
        self.series_combo.setToolTip("The DICOM scan that the layer belongs to")
        self.series_label = QLabel("Belongs to")
        form.addRow(self.series_label, self.series_combo)
        layout.addLayout(form)
        self.about_label = wrapped_label()
        layout.addWidget(self.about_label)
        line = QHBoxLayout()
        self.path_line = QLineEdit()
        self.path_line.setToolTip("Where to write the file. The suggested name contains no patient data")
        self.choose_button = QPushButton("Choose …")
        line.addWidget(self.path_line)
        line.addWidget(self.choose_button)
        layout.addLayout(line)
        self.deidentify_box = QCheckBox("Leave out the patient's data")
        self.deidentify_box.setToolTip(
            "Leaves out the patient's names, numbers, dates, UIDs and free text, and the path of the scan on this "
            "computer (DICOM PS3.15, Basic Profile). What the voxels show stays."
        )
        layout.addWidget(self.deidentify_box)
        self.panel = WorkPanel("Write")
        layout.addWidget(self.panel)
        layout.addStretch()
        fill_scrolled(self, inside)
        self.path_line.textEdited.connect(self._on_typed)
        self.choose_button.clicked.connect(self._choose_file)
        self.deidentify_box.toggled.connect(self._on_format)
        self.panel.start_button.clicked.connect(self.write)

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def choice(self) -> Choice | None:
        """The chosen format."""
        row = self.format_combo.currentIndex()
        return self._choices[row] if 0 <= row < len(self._choices) else None

    @property
    def path(self) -> Path | None:
        """Where it is to be written; a name without the format's suffix gets it."""
        text, choice = self.path_line.text().strip(), self.choice
        if not text or choice is None:
            return None
        if text.endswith("/") or not Path(text).name:  # a folder so far
            return None
        return Path(text if text.lower().endswith(choice.suffix) else text + choice.suffix).expanduser()

    def _layer_for(self, layer: Any) -> Any | None:
        return layer if layer in self.layer_combo.layers else None

    def _held(self, _layer: Any) -> str:
        """Return why another layer is not taken up now."""
        return "" if self.panel.job is None else "This layer is being written"

    def _on_layer(self) -> None:
        """Offer what the layer can be written as, keeping the format where it is among them."""
        layer, before = self.layer_combo.layer, self.choice
        kind = None if layer is None else kind_of(layer)
        self._choices = [] if kind is None else choices(kind)
        self.format_combo.blockSignals(True)
        self.format_combo.clear()
        self.format_combo.addItems([choice.title for choice in self._choices])
        if before is not None:
            suffixes = [choice.suffix for choice in self._choices]
            self.format_combo.setCurrentIndex(suffixes.index(before.suffix) if before.suffix in suffixes else 0)
        self.format_combo.blockSignals(False)
        self._on_format()

    def _on_format(self, _index: int = 0) -> None:
        layer, choice = self.layer_combo.layer, self.choice
        if layer is None or choice is None:
            self.about_label.setText("Open a scan: it then appears in the list above.")
            self._ask_for_series(False)
            self._update()
            return
        is_needed = choice.needs_series and not knows_series(layer)
        self._ask_for_series(is_needed)
        is_missing = is_needed and self.series_combo.layer is None
        self.about_label.setText(f"{choice.line} No such series is open: open it first." if is_missing else choice.line)
        typed = Path(self.path_line.text())
        folder = typed.parent if self.path_line.text() else Path.home()
        stem = without_suffix(typed.name) if self._stem_is_typed else self._suggested_stem(layer)
        if not choice.suffix:
            stem = stem.replace(".", "_")  # a name with a dot would be that of a file
        self.path_line.setText(str(folder / f"{stem}{choice.suffix}"))
        self._update()

    def _suggested_stem(self, layer: Any) -> str:
        if self.deidentify_box.isChecked():  # a layer may be called after its file, and that after the patient
            return {"labels": "labels", "findings": "findings"}.get(str(kind_of(layer)), "scan")
        return safe_stem(layer.name)

    def _ask_for_series(self, is_needed: bool) -> None:
        self.series_label.setVisible(is_needed)
        self.series_combo.setVisible(is_needed)

    def _on_typed(self, text: str) -> None:
        self._stem_is_typed = bool(text.strip())
        self._update()

    def _choose_file(self) -> None:
        choice = self.choice
        if choice is None:
            return
        # This dock asks about existing files itself, since it knows of the manifest too.
        found, _ = QFileDialog.getSaveFileName(
            self,
            "Write the layer to",
            self.path_line.text(),
            f"{choice.title} (*{choice.suffix})",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if found:
            self.path_line.setText(found)
            self._on_typed(found)

    def _update(self) -> None:
        self.choose_button.setEnabled(self.choice is not None)
        self.panel.set_ready(self.layer_combo.layer is not None and self.path is not None)

    # -- the work --------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the chosen layer, after asking where a file of that name exists."""
        path = self.path
        if path is None or self.panel.job is not None:
            return
        self.path_line.setText(str(path))
        try:
            refuse_sources(path, self._sources(path))
        except WriteError as error:
            self.panel.fail(str(error))
            return
        in_the_way = files_in_the_way(path)
        if not in_the_way:
            self._start(path, overwrite=False)
            return
        names = " and ".join(f"'{target.name}'" for target in in_the_way)
        box = QMessageBox(self)
        box.setObjectName("radcnn_overwrite")
        box.setWindowTitle("Replace?")
        box.setText(f"'{path.parent}' already contains {names}. Replace?")
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No)
        box.setDefaultButton(QMessageBox.StandardButton.No)
        box.finished.connect(lambda answer: self._on_answer(answer, path))
        box.finished.connect(box.deleteLater)
        box.open()

    def _sources(self, target: Path) -> list[Path]:
        """Return what the chosen layers were read or made from."""
        asked = None if self.series_combo.isHidden() else self.series_combo.layer
        layers = [layer for layer in (self.layer_combo.layer, asked) if layer is not None]
        return [path for layer in layers for path in sources_of_layer(layer, target)]

    def _on_answer(self, answer: int, path: Path) -> None:
        if answer == int(QMessageBox.StandardButton.Yes):
            self._start(path, overwrite=True)
        else:
            self.panel.message_label.setText("Nothing was written.")

    def _start(self, path: Path, *, overwrite: bool) -> None:
        layer = self.layer_combo.layer
        if layer is None:
            return
        unchanging, original = frozen(layer), weakref.ref(layer)
        state = state_of(unchanging)
        written: list[Path] = []
        asked = None if self.series_combo.isHidden() else self.series_combo.layer
        reference = None if asked is None else series_of(asked)
        deidentify = self.deidentify_box.isChecked()
        told: list[str] = []

        def work(progress: Progress, cancel: Event) -> list[Path]:
            progress(0, 0, "Resampling to the scan's own grid")
            scan = result_of(unchanging)
            if cancel.is_set():
                raise CancelledError("Writing")
            progress(0, 0, "Writing and verifying")
            written.extend(
                write_with_manifest(scan, path, overwrite=overwrite, reference=reference, deidentify=deidentify)
            )
            if isinstance(scan, Detections):
                told.append(f"{len(scan.boxes)} findings, without those rejected or below the score.")
            if deidentify and isinstance(scan, Volume) and not scan.metadata.is_label:
                told.extend(doubts(scan))
            return written

        def tell() -> str:
            kept = original()
            if kept is not None:
                note_saved(kept, state)
            is_read_back = not written[0].name.endswith((".json", ".csv"))
            lines = [f"Written{' and read back' * is_read_back}: {written[0]}"]
            if len(written) > 1:
                lines.append(f"Manifest: {manifest_path(path).name}")
            return "\n".join([*lines, *told])

        def tell_cancelled() -> str:
            # A file is written in one go: it is there or it is not, whenever Cancel was pressed.
            return (
                f"The file was written before it could be cancelled: {path}"
                if written
                else "Cancelled; nothing was written."
            )

        self.panel.start("Writing", work, lambda _: tell(), tell_cancelled)

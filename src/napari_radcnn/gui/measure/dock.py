"""The Measure dock: the segments of a label map in numbers, changed where they are listed; and rulers."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor, QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QColorDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.findings.view import go_to
from napari_radcnn.gui.layers.belonging import identity, is_scan, scan_of
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import (
    METADATA_KEY,
    is_ours,
    label_map_from_layer,
    name_of,
    snapshot,
    volume_from_layer,
)
from napari_radcnn.gui.measure.edits import LabelEdits
from napari_radcnn.gui.measure.keys import UndoKeys
from napari_radcnn.gui.measure.rulers import RulerSection
from napari_radcnn.gui.measure.tree import SegmentTree, shrink
from napari_radcnn.gui.measure.undo import UndoList
from napari_radcnn.gui.parts.pin import Pin
from napari_radcnn.gui.parts.section import Section
from napari_radcnn.gui.parts.widgets import LayerCombo, WorkPanel, fill_scrolled, wrapped_label
from napari_radcnn.progress import Progress

#: After the last stroke of a brush, ms: then the labels are measured again.
_QUIET = 700


class MeasureDock(QWidget):
    """Lists the segments of a Labels layer, ours or not, with what they measure on a scan.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._edits: dict[Hashable, LabelEdits] = {}
        self._table: dict[str, Any] | None = None
        #: The layer of the scan that the labels are measured on, and its name in the table that is shown.
        self._scan: weakref.ref[Any] | None = None
        self._scan_name = ""
        self._is_due = False
        self._watched: Any = None
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(_QUIET)
        self._quiet.timeout.connect(self.measure)
        self._build()
        self.pin = Pin(napari_viewer, self.layer_combo, self._layer_for, self._held)
        self._pin_place.addWidget(self.pin)
        self._keys = UndoKeys(self, self._lists, self._undo_of, self._redo_of)
        self.layer_combo.changed.connect(self._on_layer)
        self.scan_combo.activated.connect(self._on_scan_by_hand)
        self.scan_combo.changed.connect(self._on_scan)
        self.suv_box.clicked.connect(self._on_suv)
        self.rulers.changed.connect(self._keys.update)
        self.panel.ended.connect(self._on_ended)
        napari_viewer.layers.selection.events.active.connect(self._follow_scan)
        napari_viewer.layers.events.removed.connect(self._forget)
        self._show()
        self._on_layer()
        self._follow_scan()
        self._on_scan()

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.layer_combo = LayerCombo(self._viewer, _is_labels)
        self.scan_combo = LayerCombo(self._viewer, is_scan)
        self.scan_combo.setToolTip("The scan whose values are measured")
        self.scan_combo.setMinimumContentsLength(7)  # SUV stands beside it
        self.suv_box = QCheckBox("SUV")
        self.suv_box.setChecked(True)
        self.suv_box.setToolTip("Measure this PET in SUV by body weight; otherwise in the unit of its file")
        self.suv_box.hide()
        scan_row = QHBoxLayout()
        scan_row.addWidget(self.scan_combo, 1)
        scan_row.addWidget(self.suv_box)
        self._pin_place = QVBoxLayout()
        form.addRow("Labels", self.layer_combo)
        form.addRow(self._pin_place)
        form.addRow("Scan", scan_row)
        layout.addLayout(form)
        self.about_label = wrapped_label()
        self.about_label.setTextFormat(Qt.TextFormat.PlainText)  # names in it are anybody's
        layout.addWidget(self.about_label)
        self.tree = SegmentTree()
        layout.addWidget(self.tree)
        first, second = QHBoxLayout(), QHBoxLayout()
        self.hide_button, self.merge_button, self.delete_button = map(QPushButton, ("Hide", "Merge", "Delete"))
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.copy_button, self.csv_button = QPushButton("Copy"), QPushButton("CSV …")
        self.hide_button.setToolTip("Hide the selected labels, or show them again")
        self.merge_button.setToolTip("Make all selected labels the topmost of them; locked ones are refused")
        self.delete_button.setToolTip("Make the selected labels background; locked ones are refused")
        self.undo_button.setToolTip("Undo the last change of these labels (Ctrl+Z)")
        self.redo_button.setToolTip("Redo the change (Ctrl+Shift+Z)")
        self.copy_button.setToolTip("Copy the selected rows, or all, with all columns, for a spreadsheet (Ctrl+C)")
        self.csv_button.setToolTip("Write all columns to a file")
        for line, buttons in (
            (first, (self.hide_button, self.merge_button, self.delete_button)),
            (second, (self.undo_button, self.redo_button, self.copy_button, self.csv_button)),
        ):
            for button in buttons:
                shrink(button)
                line.addWidget(button)
            layout.addLayout(line)
        self.warnings_label = wrapped_label(color=WARNING_COLOR)
        self.warnings_label.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.warnings_label)
        self.panel = WorkPanel("Measure again")
        layout.addWidget(self.panel)
        self.rulers = RulerSection(self._viewer, self.scan_combo, self.suv_box.isChecked)
        section = Section("Rulers", self.rulers)
        section.button.setChecked(True)
        layout.addWidget(section)
        layout.addStretch()
        fill_scrolled(self, inside)
        self.panel.start_button.clicked.connect(self.measure)
        self.tree.chosen.connect(self.go_to)
        self.tree.eye_clicked.connect(lambda value: self._hide([value]))
        self.tree.lock_clicked.connect(self._lock)
        self.tree.color_clicked.connect(self._ask_color)
        self.tree.renamed.connect(self._rename)
        self.tree.copied.connect(self.copy)
        self.tree.itemSelectionChanged.connect(self._update)
        self.hide_button.clicked.connect(lambda: self._hide(self.tree.selected))
        self.merge_button.clicked.connect(self.merge)
        self.delete_button.clicked.connect(self.delete)
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        self.copy_button.clicked.connect(self.copy)
        self.csv_button.clicked.connect(self._choose_file)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  Qt's name
        """Measure what waited until it is looked at."""
        super().showEvent(event)
        self._keys.listen()
        self._keys.update()
        if self._is_due:
            self._quiet.start(0)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802  Qt's name
        """Leave the keys to others."""
        super().hideEvent(event)
        self._keys.update()

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def edits(self) -> LabelEdits | None:
        """What can be changed in the chosen layer."""
        layer = self.layer_combo.layer
        if layer is None:
            return None
        if identity(layer) not in self._edits:
            own = weakref.ref(self)
            self._edits[identity(layer)] = LabelEdits(layer, lambda voxels, line: _on_edited(own, voxels, line))
        return self._edits[identity(layer)]

    def _forget(self, _event: Any = None) -> None:
        """Let the steps of layers that are gone go with them."""
        self._edits = {key: edits for key, edits in self._edits.items() if not edits.is_gone}

    @property
    def table(self) -> dict[str, Any] | None:
        """What was measured last of the chosen layer, as `napari_radcnn.measure.segments` gives it."""
        return self._table

    def _layer_for(self, layer: Any) -> Any | None:
        return layer if layer in self.layer_combo.layers else None

    def _held(self, _layer: Any) -> str:
        return "" if self.panel.job is None else "This layer is being measured"

    def _on_layer(self) -> None:
        """Take up another layer: list its labels anew."""
        layer = self.layer_combo.layer
        if identity(layer) == identity(self._watched):
            return
        if self._watched is not None:
            for name in ("paint", "labels_update", "data"):
                getattr(self._watched.events, name).disconnect(self._on_painted)
        self._watched = layer
        self._table = None
        self.tree.clear()
        self.panel.message_label.clear()
        if layer is not None:
            for name in ("paint", "labels_update", "data"):
                getattr(layer.events, name).connect(self._on_painted)
            scan = scan_of(layer, self._viewer.layers)
            self._scan = None if scan is None else weakref.ref(scan)
            self.scan_combo.choose(scan)
        self._due()

    # -- the scan --------------------------------------------------------------------------------------------------

    @property
    def scan(self) -> Any | None:
        """The layer of the scan that the labels are measured on: theirs, or the one that was chosen by hand."""
        own = None if self._scan is None else self._scan()
        return own if own is not None and own in self._viewer.layers else self.scan_combo.layer

    def _follow_scan(self, _event: Any = None) -> None:
        """Take up the scan that is active now: rulers are drawn on what is seen. Labels stay on their own."""
        active = self._viewer.layers.selection.active if isalive(self) and not self.pin.is_pinned else None
        if active is None or active not in self.scan_combo.layers or active == self.scan_combo.layer:
            return
        before = self.scan
        self.scan_combo.choose(active)
        if self.scan != before:
            self._due()

    def _on_scan_by_hand(self, _index: int) -> None:
        scan = self.scan_combo.layer
        self._scan = None if scan is None else weakref.ref(scan)
        self._due()

    def _on_scan(self) -> None:
        scan = self.scan_combo.layer
        kept = scan.metadata[METADATA_KEY] if scan is not None and is_ours(scan) else {}
        self.suv_box.setVisible(kept.get("suvbw_factor") is not None)
        self.rulers.follow_scan()

    def _on_suv(self) -> None:
        self.rulers.measure()
        self._due()

    def _on_painted(self, _event: Any = None) -> None:
        self._is_due = True
        if self.isVisible():
            self._quiet.start(_QUIET)

    def _due(self) -> None:
        self._is_due = self.layer_combo.layer is not None
        self._show()
        if self._is_due and self.isVisible():
            self._quiet.start(0)

    # -- the work --------------------------------------------------------------------------------------------------

    def measure(self) -> None:
        """Measure the labels, beside the viewer; those that are painted meanwhile are measured again."""
        from napari_radcnn.measure import segments

        layer = self.layer_combo.layer
        if layer is None:
            return
        self._is_due = True
        if self.panel.job is not None:
            return
        self._is_due = False
        frozen, whose = snapshot(layer), identity(layer)
        scan, in_suv = self.scan, self.suv_box.isChecked()
        seen, scan_name = (None, "") if scan is None else (snapshot(scan), name_of(scan))

        def work(progress: Progress, cancel: Event) -> dict[str, Any]:
            labels = label_map_from_layer(frozen)
            image = None if seen is None else volume_from_layer(seen)
            suv = in_suv and image is not None and image.suvbw_factor is not None
            return segments(labels, image, suv, progress=progress, cancel=cancel)

        def show(table: dict[str, Any]) -> str:
            if whose != identity(self.layer_combo.layer):
                return ""
            self._table, self._scan_name = table, scan_name
            self._show()
            n = len(table["labels"])
            return "1 segment." if n == 1 else f"{n} segments."

        self.panel.start("Measuring", work, show, lambda: "Cancelled.")

    def _on_ended(self) -> None:
        self.pin.follow()
        if self._is_due and self.isVisible():
            self._quiet.start(0)

    def _show(self) -> None:
        """Show what was measured, with names and colors as they are now."""
        edits, table = self.edits, self._table
        if edits is None:
            self.about_label.setText("Open a label map, or run a model that returns one: it then appears in the list.")
        elif table is None:
            self.about_label.setText("")
        else:
            self.tree.fill(self._rows(), edits.color, edits.hidden, edits.locked)
            values = f"Mean and SD of '{self._scan_name}' in {table['unit'] or 'its own values'}."
            if not self._scan_name:
                values = "No scan: volumes and diameters only."
            self.about_label.setText(values if table["labels"] else "No voxel is labeled.")
        self.warnings_label.setText("" if table is None else "\n".join(f"⚠ {line}" for line in table["warnings"][:5]))
        self.warnings_label.setVisible(bool(self.warnings_label.text()))
        self.panel.set_ready(edits is not None)
        self._update()

    def _rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table with the names that the labels have now."""
        edits = self.edits
        if edits is None or self._table is None:
            return []
        names = edits.names
        return [{**row, "name": names.get(row["label"], row["name"])} for row in self._table["labels"]]

    def _update(self) -> None:
        edits, n = self.edits, len(self.tree.selected)
        fixed = "" if edits is None else edits.why_fixed
        self.hide_button.setEnabled(n > 0)
        self.hide_button.setText("Show" if edits and n and set(self.tree.selected) <= edits.hidden else "Hide")
        self.merge_button.setEnabled(n > 1 and not fixed)
        self.delete_button.setEnabled(n > 0 and not fixed)
        for button in (self.merge_button, self.delete_button):
            button.setStatusTip(fixed)
        last, following = (None, None) if edits is None else (edits.steps.last, edits.steps.next)
        for button, word, step in ((self.undo_button, "Undo", last), (self.redo_button, "Redo", following)):
            button.setEnabled(step is not None)
            button.setText(word if step is None else f"{word} {step.name.lower()}")
        self._keys.update()
        for button in (self.copy_button, self.csv_button):
            button.setEnabled(bool(self._table and self._table["labels"]))

    # -- what is done with segments --------------------------------------------------------------------------------

    def go_to(self, value: int) -> None:
        """Show the slices through the middle of a segment."""
        row = next((row for row in self._rows() if row["label"] == value), None)
        if row is not None:
            go_to(self._viewer, [row[f"centroid_{axis}_mm"] for axis in "xyz"])

    def merge(self) -> None:
        """Make all selected segments the topmost of them."""
        if self.edits is not None and len(self.tree.selected) > 1 and not self._is_refused(self.tree.selected):
            self._after(self.edits.merge(self.tree.selected))

    def delete(self) -> None:
        """Make the selected segments background."""
        if self.edits is not None and not self._is_refused(self.tree.selected):
            self._after(self.edits.delete(self.tree.selected))

    def _is_refused(self, values: list[int]) -> bool:
        """Say which of some labels are locked; whether any is."""
        line = "" if self.edits is None else self.edits.locked_line(values)
        if line:
            self.panel.message_label.setText(f"⚠ {line}")
        return bool(line)

    def undo(self) -> None:
        """Take the last change back."""
        if self.edits is not None and self.edits.steps.last is not None:
            self._after(self.edits.undo())

    def redo(self) -> None:
        """Do the change again that was taken back last."""
        if self.edits is not None and self.edits.steps.next is not None:
            self._after(self.edits.redo())

    def _lists(self) -> list[UndoList]:
        edits = self.edits
        return [self.rulers.book.steps, *([] if edits is None else [edits.steps])]

    def _undo_of(self, steps: UndoList) -> None:
        steps.undo() if steps is self.rulers.book.steps else self.undo()

    def _redo_of(self, steps: UndoList) -> None:
        steps.redo() if steps is self.rulers.book.steps else self.redo()

    def on_edited(self, are_voxels_new: bool, line: str) -> None:
        """Follow a step that did not come from here: napari's brush, a key on the canvas."""
        from napari.utils.notifications import show_warning

        if line:  # the line of this page soon says how many segments were measured
            self.panel.message_label.setText(f"⚠ {line}")
            show_warning(line)
        self._show()
        if are_voxels_new:
            self._on_painted()

    def copy(self) -> None:
        """Copy the selected rows, else all, for a spreadsheet."""
        from napari_radcnn.measure import as_csv

        if self._table is None:
            return
        selected = set(self.tree.selected)
        rows = [row for row in self._rows() if not selected or row["label"] in selected]
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(as_csv({**self._table, "labels": rows}, "\t"))
        self.panel.message_label.setText(f"{len(rows)} rows copied.")

    def write(self, path: Path) -> None:
        """Write the table to a file, ``.csv`` or ``.json``."""
        from napari_radcnn.measure import write_table

        if self._table is None:
            return
        try:
            write_table({**self._table, "labels": self._rows()}, path, overwrite=True)
        except RadcnnError as error:
            self.panel.fail(str(error))
            return
        self.panel.message_label.setText(f"Written: {path}")

    def _choose_file(self) -> None:
        kinds = "Table (*.csv);;Table with definitions (*.json)"
        found, _ = QFileDialog.getSaveFileName(self, "Write the table to", str(Path.home() / "segments.csv"), kinds)
        if found:
            path = Path(found)
            self.write(path if path.suffix else path.with_suffix(".csv"))

    def _hide(self, values: list[int]) -> None:
        if self.edits is not None and values:
            self.edits.hide(values, not set(values) <= self.edits.hidden)
            self._states()

    def _lock(self, value: int) -> None:
        if self.edits is None:
            return
        if self.edits.is_session:
            self.panel.message_label.setText(f"⚠ {self.edits.why_fixed}")
            return
        self.edits.locked ^= {value}
        self._states()

    def _ask_color(self, value: int) -> None:
        if self.edits is None or self._is_refused([value]):
            return
        dialog = QColorDialog(QColor.fromRgbF(*self.edits.color(value)), self)
        dialog.setObjectName("radcnn_color")
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
        dialog.colorSelected.connect(lambda color: self.recolor(value, color))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def recolor(self, value: int, color: QColor) -> None:
        """Give a segment another color."""
        if self.edits is not None:
            self.edits.recolor(value, (color.redF(), color.greenF(), color.blueF()))
            self._states()

    def _rename(self, value: int, name: str) -> None:
        if self.edits is None:
            return
        if name and name != self.edits.names.get(value) and not self._is_refused([value]):
            self.edits.rename(value, name)
        self._show()

    def _states(self) -> None:
        if self.edits is not None:
            self.tree.show_states(self.edits.color, self.edits.hidden, self.edits.locked)
        self._update()

    def _after(self, are_voxels_new: bool) -> None:
        """Measure again where voxels changed; show what else did."""
        self._show()
        if are_voxels_new:
            self.measure()


def _is_labels(layer: Any) -> bool:
    from napari.layers import Labels

    return isinstance(layer, Labels)


def _on_edited(page: weakref.ref[MeasureDock], are_voxels_new: bool, line: str) -> None:
    there = page()
    if there is not None and isalive(there):
        there.on_edited(are_voxels_new, line)

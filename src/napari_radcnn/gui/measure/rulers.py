"""The part of the Measure page with rulers: tools, the list, target lesions over visits, files."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.findings.view import go_to
from napari_radcnn.gui.layers.belonging import identity, is_scan
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.gui.layers.unsaved import is_unsaved, mark_unsaved
from napari_radcnn.gui.measure.book import TITLES, RulerBook, tip_text
from napari_radcnn.gui.measure.canvas import RulerLayer
from napari_radcnn.gui.measure.carried import rulers_in
from napari_radcnn.gui.measure.drawing import RulerMouse
from napari_radcnn.gui.measure.tree import NARROW_HEADER, shrink
from napari_radcnn.gui.parts.gone import when_gone
from napari_radcnn.gui.parts.tips import as_it_is
from napari_radcnn.gui.parts.widgets import LayerCombo, wrapped_label
from napari_radcnn.measure import follow_up, read_rulers, write_rulers
from napari_radcnn.measure.ruler_table import value_text
from napari_radcnn.measure.rulers import Kind, Ruler
from napari_radcnn.volume import Volume

_NAME, _VALUE, _TARGET, _NODE, _VISIT = range(5)
_REPORT = ".sr.dcm"
#: Of rulers that lie in another patient space than the scan, and are not drawn on it.
_ELSEWHERE = QColor(128, 128, 128)
#: What is measured of a picture whose pixels have no known size, too.
_WITHOUT_MM = ("angle", "cobb")


class RulerSection(QWidget):
    """Draws rulers on the slices of a scan, lists them, and writes them.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas.
    scan_combo : LayerCombo
        The scan that regions are measured on.
    in_suv : callable
        Whether a PET is measured in SUV by body weight.
    """

    #: The rulers, or what can be taken back, are others.
    changed = Signal()

    def __init__(self, viewer: Any, scan_combo: LayerCombo, in_suv: Callable[[], bool]) -> None:
        super().__init__()
        self._viewer, self._scan_combo, self._in_suv = viewer, scan_combo, in_suv
        self._is_filling = False
        self._unit = ""
        self._followed = identity(scan_combo.layer)
        self._measured: list[dict[str, float | int | None]] = []
        #: What rulers measure on the scan that is chosen now, in its unit.
        self._known: dict[Ruler, dict[str, float | int | None]] = {}
        self.book = RulerBook(self._on_changed)
        self.shown = RulerLayer(viewer)
        self.mouse = RulerMouse(viewer, self)
        self._build()
        when_gone(self, self.mouse.detach)
        self._update()
        viewer.layers.events.inserted.connect(self._on_inserted, position="last")
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._take_soon(layer)

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        grid = QGridLayout()
        grid.setSpacing(3)
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        self.tools: dict[Kind, QPushButton] = {}
        for n, (kind, title) in enumerate(TITLES.items()):
            button = QPushButton(title)
            button.setCheckable(True)
            shrink(button)
            button.setStyleSheet(button.styleSheet() + " QPushButton:checked { background: #2f6f9f; }")
            button.clicked.connect(partial(self._on_tool, kind))
            self.tools[kind] = button
            grid.addWidget(button, n // 3, n % 3)
        layout.addLayout(grid)
        self.message_label = wrapped_label()
        layout.addWidget(self.message_label)
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Name", "Value", "T", "N", "Visit"])
        for column, tip in ((_TARGET, "Target lesion (RECIST 1.1)"), (_NODE, "Lymph node: its short axis counts")):
            self.list.headerItem().setToolTip(column, tip)
        self.list.setRootIsDecorated(False)
        self.list.setMinimumHeight(120)
        self.list.setEditTriggers(QTreeWidget.EditTrigger.NoEditTriggers)
        self.list.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        header = self.list.header()
        header.setStyleSheet(NARROW_HEADER)
        header.setMinimumSectionSize(18)
        header.setStretchLastSection(False)
        for column, width in ((_NAME, 66), (_VISIT, 68)):
            header.resizeSection(column, width)
        # what is left: whole beside the ruler and in the tool tip, so that marks and visits are seen in a narrow panel
        header.setSectionResizeMode(_VALUE, QHeaderView.ResizeMode.Stretch)
        for column in (_TARGET, _NODE):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, 20)
        layout.addWidget(self.list)
        self.sum_label = wrapped_label()
        layout.addWidget(self.sum_label)
        line = QHBoxLayout()
        self.delete_button = QPushButton("Delete")
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.undo_button.setToolTip("Undo the last change of rulers (Ctrl+Z)")
        self.redo_button.setToolTip("Redo the change (Ctrl+Shift+Z)")
        self.open_button, self.save_button = QPushButton("Open …"), QPushButton("Save …")
        self.open_button.setToolTip("Read rulers from .csv or a DICOM report")
        self.save_button.setToolTip("Write rulers to .csv, or to a DICOM report (.sr.dcm) in the scan's study")
        for button in (self.delete_button, self.undo_button, self.redo_button, self.open_button, self.save_button):
            shrink(button)
            line.addWidget(button)
        layout.addLayout(line)
        self.list.itemClicked.connect(self._on_click)
        self.list.itemDoubleClicked.connect(self._on_double_click)
        self.list.itemChanged.connect(self._on_edited)
        self.list.itemSelectionChanged.connect(self._update)
        self.delete_button.clicked.connect(lambda: self.book.delete(self._selected))
        self.undo_button.clicked.connect(self.book.steps.undo)
        self.redo_button.clicked.connect(self.book.steps.redo)
        self.open_button.clicked.connect(self._choose_to_open)
        self.save_button.clicked.connect(self._choose_to_save)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def tool(self) -> Kind | None:
        """Return the chosen tool."""
        return next((kind for kind, button in self.tools.items() if button.isChecked()), None)

    def draw(self, kind: Kind, points: npt.NDArray[np.float64]) -> None:
        """Show what is drawn so far."""
        self._show((kind, points))

    def finish(self, kind: Kind, points: npt.NDArray[np.float64]) -> None:
        """Take a ruler that was drawn."""
        scan = self.scan
        if not len(points):
            self._show()
            return
        if scan is not None and not scan.metadata.is_calibrated and kind not in _WITHOUT_MM:
            self._show()
            self.tell("The pixel size is not known, so nothing is measured in mm: type it on the page Scans.")
            return
        ruler = Ruler(
            kind,
            tuple((float(x), float(y), float(z)) for x, y, z in points),
            visit="" if scan is None else scan.metadata.study_date or scan.name,
            frame_of_reference_uid="" if scan is None else scan.metadata.frame_of_reference_uid,
        )
        self.book.add([ruler])
        self.list.setCurrentItem(self.list.topLevelItem(len(self.book.rulers) - 1))

    def tell(self, line: str) -> None:
        """Say a line."""
        self.message_label.setText(line)

    @property
    def scan(self) -> Volume | None:
        """The chosen scan."""
        return _volume(self._scan_combo.layer)

    def _on_tool(self, kind: Kind, is_on: bool) -> None:
        for other, button in self.tools.items():
            if other != kind:
                button.setChecked(False)
        self.mouse.detach()
        if is_on:
            self.mouse.attach()
        self.tell("Draw on a slice with the left button held; click the tool again to end." if is_on else "")
        self._show()

    # -- the list --------------------------------------------------------------------------------------------------

    @property
    def _selected(self) -> list[int]:
        rows = range(self.list.topLevelItemCount())
        return [n for n in rows if self.list.topLevelItem(n).isSelected()]

    @property
    def measured(self) -> list[dict[str, float | int | None]]:
        """What each ruler measures, in the order of the list."""
        return self._measured

    def follow_scan(self) -> None:
        """Measure all on the scan that is chosen now, where it is another one."""
        chosen = identity(self._scan_combo.layer)
        if chosen != self._followed:
            self._followed = chosen
            self.measure()

    def measure(self) -> None:
        """Measure all rulers anew, such as in another unit."""
        self._known = {}
        if self.book.rulers:
            self._on_changed()

    def _on_changed(self) -> None:
        scan = self.scan
        # a scan that is not in memory would be loaded as a whole for a circle
        image = scan if scan is not None and scan.is_loaded else None
        is_suv = scan is not None and scan.suvbw_factor is not None and self._in_suv()
        self._unit = "" if scan is None else "SUVbw" if is_suv else scan.metadata.units
        before, self._known = self._known, {}
        for ruler in self.book.rulers:  # those that are new or moved
            self._known[ruler] = before[ruler] if ruler in before else self._measure(ruler, image, is_suv)
        self._measured = [self._known[ruler] for ruler in self.book.rulers]
        self._is_filling = True
        self.list.clear()
        for ruler, found in zip(self.book.rulers, self._measured, strict=True):
            item = QTreeWidgetItem([ruler.name, value_text(found, self._unit), "", "", ruler.visit])
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            item.setToolTip(_NAME, as_it_is(f"{TITLES[ruler.kind]}: {ruler.name}"))
            item.setToolTip(_VALUE, as_it_is(tip_text(found, self._unit)))
            for column, mark in ((_TARGET, ruler.is_target), (_NODE, ruler.is_node)):
                item.setCheckState(column, Qt.CheckState.Checked if mark else Qt.CheckState.Unchecked)
            if not self._is_here(ruler):
                for column in (_NAME, _VALUE, _VISIT):
                    item.setForeground(column, _ELSEWHERE)
                item.setToolTip(_VALUE, as_it_is(f"{tip_text(found, self._unit)}\n{self._why_elsewhere()}"))
            self.list.addTopLevelItem(item)
        self._is_filling = False
        self._show_sum()
        self._show()
        self.shown.keep(self.book.rulers, self.book.is_unsaved, self._scan_combo.layer)
        self._update()

    def _measure(self, ruler: Ruler, image: Volume | None, is_suv: bool) -> dict[str, float | int | None]:
        return ruler.measure(image if self._is_here(ruler) else None, suv=is_suv)

    def _is_here(self, ruler: Ruler) -> bool:
        """Whether a ruler lies in the patient space of the chosen scan, as far as both say; without a scan, too."""
        scan = self.scan
        return scan is None or ruler.is_in_space_of(scan)

    def _why_elsewhere(self) -> str:
        scan = self.scan
        name = "the scan" if scan is None else f"'{scan.name}'"
        return f"In another patient space (frame of reference) than {name}: not drawn on it."

    def _show_sum(self) -> None:
        try:
            visits, told = follow_up(self.book.rulers)
        except RadcnnError as error:
            self.sum_label.setText(f"⚠ {error}")
            return
        lines = []
        for visit in visits:
            line = f"{visit.name or 'visit'}: sum {visit.total:.1f} mm"
            if visit.from_baseline is not None and visit.from_nadir is not None:
                line += f", {visit.from_baseline:+.0f} % from baseline, {visit.from_nadir:+.0f} % from nadir"
            lines.append(f"{line} {visit.response}".rstrip())
        self.sum_label.setText("\n".join([*lines, *(f"⚠ {line}" for line in told)]))

    def _show(self, drawn: tuple[str, npt.NDArray[np.float64]] | None = None) -> None:
        here = [n for n, ruler in enumerate(self.book.rulers) if self._is_here(ruler)]
        texts = [value_text(self._measured[n], self._unit) for n in here]
        chosen = next((place for place, n in enumerate(here) if n in self._selected), None)
        self.shown.show([self.book.rulers[n] for n in here], texts, self._scan_combo.layer, chosen, drawn)

    def _update(self) -> None:
        steps = self.book.steps
        self.delete_button.setEnabled(bool(self._selected))
        self.undo_button.setEnabled(steps.last is not None)
        self.redo_button.setEnabled(steps.next is not None)
        self.save_button.setEnabled(bool(self.book.rulers))
        self.changed.emit()

    def _on_click(self, item: QTreeWidgetItem, column: int) -> None:
        if column not in (_NAME, _VALUE):
            return
        ruler = self.book.rulers[self.list.indexOfTopLevelItem(item)]
        if not self._is_here(ruler):
            scan = next((layer for layer in self._scan_combo.layers if _lies_on(ruler, _volume(layer))), None)
            if scan is None:
                self.tell(f"⚠ '{ruler.name}': {self._why_elsewhere()} Open the scan that it was drawn on.")
                return
            self._scan_combo.choose(scan)
            for other in self._scan_combo.layers:
                other.visible = other == scan
        go_to(self._viewer, ruler.center)
        self._show()

    def _on_double_click(self, item: QTreeWidgetItem, column: int) -> None:
        if column in (_NAME, _VISIT):
            self.list.editItem(item, column)

    def _on_edited(self, item: QTreeWidgetItem, column: int) -> None:
        if self._is_filling:
            return
        number = self.list.indexOfTopLevelItem(item)
        is_checked = item.checkState(column) == Qt.CheckState.Checked
        fields = {
            _NAME: {"name": item.text(_NAME).strip() or self.book.rulers[number].name},
            _VISIT: {"visit": item.text(_VISIT).strip()},
            _TARGET: {"is_target": is_checked},
            _NODE: {"is_node": is_checked},
        }
        self.book.change(number, **fields.get(column, {}))

    # -- files -----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write all rulers as ``.csv``, or as ``.sr.dcm`` those of the patient space of the chosen scan."""
        told: list[str] = []
        try:
            if path.name.lower().endswith(_REPORT):
                told = self._report(path)
            else:
                path = path if path.suffix else path.with_suffix(".csv")
                write_rulers(self.book.rulers, path, self._measured, self._unit, overwrite=True)
        except RadcnnError as error:
            self.tell(f"⚠ {error}")
            return
        if all(map(self._is_here, self.book.rulers)) or path.suffix.lower() == ".csv":
            self.book.note_saved()
        self.tell(" ⚠ ".join([f"Written: {path}", *told]))

    def _report(self, path: Path) -> list[str]:
        """Write a report, and return what is not in it."""
        from napari_radcnn.io.dicom_results import write_ruler_report
        from napari_radcnn.io.dicom_results.write.figures import left_out

        scan = self.scan
        if scan is None:
            raise RadcnnError("A DICOM report needs the scan that the rulers were drawn on: choose it above.")
        both = zip(self.book.rulers, self._measured, strict=True)
        here = [(ruler, found) for ruler, found in both if self._is_here(ruler)]
        if not here:
            raise RadcnnError(
                f"No ruler lies in the patient space of '{scan.name}': choose the scan of the rulers above."
            )
        rulers, measured = zip(*here, strict=True)
        write_ruler_report(rulers, path, scan, measured, self._unit, overwrite=True)
        told = []
        if any(found.get("mean") is not None for found in measured) and left_out(self._unit, scan.modality):
            told.append(left_out(self._unit, scan.modality))
        if len(here) < len(self.book.rulers):
            away = _count(len(self.book.rulers) - len(here))
            told.append(f"{away} of other scans not written: a report belongs to one study; choose the next scan.")
        return told

    def open(self, path: Path) -> None:
        """Add the rulers of a file."""
        from napari_radcnn.io.dicom_results import read_ruler_report

        try:
            found = read_rulers(path) if path.suffix.lower() == ".csv" else read_ruler_report(path)
        except RadcnnError as error:
            self.tell(f"⚠ {error}")
            return
        self._take(found, path.name, are_on_disk=True)

    def _take(self, rulers: Sequence[Ruler], name: str, are_on_disk: bool) -> None:
        """Add rulers of a file, and show the scan that they lie on; say where there is none."""
        self.book.add(rulers, are_on_disk=are_on_disk)
        scans = self._scan_combo.layers
        told = f"{_count(len(rulers))} from {name}."
        here = [ruler for ruler in rulers if self._is_here(ruler)]
        if not scans:
            self.tell(f"⚠ {told} No scan is open: open the scan that they were drawn on to see them on it.")
            return
        if not here:  # of the scans that are open, perhaps another one
            here = [ruler for ruler in rulers if any(_lies_on(ruler, _volume(scan)) for scan in scans)]
        if not here:
            self.tell(
                f"⚠ {told} None of the open scans lies in their patient space (frame of reference): they are listed "
                "and not drawn. Open the scan that they were drawn on."
            )
            return
        row = self.book.rulers.index(here[0])
        self._on_click(self.list.topLevelItem(row), _NAME)
        scan, away = self.scan, len(rulers) - sum(self._is_here(ruler) for ruler in rulers)
        if away:
            told += f" {away} lie in another patient space than the scan: not drawn on it."
        elif scan is not None and here[0].frame_of_reference_uid and not scan.metadata.frame_of_reference_uid:
            told += f" '{scan.name}' does not state its patient space: check that the rulers belong to it."
        self.tell(told)

    # -- layers that carry rulers ----------------------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        if isalive(self):
            self._take_soon(event.value)

    def _take_soon(self, layer: Any) -> None:
        """Take over the rulers that a layer carries, once it is in the viewer and all that listens knows it."""
        own, carrier = weakref.ref(self), weakref.ref(getattr(layer, "__wrapped__", layer))
        if rulers_in(layer):
            QTimer.singleShot(0, lambda: _take_over(own, carrier))

    def take_over(self, layer: Any) -> None:
        """Take over the rulers that a layer of the viewer carries; the section's own layer shows them then."""
        if layer not in self._viewer.layers:
            return
        new = [ruler for ruler in rulers_in(layer) if ruler not in self.book.rulers]
        are_on_disk, name = not is_unsaved(layer), layer.name
        if not self.shown.is_own(layer):
            mark_unsaved(layer, False)  # it is not lost
            self._viewer.layers.remove(layer)
        if new:
            self._take(new, f"'{name}'", are_on_disk)

    def _on_removed(self, event: Any) -> None:
        """Delete the rulers with their layer; a step like others."""
        if isalive(self) and self.window().isVisible() and self.shown.is_own(event.value):
            self.book.delete(range(len(self.book.rulers)))

    def _choose_to_save(self) -> None:
        kinds = "Table (*.csv);;DICOM report (*.sr.dcm)"
        found, _ = QFileDialog.getSaveFileName(self, "Write the rulers to", str(Path.home() / "rulers.csv"), kinds)
        if found:
            self.save(Path(found))

    def _choose_to_open(self) -> None:
        kinds = "Rulers (*.csv *.dcm);;All files (*)"
        found, _ = QFileDialog.getOpenFileName(self, "Read rulers from", str(Path.home()), kinds)
        if found:
            self.open(Path(found))


def _volume(layer: Any | None) -> Volume | None:
    """Return the scan of a layer; None for none, and for an image that is no volume."""
    try:
        return None if layer is None or not is_scan(layer) else volume_from_layer(layer)
    except RadcnnError:
        return None


def _lies_on(ruler: Ruler, scan: Volume | None) -> bool:
    return scan is not None and ruler.is_in_space_of(scan)


def _count(n: int) -> str:
    return "1 ruler" if n == 1 else f"{n} rulers"


def _take_over(section: weakref.ref[RulerSection], carrier: weakref.ref[Any]) -> None:
    there, layer = section(), carrier()
    if there is not None and isalive(there) and layer is not None:
        there.take_over(layer)

"""Count the actions of everyday jobs in the real viewer, with mouse and keys, and write ``docs/actions.md``.

``xvfb-run -a python docs/make_actions.py``. Each job is done twice, with the mouse first and with the keyboard alone,
and is counted only where it led to what it is for: a script that cannot do a job ends with an error. An action is a
press of a mouse button or a key, a drag, a notch of the wheel, a drop, or a text that is typed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QMainWindow, QMenu, QToolButton, QWidget

import napari_radcnn as radcnn
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.panel.panel import KEY, START_KEY, panel_of
from napari_radcnn.gui.reading.cuts.solids import SolidLook
from napari_radcnn.gui.reading.room import Room, open_room
from napari_radcnn.io import kind_of
from napari_radcnn.io.contents import Kind
from napari_radcnn.phantom import head

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from dicom_factory import write_dicom_series  # only the repository has it

_PAGE = Path(__file__).parent / "actions.md"
_LEFT, _NO = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
_CONTROL, _ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier
_MODEL = "brain-extraction"


def disc(root: Path, scan: radcnn.Volume) -> Path:
    """Write a folder of three studies of three patients with six series, all made of one head, and return it."""
    folder = root / "disc"
    thirds = scan.array[::3]
    thick = scan.with_array(thirds, Geometry(thirds.shape, scan.geometry.affine @ np.diag((3.0, 1.0, 1.0, 1.0))))
    dark = scan.with_array((scan.array.max() - scan.array) * (scan.array > scan.array.max() / 10))
    for n, (patient, series) in enumerate(
        (
            ("BEISPIEL^ANNA", (("T1", scan), ("FLAIR", dark), ("T1 thick", thick))),
            ("MUSTER^BEN", (("T1", dark), ("T1 after", thick))),
            ("NIEMAND^CARL", (("T1", scan),)),
        )
    ):
        study = f"1.2.826.0.1.3680043.8.498.{n + 1}"
        for number, (name, volume) in enumerate(series, 1):
            write_dicom_series(
                folder / f"{n}" / f"{number}",
                volume,
                modality="MR",
                shuffle=False,
                series_number=number,
                study_uid=study,
                frame_of_reference_uid=f"{study}.9",
                PatientName=patient,
                PatientID=f"P{n + 1}",
                SeriesDescription=name,
                StudyDescription="Head",
                StudyDate=f"2026{n + 3:02d}11",
                BodyPartExamined="HEAD",
            )
    return folder


def wait(condition: Callable[[], bool] = lambda: False, limit: float = 0.3) -> None:
    """Process events until the condition holds, or for `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.005)


class Hand:
    """Mouse and keys in the window of a viewer, and how many actions that were.

    Parameters
    ----------
    viewer : napari.Viewer
        Shown.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer, self.count = viewer, 0
        self.panel = panel_of(viewer)
        self.window = next(
            each for each in QApplication.topLevelWidgets() if isinstance(each, QMainWindow) and each.isVisible()
        )

    @property
    def canvas(self) -> QWidget:
        """The picture."""
        return open_room(self.viewer).overlay.parentWidget()

    def drop(self, path: Path) -> None:
        """Drop a file or a folder on the canvas."""
        from napari.qt import QtViewer

        target, urls, action = self.window.findChild(QtViewer), QMimeData(), Qt.DropAction.CopyAction
        urls.setUrls([QUrl.fromLocalFile(str(path))])
        where = target.rect().center()
        QApplication.sendEvent(target, QDragEnterEvent(where, action, urls, _LEFT, _NO))
        QApplication.sendEvent(target, QDropEvent(QPointF(where), action, urls, _LEFT, _NO, QEvent.Type.Drop))
        self._done()

    def click(self, widget: QWidget, where: QPoint | None = None) -> None:
        """Click on a widget that is seen."""
        if not widget.isVisible() or not widget.isEnabled():
            raise SystemExit(f"{widget.objectName() or widget!r} cannot be clicked")
        QTest.mouseClick(widget, _LEFT, _NO, widget.rect().center() if where is None else where)
        self._done()

    def choose(self, combo: QComboBox, row: int) -> None:
        """Open a list and click on an entry."""
        self.click(combo)
        wait(limit=0.8)  # a list that has just come up takes no click
        view = combo.view()
        view.scrollTo(combo.model().index(row, combo.modelColumn()))
        self.click(view.viewport(), view.visualRect(combo.model().index(row, combo.modelColumn())).center())

    def turn_wheel(self) -> None:
        """Turn the wheel over the canvas by one notch."""
        where = QPointF(self.canvas.rect().center())
        to = QPointF(self.canvas.mapToGlobal(self.canvas.rect().center()))
        turn, phase = QPoint(0, -120), Qt.ScrollPhase.NoScrollPhase
        QApplication.sendEvent(
            self.canvas, QWheelEvent(where, to, QPoint(), turn, Qt.MouseButton.NoButton, _NO, phase, False)
        )
        self._done()

    def click_entry(self, button: QToolButton, start: str) -> None:
        """Open the menu of a button, and click on the entry that begins with a text."""
        menu = button.menu()
        QTimer.singleShot(300, lambda: self._click_in(menu, start))  # a menu has the program wait for it
        self.click(button)

    def _click_in(self, menu: QMenu, start: str) -> None:
        action = next(each for each in menu.actions() if each.text().startswith(start))
        where = menu.actionGeometry(action).center()
        QTest.mouseMove(menu, where)  # a menu takes no click of a mouse that has not moved since it came up
        self.click(menu, where)

    def drag_ring(self, degrees: float) -> None:
        """Drag a ring on the cross-hair of the first view by some degrees, clockwise."""
        room = open_room(self.viewer)
        corners, size = room._own_corners(), np.array([self.canvas.width(), self.canvas.height()])
        middle, reach = size / 2 + corners.cross, corners.reach * size.min()
        angles = np.radians(np.linspace(0, degrees, 6))
        moves = [QPoint(*np.rint(middle + reach * np.array([np.cos(a), np.sin(a)])).astype(int)) for a in angles]
        self._drag(moves, _LEFT)

    def drag_window(self) -> None:
        """Drag with the right button over the picture."""
        start = self.canvas.rect().center()
        self._drag([start + QPoint(20 * n, 10 * n) for n in range(6)], Qt.MouseButton.RightButton)

    def _drag(self, moves: Sequence[QPoint], button: Qt.MouseButton) -> None:
        no = Qt.MouseButton.NoButton
        for kind, where, pressed in (
            (QEvent.Type.MouseButtonPress, moves[0], button),
            *((QEvent.Type.MouseMove, each, no) for each in moves[1:]),
            (QEvent.Type.MouseButtonRelease, moves[-1], button),
        ):
            held = no if kind == QEvent.Type.MouseButtonRelease else button
            to = QPointF(self.canvas.mapToGlobal(where))
            QApplication.sendEvent(self.canvas, QMouseEvent(kind, QPointF(where), to, pressed, held, _NO))
            wait(limit=0.03)
        self._done()

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = _NO) -> None:
        """Press a key where the keyboard is."""
        self.window.activateWindow()
        wait(self.window.isActiveWindow, 5)
        focus = QApplication.focusWidget()
        QTest.keyClick(self.window if focus is None else focus, key, modifier)
        self._done()

    def type(self, text: str) -> None:
        """Type a text where the keyboard is."""
        QTest.keyClicks(QApplication.focusWidget(), text)
        self._done()

    def tab_to(self, widget: QWidget) -> None:
        """Press Tab until a widget has the keyboard; F9 first where it is not in the panel."""
        focus = QApplication.focusWidget()
        if focus is None or not self.panel.isAncestorOf(focus):
            self.key(getattr(Qt.Key, f"Key_{KEY}"))
        for _ in range(60):
            if widget.hasFocus() or widget.isAncestorOf(QApplication.focusWidget()):
                return
            self.key(Qt.Key.Key_Tab)
        raise SystemExit(f"Tab does not lead to {widget.objectName() or widget!r}")

    def press(self, widget: QWidget) -> None:
        """Go to a button with Tab and press it with the space bar."""
        self.tab_to(widget)
        self.key(Qt.Key.Key_Space)

    def turn_page(self, name: str) -> None:
        """Go to the buttons of the pages with F9 and from one to the next with the arrows."""
        names = list(self.panel.buttons)
        self.canvas.setFocus()
        self.key(getattr(Qt.Key, f"Key_{KEY}"))
        while self.panel.name != name:
            is_left = names.index(self.panel.name) > names.index(name)
            before = self.panel.name
            self.key(Qt.Key.Key_Left if is_left else Qt.Key.Key_Right)
            if self.panel.name == before:
                raise SystemExit(f"the arrows do not lead from {before} to {name}")

    def _done(self) -> None:
        self.count += 1
        wait(limit=0.05)


class Jobs:
    """The jobs: each is done with a hand, and says whether it came to its end.

    Parameters
    ----------
    hand : Hand
        Does it.
    folder : Path
        What `disc` wrote.
    """

    def __init__(self, hand: Hand, folder: Path) -> None:
        self.hand, self.folder, self.viewer = hand, folder, hand.viewer
        self.rows: list[tuple[str, str, str]] = []

    def page(self, name: str) -> QWidget:
        """Return a page, which is shown."""
        if self.hand.panel.name != name:
            self.hand.panel.open(name)
            wait()
        return self.hand.panel.page

    def do(
        self,
        what: str,
        mouse: Callable[[], object],
        keys: Callable[[], object] | None,
        is_done: Callable[[], bool],
        again: Callable[[], object] = lambda: None,
    ) -> None:
        """Do a job with the mouse, go back, and do it with keys."""
        counts = []
        for way in (mouse, keys):
            if way is None:
                counts.append("needs the mouse")
                continue
            if counts:
                again()
                wait()
            self.hand.count = 0
            way()
            wait(is_done, 600)
            if not is_done():
                raise SystemExit(f"{what}: not done")
            counts.append(str(self.hand.count))
        self.rows.append((what, *counts))
        print(self.rows[-1], flush=True)

    def _scans(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]

    def all(self) -> None:
        """Do every job, in the order of a day's work."""
        hand, viewer = self.hand, self.viewer
        scans = self.page("Scans")

        def is_listed() -> bool:
            return len(viewer.layers) > 0 and scans.job is None and len(list(scans.tree.items())) == 6

        def type_folder() -> None:
            hand.tab_to(scans.path_line)
            hand.key(Qt.Key.Key_A, _CONTROL)
            hand.type(str(self.folder))
            hand.key(Qt.Key.Key_Return)

        def empty() -> None:
            viewer.layers.clear()
            scans.tree.clear()

        self.do("A folder to the first picture", lambda: hand.drop(self.folder), type_folder, is_listed, empty)
        items = list(scans.tree.items())

        def click_on(item: object) -> None:
            hand.click(scans.tree.viewport(), scans.tree.visualItemRect(item).center())

        def second_with_keys() -> None:
            scans.tree.setCurrentItem(items[1])
            hand.tab_to(scans.tree)
            hand.key(Qt.Key.Key_Down)
            hand.key(Qt.Key.Key_Return)

        self.do(
            "Another series of the folder",
            lambda: click_on(items[2]),
            second_with_keys,
            lambda: scans.job is None and len(viewer.layers) == 2,
            lambda: viewer.layers.pop(-1),
        )
        click_on(items[0])
        wait(lambda: viewer.layers.selection.active is viewer.layers[0], 20)
        self._reading()
        self._models()
        self._results()
        self._outlining()

    def _reading(self) -> None:
        hand, viewer = self.hand, self.viewer
        room = open_room(viewer)

        def back() -> None:
            room.show_plane("Axial")

        self.do(
            "The coronal plane",
            lambda: hand.click(room.bar.plane_buttons["Coronal"]),
            lambda: hand.key(Qt.Key.Key_F3),
            lambda: viewer.dims.order[0] == 1,
            back,
        )
        back()
        first = viewer.dims.current_step[0]
        self.do(
            "The next slice",
            hand.turn_wheel,
            lambda: (self.to_picture(), hand.key(Qt.Key.Key_Right)),
            lambda: viewer.dims.current_step[0] != first,
            lambda: viewer.dims.set_current_step(0, first),
        )
        layer = viewer.layers.selection.active
        before = layer.contrast_limits

        self.do(
            "Three linked planes",
            lambda: hand.click(room.bar.layout_buttons["three"]),
            lambda: hand.key(Qt.Key.Key_F6),
            lambda: room.layouts.name == "three",
            lambda: room.choose_layout("one"),
        )
        start = tuple(viewer.dims.current_step)
        reached: list[tuple[int, ...]] = []

        def click_there() -> None:
            hand.click(hand.canvas, QPoint(hand.canvas.width() * 2 // 5, hand.canvas.height() * 2 // 5))
            reached.append(tuple(viewer.dims.current_step))

        self.do(
            "All planes to one place",
            click_there,
            lambda: (self.to_picture(), self.cross_to(reached[0])),
            lambda: tuple(viewer.dims.current_step) == reached[0] != start,
            lambda: setattr(viewer.dims, "current_step", start),
        )
        self._turning(room)
        room.choose_layout("one")
        keys = [key for _, key, is_shown, _ in room.window_entries() if key and not is_shown]
        number = getattr(Qt.Key, f"Key_{keys[0][-1]}")
        self.do(
            "Another window",
            hand.drag_window,
            lambda: hand.key(number, _ALT),
            lambda: layer.contrast_limits != before,
            lambda: setattr(layer, "contrast_limits", before),
        )
        self.do(
            "The first window again",
            lambda: hand.key(Qt.Key.Key_0, _ALT),
            lambda: hand.key(Qt.Key.Key_0, _ALT),
            lambda: np.allclose(layer.contrast_limits, before),
            lambda: hand.key(number, _ALT),
        )

    def _turning(self, room: Room) -> None:
        """Turn the planes, thicken them, and show the scan in 3-D, beside three planes."""
        hand, cuts = self.hand, room.desk.cuts

        def entry(button: QToolButton, start: str) -> None:
            hand.click_entry(button, start)

        self.do(
            "The planes turned by ten degrees",
            lambda: hand.drag_ring(10),
            lambda: (self.to_picture(), hand.key(Qt.Key.Key_PageDown, _SHIFT | _CONTROL)),
            lambda: abs(cuts.degrees("Coronal") - 10) < 0.5,
            room.straighten,
        )
        self.do(
            "Planes upright again",
            lambda: hand.click(room.bar.upright_button),
            lambda: hand.key(Qt.Key.Key_F8),
            lambda: not cuts.is_turned,
            lambda: room.turn_cross(10),
        )
        self.do(
            "A slab of 10 mm",
            lambda: entry(room.bar.slab_button, "10 mm"),
            lambda: (self.to_picture(), hand.key(Qt.Key.Key_Home, _ALT)),
            lambda: cuts.thickness == 10,
            lambda: room.desk.show_slab(0),
        )
        room.desk.show_slab(0)

        def is_shown() -> bool:
            solid = room.layouts.solid
            return solid is not None and solid.is_ready and room.solid_look.preset == "MR head"

        def back() -> None:
            room.show_solid(SolidLook())
            room.choose_layout("three")

        self.do(
            "The head in 3-D",
            lambda: entry(room.bar.solid_button, "MR head"),
            lambda: (self.to_picture(), hand.key(Qt.Key.Key_F7, _SHIFT)),
            is_shown,
            back,
        )
        back()

    def cross_to(self, wanted: tuple[int, ...]) -> None:
        """Move the cross-hair of an axial plane with Shift and the arrows, ten steps at once with Ctrl."""
        keys = {1: (Qt.Key.Key_Up, Qt.Key.Key_Down), 2: (Qt.Key.Key_Left, Qt.Key.Key_Right)}
        for axis, (less, more) in keys.items():
            for _ in range(200):
                left = wanted[axis] - self.viewer.dims.current_step[axis]
                if not left:
                    break
                far = _SHIFT | _CONTROL if abs(left) >= 10 else _SHIFT
                self.hand.key(less if left < 0 else more, far)

    def to_picture(self) -> None:
        """Give the keyboard to the picture, if it is in the panel."""
        focus = QApplication.focusWidget()
        if focus is not None and self.hand.panel.isAncestorOf(focus):
            self.hand.key(getattr(Qt.Key, f"Key_{KEY}"))

    def _models(self) -> None:
        hand, viewer = self.hand, self.viewer
        page = self.page("Models")
        page.model_combo.setCurrentIndex(page.model_combo.findData(_MODEL))
        wait(lambda: not page.is_planning and page.panel.start_button.isEnabled(), 300)
        scan = viewer.layers.selection.active
        self.page("Scans")
        before = len(viewer.layers)

        def click_run() -> None:
            hand.click(hand.panel.buttons["Models"])
            wait(page.panel.start_button.isEnabled, 300)
            hand.click(page.panel.start_button)

        def key_run() -> None:
            hand.turn_page("Models")
            wait(page.panel.start_button.isEnabled, 300)
            hand.key(Qt.Key.Key_Return, _CONTROL)

        def without() -> None:
            viewer.layers.pop(-1)
            hand.panel.put_back.drop()
            viewer.layers.selection.active = scan
            self.page("Scans")

        self.do(
            "A model on the scan that is seen",
            click_run,
            key_run,
            lambda: page.job is None and len(viewer.layers) == before + 1,
            without,
        )

        def key_model() -> None:
            hand.tab_to(page.model_combo)
            for _ in range(30):
                if page.model_combo.currentIndex() == page.model_combo.findData("nlm-denoise"):
                    return
                hand.key(
                    Qt.Key.Key_Down
                    if page.model_combo.currentIndex() < page.model_combo.findData("nlm-denoise")
                    else Qt.Key.Key_Up
                )

        self.do(
            "Another model",
            lambda: hand.choose(page.model_combo, page.model_combo.findData("nlm-denoise")),
            key_model,
            lambda: page.spec.name == "nlm-denoise",
            lambda: page.model_combo.setCurrentIndex(page.model_combo.findData(_MODEL)),
        )
        self.do(
            "Keep to this scan whatever is active",
            lambda: hand.click(page.pin.button),
            lambda: hand.press(page.pin.button),
            lambda: page.pin.is_pinned,
            lambda: page.pin.button.setChecked(False),
        )
        page.pin.button.setChecked(False)
        viewer.layers.selection.active = viewer.layers[-1]

    def _results(self) -> None:
        hand, viewer = self.hand, self.viewer
        labels = viewer.layers[-1]
        folder = self.folder.parent
        export = self.page("Export")
        for title, suffix in (("A result to NIfTI", ".nii.gz"), ("A result to DICOM SEG", ".seg.dcm")):
            viewer.layers.selection.active = labels
            row = next(n for n, choice in enumerate(export._choices) if choice.suffix == suffix)
            export.format_combo.setCurrentIndex(row)
            target = folder / f"result{suffix}"
            export.path_line.setText(str(target))
            export.path_line.textEdited.emit(str(target))
            self.page("Scans")

            def click_write() -> None:
                hand.click(hand.panel.buttons["Export"])
                hand.click(export.panel.start_button)

            def key_write() -> None:
                hand.turn_page("Export")
                hand.key(Qt.Key.Key_Return, _CONTROL)

            def again(target: Path = target) -> None:
                for each in folder.glob(f"{target.name}*"):
                    each.unlink()
                self.page("Scans")

            self.do(
                title,
                click_write,
                key_write,
                lambda target=target: export.panel.job is None and target.is_file() and kind_of(target) is Kind.IMAGES,
                again,
            )
        put_back = hand.panel.put_back

        def remove() -> None:
            viewer.layers.remove(labels)

        labels.data_setitem((np.array([1]), np.array([1]), np.array([1])), 1)
        remove()
        self.do(
            "A removed result put back",
            lambda: hand.click(put_back.button),
            lambda: (hand.canvas.setFocus(), hand.press(put_back.button)),
            lambda: labels in viewer.layers,
            remove,
        )

    def _outlining(self) -> None:
        hand, viewer = self.hand, self.viewer
        segment = self.page("Interactive segmentation")
        viewer.layers.selection.active = viewer.layers[0]
        self.page("Scans")

        def start() -> None:
            wait(lambda: segment.editing is not None and segment.editing.is_open, 300)

        def outline() -> None:
            hand.click(hand.panel.buttons["Interactive segmentation"])
            hand.click(segment.start_button)
            start()
            hand.click(hand.canvas, hand.canvas.rect().center())

        def key_outline() -> None:
            hand.turn_page("Interactive segmentation")
            hand.key(Qt.Key.Key_Return, _CONTROL)
            start()
            self.to_picture()
            hand.key(Qt.Key.Key_Return)  # shows the cross-hair
            hand.key(Qt.Key.Key_Return)

        def without() -> None:
            kept = list(viewer.layers)[:n_before]
            segment.end()
            wait(lambda: segment.editing is None, 60)
            for layer in [layer for layer in viewer.layers if layer not in kept]:
                viewer.layers.remove(layer)
            hand.panel.put_back.drop()
            viewer.layers.selection.active = viewer.layers[0]
            self.page("Scans")

        def is_outlined() -> bool:
            editing = segment.editing
            if editing is None or not editing.is_open or editing.steps.unfinished:
                return False
            return any(editing.state.volumes_ml.values())

        n_before = len(viewer.layers)
        self.do("An object outlined by a click", outline, key_outline, is_outlined, without)
        hand.count = 0
        segment.end()
        wait(limit=3)


def main() -> None:
    """Do all jobs and write the page."""
    grid = Geometry.from_parts((48, 72, 60), (3.5, 3.0, 3.0), (-90.0, -100.0, -80.0))
    with tempfile.TemporaryDirectory() as name:
        folder = disc(Path(name), head(grid))
        viewer = napari.Viewer()
        viewer.window.resize(1366, 768)
        panel_of(viewer).open("Scans")
        wait(limit=2)
        jobs = Jobs(Hand(viewer), folder)
        jobs.all()
        viewer.close()
    lines = [
        "# Everyday jobs",
        "",
        "How many actions a job takes in the viewer, at 1366 x 768. Written by `docs/make_actions.py`, which does each",
        "job in the real program and counts; not edited by hand. An action is a press of a mouse button or a key, a",
        "drag, a notch of the wheel, a drop, or a text that is typed. Where a job needs a page of the panel, another",
        f"is shown when it starts. {KEY} goes to the panel and back to the picture; there the arrows turn the pages,",
        f"Tab goes on, and {START_KEY} presses the button of the page that starts its work.",
        "",
        "| job | with mouse and keys | with the keyboard alone |",
        "|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in jobs.rows),
    ]
    _PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

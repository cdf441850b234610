"""The tools that the mouse draws with, and their settings in mm and in the scan's units."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.interactive.mouse import Drawn, ToolName
from napari_radcnn.interactive.prompts import Position, Prompt
from napari_radcnn.interactive.tools import Paint

#: Tool, text on the button, key, tool tip.
TOOLS: tuple[tuple[ToolName, str, str, str], ...] = (
    ("navigate", "Navigate", "H", "The mouse pans and zooms the view; also while Space is held down"),
    ("point", "Point", "P", "Left-click on the object; right-click outside it"),
    ("box", "Box", "B", "Drag a box around the object; with the right button, around what is not part of it"),
    ("scribble", "Scribble", "S", "Draw a line inside the object; with the right button, outside it"),
    ("lasso", "Lasso", "L", "Draw around the object; with the right button, around what is not part of it"),
    ("brush", "Brush", "D", "Paint voxels of the object; the right button erases"),
    ("eraser", "Eraser", "E", "Erase voxels of the object; the right button paints"),
)
_PER_ROW = 4
#: Next radius by a key, and the largest, mm.
_FACTOR, _LARGEST = 1.25, 200.0
_WITH_RADIUS, _BRUSHES = ("scribble", "brush", "eraser"), ("brush", "eraser")


class Palette(QWidget):
    """Chooses a tool, and makes prompts and strokes of what was drawn with it."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        grid = QGridLayout()
        grid.setSpacing(3)
        self.buttons: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        for place, (name, text, key, tip) in enumerate(TOOLS):
            button = QPushButton(text)
            button.setCheckable(True)
            button.setToolTip(f"{tip} ({key})")
            button.setStyleSheet("QPushButton { padding: 4px 1px; }")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            self._group.addButton(button)
            self.buttons[name] = button
            grid.addWidget(button, *divmod(place, _PER_ROW))
        layout.addLayout(grid)
        self._settings = QFormLayout()
        self._settings.setContentsMargins(0, 0, 0, 0)
        self.radius_spin = _number(2.0, 0.0, _LARGEST, " mm", "Radius of the brush; half the width of a scribble")
        self.depth_spin = _number(
            0.0, 0.0, _LARGEST, " mm", "Depth of the box across slices, half to each side; 0: this slice only"
        )
        self.ball_check = QCheckBox("On all slices (ball)")
        self.ball_check.setToolTip("The brush is a ball; otherwise a disk on the current slice")
        self.range_check = QCheckBox("Values from … to")
        self.range_check.setToolTip("Paint and erase only voxels whose value in the scan lies in this range")
        self.low_spin = _number(0.0, -1e9, 1e9, "", "Lowest value")
        self.high_spin = _number(0.0, -1e9, 1e9, "", "Highest value")
        ends = QHBoxLayout()
        for widget in (self.low_spin, self.high_spin):
            ends.addWidget(widget)
        self._range = QWidget()
        self._range.setLayout(ends)
        ends.setContentsMargins(0, 0, 0, 0)
        self._settings.addRow("Radius", self.radius_spin)
        self._settings.addRow("Depth", self.depth_spin)
        self._settings.addRow(self.ball_check)
        self._settings.addRow(self.range_check)
        self._settings.addRow(self._range)
        layout.addLayout(self._settings)
        self._group.buttonClicked.connect(lambda _button: self._on_choice())
        self.range_check.toggled.connect(lambda _on: self._update())
        self.choose("navigate")

    @property
    def tool(self) -> ToolName:
        """The tool that is chosen."""
        return next(name for name, _, _, _ in TOOLS if self.buttons[name].isChecked())

    def choose(self, name: ToolName) -> None:
        """Choose a tool."""
        self.buttons[name].setChecked(True)
        self._on_choice()

    def scale_radius(self, larger: bool) -> None:
        """Make the radius larger or smaller by a quarter."""
        self.radius_spin.setValue(self.radius_spin.value() * (_FACTOR if larger else 1 / _FACTOR))

    def set_range(self, low: float, high: float) -> None:
        """Offer a range of values of the scan."""
        digits = 0 if high - low > 50 else 3
        for spin, value in ((self.low_spin, low), (self.high_spin, high)):
            spin.setDecimals(digits)
            spin.setSingleStep(max((high - low) / 50, 10.0**-digits))
            spin.setValue(value)

    # -- of what was drawn -----------------------------------------------------------------------------------------

    def prompt(self, drawn: Drawn, frame_of_reference_uid: str = "") -> Prompt | None:
        """Return the prompt that was drawn, as far as it is one yet."""
        points, uid = drawn.points, frame_of_reference_uid
        if drawn.tool == "point":
            return Prompt.point(points[0], positive=drawn.positive, frame_of_reference_uid=uid)
        if drawn.tool == "scribble":
            radius = self.radius_spin.value()
            return Prompt.scribble(points, positive=drawn.positive, radius=radius, frame_of_reference_uid=uid)
        if drawn.tool == "lasso" and len(points) > 2:
            return Prompt.lasso(points, positive=drawn.positive, frame_of_reference_uid=uid)
        if drawn.tool == "box":
            corners = _corners(drawn, self.depth_spin.value())
            if corners is not None:
                return Prompt.box(*corners, positive=drawn.positive, frame_of_reference_uid=uid)
        return None

    def paint(self, drawn: Drawn) -> Paint:
        """Return the stroke that was drawn.

        Raises
        ------
        OptionError
            If the range of values is empty.
        """
        has_range = self.range_check.isChecked()
        is_ball = self.ball_check.isChecked()
        return Paint(
            drawn.points,
            self.radius_spin.value(),
            erase=(drawn.tool == "eraser") == drawn.positive,
            low=self.low_spin.value() if has_range else None,
            high=self.high_spin.value() if has_range else None,
            is_flat=not is_ball,
            normal=None if is_ball else drawn.normal,
        )

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _on_choice(self) -> None:
        self._update()
        self.chosen.emit(self.tool)

    def _update(self) -> None:
        tool = self.tool
        self._settings.setRowVisible(self.radius_spin, tool in _WITH_RADIUS)
        self._settings.setRowVisible(self.depth_spin, tool == "box")
        self._settings.setRowVisible(self.ball_check, tool in _BRUSHES)
        self._settings.setRowVisible(self.range_check, tool in _BRUSHES)
        self._settings.setRowVisible(self._range, tool in _BRUSHES and self.range_check.isChecked())


def is_brush(tool: str) -> bool:
    """Whether a tool paints voxels; the others ask the engine."""
    return tool in _BRUSHES


def _corners(drawn: Drawn, depth: float) -> tuple[Position, ...] | None:
    """Return a box's corner and those beside it; None where its sides have no length."""
    start, end = np.array(drawn.points[0]), np.array(drawn.points[-1])
    right, down, normal = (np.array(axis) for axis in (drawn.right, drawn.down, drawn.normal))
    across, along = (end - start) @ right, (end - start) @ down
    if not (across and along):
        return None
    corner = start - normal * depth / 2
    ends = [corner, corner + right * across, corner + down * along]
    ends += [corner + normal * depth] if depth > 0 else []
    return tuple((float(x), float(y), float(z)) for x, y, z in ends)


def _number(value: float, low: float, high: float, suffix: str, tip: str) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(low, high)
    spin.setDecimals(1)
    spin.setSingleStep(0.5)
    spin.setValue(value)
    spin.setSuffix(suffix)
    spin.setMinimumWidth(60)  # a dock is narrow
    spin.setToolTip(tip)
    return spin

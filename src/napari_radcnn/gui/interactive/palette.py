"""The tools that the mouse draws with, and their settings in mm and in the scan's units."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.interactive.mouse import Drawn, ToolName
from napari_radcnn.gui.interactive.seeds_box import SeedsBox
from napari_radcnn.gui.interactive.threshold_box import ThresholdBox
from napari_radcnn.gui.parts.widgets import narrow_combo, number_spin
from napari_radcnn.interactive.prompts import Position, Prompt
from napari_radcnn.interactive.tools import Paint, Scissors

#: Tool, text on the button, key, tool tip.
TOOLS: tuple[tuple[ToolName, str, str, str], ...] = (
    ("navigate", "Navigate", "H", "The mouse pans and zooms the view; also while Space is held down"),
    ("point", "Point", "P", "Left-click on the object; right-click outside it"),
    ("box", "Box", "B", "Drag a box around the object; with the right button, around what is not part of it"),
    ("scribble", "Scribble", "S", "Draw a line inside the object; with the right button, outside it"),
    ("lasso", "Lasso", "L", "Draw around the object; with the right button, around what is not part of it"),
    ("brush", "Brush", "D", "Paint voxels of the object; the right button erases"),
    ("eraser", "Eraser", "E", "Erase voxels of the object; the right button paints"),
    ("smart", "Smart", "W", "Paint what has the values under the click, up to its edge; the right button erases"),
    ("threshold", "Threshold", "T", "Choose a range of values: drag over what belongs to it, or click two voxels"),
    ("seeds", "Seeds", "G", "Draw strokes inside several objects, which then grow until they meet"),
    ("trace", "Trace", "V", "Click to add what the contour through the voxel encloses; the right button erases"),
    ("scissors", "Scissors", "C", "Draw a closed line to cut the object; with the right button, the other side of it"),
)
_PER_ROW = 4
#: Next radius by a key, and the largest, mm.
_FACTOR, _LARGEST = 1.25, 200.0
_BRUSHES = ("brush", "eraser", "smart", "seeds")
#: Those that are as wide as twice the radius.
WITH_RADIUS = ("scribble", *_BRUSHES)
#: What scissors cut, and what they do with the other button.
_CUTS = (
    ("erase_inside", "Erase inside the line", "erase_outside"),
    ("erase_outside", "Erase outside the line", "erase_inside"),
    ("fill_inside", "Fill inside the line", "erase_inside"),
)


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
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # columns of one width
            self._group.addButton(button)
            self.buttons[name] = button
            grid.addWidget(button, *divmod(place, _PER_ROW))
        for column in range(_PER_ROW):
            grid.setColumnStretch(column, 1)
        layout.addLayout(grid)
        self._settings = QFormLayout()
        self._settings.setContentsMargins(0, 0, 0, 0)
        self.radius_spin = number_spin(2.0, 0.0, _LARGEST, " mm", "Radius of the brush; half the width of a scribble")
        self.depth_spin = number_spin(
            0.0, 0.0, _LARGEST, " mm", "Depth of the box across slices, half to each side; 0: this slice only"
        )
        self.ball_check = QCheckBox("On all slices (ball)")
        self.ball_check.setToolTip("The brush is a ball; otherwise a disk on the current slice")
        self.range_check = QCheckBox("Values from … to")
        self.range_check.setToolTip("Paint and erase only voxels whose value in the scan lies in this range")
        self.low_spin = number_spin(0.0, -1e9, 1e9, "", "Lowest value")
        self.high_spin = number_spin(0.0, -1e9, 1e9, "", "Highest value")
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
        self._build_values()
        layout.addLayout(self._settings)
        self._group.buttonClicked.connect(lambda _button: self._on_choice())
        self.range_check.toggled.connect(lambda _on: self._update())
        self.choose("navigate")

    def _build_values(self) -> None:
        """Lay out the settings of the tools that ask the scan's values, and of the scissors."""
        self.tolerance_check = QCheckBox("Values within ±")
        self.tolerance_check.setToolTip("How far values may lie from those under the click; otherwise up to the edge")
        self.tolerance_spin = number_spin(50.0, 0.0, 1e9, "", "In the unit of the scan")
        self.cut_combo = narrow_combo()
        for name, text, _ in _CUTS:
            self.cut_combo.addItem(text, name)
        self.through_check = QCheckBox("Through all slices")
        self.through_check.setChecked(True)
        self.through_check.setToolTip("Otherwise only the slice that is shown is cut")
        self.threshold_box, self.seeds_box = ThresholdBox(), SeedsBox()
        self._settings.addRow(self.tolerance_check, self.tolerance_spin)
        self._settings.addRow(self.cut_combo)
        self._settings.addRow(self.through_check)
        self._settings.addRow(self.threshold_box)
        self._settings.addRow(self.seeds_box)

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
        step = max((high - low) / 50, 10.0**-digits)
        for spin, value in (
            (self.low_spin, low),
            (self.high_spin, high),
            (self.tolerance_spin, (high - low) / 10),
        ):
            spin.setDecimals(digits)
            spin.setSingleStep(step)
            spin.setValue(value)
        self.threshold_box.set_steps(digits, step)
        self.threshold_box.set_range((low + high) / 2, high)

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

    def tolerance(self) -> float | None:
        """Return how far values may lie from those under the click of the smart brush; None for up to the edge."""
        return self.tolerance_spin.value() if self.tolerance_check.isChecked() else None

    def scissors(self, drawn: Drawn) -> Scissors:
        """Return the cut that was drawn.

        Raises
        ------
        OptionError
            If it has too few points.
        """
        name, _, other = _CUTS[self.cut_combo.currentIndex()]
        return Scissors(
            drawn.points, name if drawn.positive else other, self.through_check.isChecked(), normal=drawn.normal
        )

    def paint(self, drawn: Drawn, similar: tuple[float, float] | None = None) -> Paint:
        """Return the stroke that was drawn; `similar` is the range of values that a smart brush keeps to.

        Raises
        ------
        OptionError
            If the range of values is empty.
        """
        has_range = self.range_check.isChecked() and drawn.tool in ("brush", "eraser")
        low, high = (self.low_spin.value(), self.high_spin.value()) if has_range else similar or (None, None)
        is_ball = self.ball_check.isChecked()
        return Paint(
            drawn.points,
            self.radius_spin.value(),
            erase=(drawn.tool == "eraser") == drawn.positive,
            low=low,
            high=high,
            is_flat=not is_ball,
            normal=None if is_ball else drawn.normal,
            is_connected=drawn.tool == "smart",
        )

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _on_choice(self) -> None:
        self._update()
        self.chosen.emit(self.tool)

    def _update(self) -> None:
        tool = self.tool
        is_plain = tool in ("brush", "eraser")
        for row, is_on in (
            (self.radius_spin, tool in WITH_RADIUS),
            (self.depth_spin, tool == "box"),
            (self.ball_check, tool in _BRUSHES),
            (self.range_check, is_plain),
            (self._range, is_plain and self.range_check.isChecked()),
            (self.tolerance_check, tool == "smart"),
            (self.cut_combo, tool == "scissors"),
            (self.through_check, tool == "scissors"),
            (self.threshold_box, tool == "threshold"),
            (self.seeds_box, tool == "seeds"),
        ):
            self._settings.setRowVisible(row, is_on)


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

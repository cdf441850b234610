"""A part of a page that is folded until it is wanted."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget


class Section(QWidget):
    """A title that shows and hides what is below it.

    Parameters
    ----------
    title : str
        On the button.
    inside : QWidget
        What is shown and hidden; hidden first.
    """

    def __init__(self, title: str, inside: QWidget) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setStyleSheet("QToolButton { border: none; text-align: left; }")
        self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the focus in the canvas
        layout.addWidget(self.button)
        layout.addWidget(inside)
        self._inside = inside
        self.button.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def _on_toggled(self, is_open: bool) -> None:
        self.button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self._inside.setVisible(is_open)

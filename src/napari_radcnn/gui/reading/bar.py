"""The bar above the pictures: planes, layouts, windows; each button with its key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget
from superqt.utils import QFlowLayout

from napari_radcnn.gui.reading import windowing

#: Of each plane. Plain letters choose the tools of a session and of napari's layers, and letters with Alt open menus.
PLANE_KEYS = {"Axial": "F2", "Coronal": "F3", "Sagittal": "F4"}
#: Of each layout: what stands on its button, what it shows, and its key.
LAYOUTS = {
    "one": ("1", "One view", "F5"),
    "three": ("3", "Three linked planes with a cross-hair", "F6"),
    "four": ("3 + 3-D", "Three linked planes and the scan in 3-D", "F7"),
    "two": ("1 | 1", "Two scans side by side", "Shift+F8"),
    "grid": ("2 | 2", "Two scans side by side, two planes of each", "Shift+F9"),
    "row": ("1 | 1 | 1", "Three scans side by side", "Ctrl+Shift+F8"),
}
#: Layouts of pictures without planes.
_WITHOUT_PLANES = ("one", "two", "row")
#: napari's style shows neither that a tool button can be pressed nor that it is.
BAR_STYLE = (
    "QToolButton { padding: 2px 6px; border-radius: 3px; background: rgba(128, 128, 128, 60); }"
    'QToolButton[popupMode="1"] { padding-right: 18px; }'  # its arrow is a button of its own, beside the text
    "QToolButton::menu-button { width: 14px; border: none; }"
    "QToolButton:hover { background: rgba(128, 128, 128, 120); }"
    "QToolButton:checked { background: #0074a8; color: white; }"
    "QToolButton:disabled { color: gray; }"
    "QToolButton::menu-indicator { width: 10px; }"
)
#: Above and below the buttons, between two, and between groups of them.
_MARGIN, BETWEEN, _BETWEEN_GROUPS = 1, 3, 11

#: Of a menu: text, key, whether it is marked, and what it does.
Entry = tuple[str, str, bool, Callable[[], None]]


class Reader(Protocol):
    """What the bar acts on."""

    def show_plane(self, plane: str) -> None:
        """Show a plane."""
        ...

    def choose_layout(self, name: str) -> None:
        """Choose one of `LAYOUTS`."""
        ...

    def choose_window(self, number: int) -> None:
        """Choose the window of a key, from 0."""
        ...

    def window_entries(self) -> Sequence[Entry]:
        """Return text, key, whether it is shown, and what it does, of each entry of the menu of windows."""
        ...

    def patient_entries(self) -> Sequence[Entry]:
        """Return the same of each entry of the menu of the patient's name."""
        ...

    def straighten(self) -> None:
        """Have turned planes upright again."""
        ...

    def solid_entries(self) -> Sequence[Entry]:
        """Return the same of each entry of the menu of the view in 3-D."""
        ...

    def slab_entries(self) -> Sequence[Entry]:
        """Return the same of each entry of the menu of slabs."""
        ...


class ReadingBar(QWidget):
    """Buttons above the pictures.

    Parameters
    ----------
    reader : Reader
        What they act on.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.setObjectName("radcnn_reading_bar")
        self.setStyleSheet(BAR_STYLE)
        self._reader = reader
        layout = QFlowLayout(self)
        layout.setContentsMargins(4, _MARGIN, 4, _MARGIN)
        layout.setHorizontalSpacing(_BETWEEN_GROUPS)
        layout.setVerticalSpacing(_MARGIN)
        self._row = add_group(layout)
        self.plane_buttons = {
            plane: self._button(plane, f"{plane} plane, upright", key, partial(reader.show_plane, plane))
            for plane, key in PLANE_KEYS.items()
        }
        self._row = add_group(layout)
        self.layout_buttons = {
            name: self._button(text, what, key, partial(reader.choose_layout, name))
            for name, (text, what, key) in LAYOUTS.items()
        }
        self._row = add_group(layout)
        self.window_button = self._menu_button(
            "Window",
            "Windows of this scan (Alt+0 to Alt+9). By hand: Shift and left drag, or right drag",
            reader.window_entries,
        )
        self.patient_button = self._menu_button(
            "Patient", "Show or hide the patient's name and ID on the images", reader.patient_entries
        )
        self.upright_button = self._button(
            "Upright",
            "Turned planes upright again; they are turned by the rings on the cross-hair",
            "F8",
            reader.straighten,
        )
        self.upright_button.setCheckable(False)
        self.slab_button = self._menu_button(
            "Slab",
            "Thickness of the planes (Alt+PgUp, Alt+PgDown), and what is shown of it (Alt+Home)",
            reader.slab_entries,
        )
        self.solid_button = self._menu_button(
            "3-D", "How the scan is shown in 3-D, what clips it, and segments as surfaces", reader.solid_entries
        )
        for number in range(windowing.N_KEYS + 1):
            self._key(windowing.KEY.format(number), partial(reader.choose_window, number))

    def show_state(self, plane: str, layout: str, *, is_placed: bool) -> None:
        """Mark the plane and the layout that are shown; a picture without a place has one of each."""
        for name, button in self.plane_buttons.items():
            button.setChecked(name == plane)
            button.setEnabled(is_placed)
        for name, button in self.layout_buttons.items():
            button.setChecked(name == layout)
            button.setEnabled(is_placed or name in _WITHOUT_PLANES)

    def show_cuts(self, *, is_turned: bool, is_placed: bool) -> None:
        """Offer what can be done to turned planes and slabs."""
        self.upright_button.setEnabled(is_turned)
        self.slab_button.setEnabled(is_placed)
        self.solid_button.setEnabled(is_placed)

    def _button(self, text: str, what: str, key: str, act: Callable[[], None]) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setCheckable(True)
        button.setToolTip(f"{what} ({key})")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(lambda _checked: act())
        self._row.addWidget(button)
        self._key(key, act)
        return button

    def add(self, button: QToolButton, key: str, act: Callable[[], None]) -> None:
        """Have a button of others at the end, with its key."""
        self._row.addWidget(button)
        self._key(key, act)

    def _key(self, key: str, act: Callable[[], None]) -> None:
        """Have a key do something, wherever in the window the keyboard is."""
        action = QAction(self)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _checked: act())
        self.addAction(action)

    def _menu_button(self, text: str, what: str, entries: Callable[[], Sequence[Entry]]) -> QToolButton:
        """Add a button with a menu that is filled whenever it opens."""
        button = QToolButton()
        button.setText(text)
        button.setToolTip(what)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        menu = QMenu(button)
        menu.aboutToShow.connect(partial(_fill, menu, entries))
        button.setMenu(menu)
        self._row.addWidget(button)
        return button


def add_group(layout: QFlowLayout, above: int = 0) -> QHBoxLayout:
    """Add a group of buttons to a bar, which stay beside each other, and return its row.

    Groups that find no place beside those before them, as on a laptop whose screen is enlarged by half, begin another
    line: a row would keep the window wider than the screen. `above` pixels stay free above the buttons, beside what is
    higher.
    """
    group = QWidget()
    row = QHBoxLayout(group)
    row.setContentsMargins(0, above, 0, 0)
    row.setSpacing(BETWEEN)
    layout.addWidget(group)
    return row


def height_in(window: QWidget) -> int:
    """Return how high a line of the bar is in a window, before it is made."""
    bar = QWidget(window)
    bar.setStyleSheet(BAR_STYLE)
    button = QToolButton(bar)
    button.setText(next(iter(PLANE_KEYS)))
    height = button.sizeHint().height() + 2 * _MARGIN
    bar.deleteLater()
    return height


def _fill(menu: QMenu, entries: Callable[[], Sequence[Entry]]) -> None:
    menu.clear()
    for text, key, is_marked, act in entries():
        action = menu.addAction(f"{text}\t{key}" if key else text)
        action.setCheckable(True)
        action.setChecked(is_marked)
        action.triggered.connect(lambda _checked, act=act: act())

"""The bar of scans side by side: which scans, what is linked, the same place, and what is seen and copied."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QComboBox, QLabel, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget
from superqt.utils import QFlowLayout

from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.parts.tips import as_it_is
from napari_radcnn.gui.reading.bar import BAR_STYLE, BETWEEN, Entry, add_group
from napari_radcnn.gui.reading.captions import title

#: Of what can be linked: what stands on its button, what it does, and its key.
LINKS = {
    "position": ("Position", "One place in the patient in all views", "Alt+Shift+P"),
    "zoom": ("Zoom", "One scale, and the same part of the patient, in all views", "Alt+Shift+Z"),
    "window": ("Window", "One window for scans of the same modality and unit", "Alt+Shift+W"),
}
OUTLINES_KEY, COPY_KEY, NEXT_KEY, VIEW_KEY = "Alt+Shift+L", "Alt+Shift+K", "Alt+Shift+N", "Alt+Shift+V"
SAME_KEY, UNDO_KEY = "Shift+F11", "Shift+F12"
#: Of each key: how many slices further the view is that the arrows move in.
STEP_KEYS = {"Alt+Shift+PgUp": 1, "Alt+Shift+PgDown": -1}
_MOST_OTHERS = 2
_COMBO_WIDTH = 230


class Actor(Protocol):
    """What the bar acts on."""

    def choose_other(self, number: int, scan: Any) -> None:
        """Show another scan in a view at the side, from 0."""
        ...

    def choose_next(self) -> None:
        """Show the next scan at the side."""
        ...

    def link(self, what: str, is_on: bool) -> None:
        """Link one of `LINKS` or let it loose."""
        ...

    def toggle(self, what: str) -> None:
        """Do what is not done now of the same."""
        ...

    def same_place(self) -> None:
        """Declare the places of all views the same."""
        ...

    def undo(self) -> None:
        """Take back what was declared or copied last."""
        ...

    def show_outlines(self, is_on: bool) -> None:
        """Show labels and findings of each scan in the others or not."""
        ...

    def next_view(self) -> None:
        """Have the keys that move the cross-hair work in the next view."""
        ...

    def step(self, n: int) -> None:
        """Go slices on in that view, towards the head where they are axial."""
        ...

    def copy_entries(self) -> Sequence[Entry]:
        """Return the entries of the menu of what can be copied."""
        ...


class BesideBar(QWidget):
    """Buttons for scans side by side; hidden while there is one scan.

    Parameters
    ----------
    actor : Actor
        What they act on.
    """

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.setObjectName("radcnn_beside_bar")
        self.setStyleSheet(BAR_STYLE)
        self._actor, self._is_filling = actor, False
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 1, 4, 1)
        whole.setSpacing(1)
        groups = QFlowLayout()
        groups.setContentsMargins(0, 0, 0, 0)
        groups.setHorizontalSpacing(BETWEEN)
        groups.setVerticalSpacing(1)
        whole.addLayout(groups)
        self._row = add_group(groups)
        self.combos = [self._combo(number) for number in range(_MOST_OTHERS)]
        self._row = add_group(groups, above=1)
        self.link_buttons = {
            name: self._button(text, f"{what}, or each its own ({key})", partial(actor.link, name))
            for name, (text, what, key) in LINKS.items()
        }
        self._row = add_group(groups, above=1)
        self.same_button = self._button(
            "Same place", f"What is under the cross-hairs now is the same place in all scans ({SAME_KEY})", None
        )
        self.same_button.clicked.connect(lambda: actor.same_place())
        self.undo_button = self._button("Undo", f"Undo the last use of Same place or Copy ({UNDO_KEY})", None)
        self.undo_button.clicked.connect(lambda: actor.undo())
        self.outlines_button = self._button(
            "Outlines", f"Labels and findings of each scan in the others, too ({OUTLINES_KEY})", actor.show_outlines
        )
        self.copy_button = self._button("Copy", f"Labels or findings to the other scan ({COPY_KEY})", None)
        self.copy_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self.copy_button)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.menu.aboutToHide.connect(self._empty_soon)
        self.copy_button.setMenu(self.menu)
        self.message_label = QLabel()
        self.message_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        whole.addWidget(self.message_label)
        self._keys = [
            *(self._key(key, partial(actor.toggle, name)) for name, (_, _, key) in LINKS.items()),
            self._key(SAME_KEY, actor.same_place),
            self._key(UNDO_KEY, actor.undo),
            self._key(OUTLINES_KEY, self.outlines_button.click),
            self._key(COPY_KEY, self.copy_button.showMenu),
            self._key(NEXT_KEY, actor.choose_next),
            self._key(VIEW_KEY, actor.next_view),
            *(self._key(key, partial(actor.step, n)) for key, n in STEP_KEYS.items()),
        ]
        self.show_on(False)

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Return a height that does not change with what is said."""
        return QSize(400, super().sizeHint().height())

    def show_on(self, is_on: bool) -> None:
        """Show the bar, and have its keys, or neither."""
        self.setVisible(is_on)
        for key in self._keys:
            key.setEnabled(is_on)

    def show_scans(self, others: Sequence[Any], offered: Sequence[Any]) -> None:
        """List the scans that can be shown at the side, and mark those that are.

        Parameters
        ----------
        others : sequence of napari layers
            Those at the side.
        offered : sequence of napari layers
            All that may be chosen.
        """
        self._is_filling = True
        for number, combo in enumerate(self.combos):
            combo.setVisible(number < len(others))
            combo.clear()
            for scan in offered if number < len(others) else ():
                combo.addItem(title(scan), weakref.ref(scan))
                if scan is others[number]:
                    combo.setCurrentIndex(combo.count() - 1)
            combo.setToolTip(as_it_is(f"Shown at the side: {combo.currentText()} ({NEXT_KEY} shows the next)"))
        self._is_filling = False

    def show_links(self, wanted: dict[str, bool], why_not: dict[str, str]) -> None:
        """Mark what is linked, and say of what cannot be why.

        Parameters
        ----------
        wanted : dict of str to bool
            Of each of `LINKS` whether it is to be linked.
        why_not : dict of str to str
            Why one cannot be; it is left out where it can.
        """
        for name, button in self.link_buttons.items():
            _, what, key = LINKS[name]
            reason = why_not.get(name, "")
            button.setChecked(wanted[name] and not reason)
            button.setEnabled(not reason)
            button.setToolTip(f"Not linked: {reason}" if reason else f"{what}, or each its own ({key})")

    def tell(self, lines: Sequence[str], warnings: Sequence[str]) -> None:
        """Say how the scans are linked, warnings first and in color."""
        told = [f"<span style='color: {WARNING_COLOR}'>{as_html(line)}</span>" for line in warnings]
        text = " · ".join([*told, *map(as_html, lines)])
        if text != self.message_label.text():
            self.message_label.setText(text)
            self.message_label.setToolTip(as_it_is("\n".join([*warnings, *lines])))

    def _combo(self, number: int) -> QComboBox:
        combo = QComboBox()
        combo.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        combo.setMinimumContentsLength(18)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMaximumWidth(_COMBO_WIDTH)
        combo.setAccessibleName(f"Scan at the side, {number + 1}")
        combo.currentIndexChanged.connect(partial(self._on_combo, number))
        self._row.addWidget(combo)
        return combo

    def _on_combo(self, number: int, _index: int) -> None:
        reference = self.combos[number].currentData()
        scan = None if self._is_filling or reference is None else reference()
        if scan is not None:
            self._actor.choose_other(number, scan)

    def _button(self, text: str, what: str, act: Callable[[bool], None] | None) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(what)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setCheckable(act is not None)
        if act is not None:
            button.clicked.connect(act)
        self._row.addWidget(button)
        return button

    def _key(self, key: str, act: Callable[[], object]) -> QAction:
        """Have a key do something, wherever in the window the keyboard is."""
        action = QAction(self)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _checked: act())
        self.addAction(action)
        return action

    def _empty_soon(self) -> None:
        """Let go of the layers in the menu, once what was chosen is done."""
        QTimer.singleShot(0, self.menu.clear)

    def _fill_menu(self) -> None:
        self.menu.clear()
        entries = self._actor.copy_entries()
        for text, _, is_possible, act in entries:
            action = self.menu.addAction(text)
            action.setEnabled(is_possible)
            action.triggered.connect(lambda _checked, act=act: act())
        if not entries:
            self.menu.addAction("No labels and no findings").setEnabled(False)


def as_html(line: str) -> str:
    """Return a line that a label shows as it is."""
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

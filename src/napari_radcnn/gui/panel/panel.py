"""The one panel of a viewer, which holds all pages; each is made when it is first turned to.

napari has a dock for each entry of the manifest, by its name. The panel moves into the dock of whichever page is turned
to, and the dock that it leaves is removed: so there is one dock at any time, with the title of its page, napari's menu
marks that page, and `add_plugin_dock_widget` gives the page that is asked for.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QRect, QSize, Qt, QTimer
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import (
    QApplication,
    QButtonGroup,
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.panel.closing import CloseGuard, PutBack
from napari_radcnn.gui.panel.icons import icon
from napari_radcnn.gui.panel.table import PAGES, entry

#: Goes to the panel and back to the picture; Tab goes on from there.
KEY = "F9"
#: In the panel: starts the work of its page, as Run and Write do.
START_KEY = "Ctrl+Return"
#: What napari's menus call the dock of a page.
_MENU_NAME = "{} (RadCNN)"
#: Of the panel, pixels: narrow enough for a canvas of three fifths of a small screen.
_SIZE, _LEAST_WIDTH = QSize(304, 600), 300
#: What napari calls its own docks.
_CONTROLS, _LAYERS = "layer controls", "layer list"
#: What napari's controls of an image need, pixels: the canvas is not to become narrower when the first one comes.
_CONTROLS_WIDTH = 320
_ICON = 22
#: The page that is shown is marked by a line as well as by brightness, in dark and in light themes.
_BUTTON = """
QToolButton { border: none; border-bottom: 3px solid transparent; padding: 3px 0px; font-size: 10px; }
QToolButton:checked { background: rgba(128, 128, 128, 90); border-bottom-color: #4f8fd6; }
QToolButton:hover, QToolButton:focus { background: rgba(128, 128, 128, 60); }
"""
#: On a screen of fewer pixels (768 at 125 %) napari's layer controls and list do not fit below each other.
_LOW_SCREEN = 700
#: Of the main window's width, what the canvas is to have.
_CANVAS_SHARE = 0.61


@dataclass(frozen=True)
class _Spot:
    """Where a dock was in its main window."""

    area: Qt.DockWidgetArea
    is_floating: bool
    geometry: QRect
    tabs: tuple[QDockWidget, ...]
    below: tuple[QDockWidget, ...]
    heights: tuple[int, ...]


class Panel(QWidget):
    """Shows one page at a time, with a row of buttons for all.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer it is docked in.
    """

    #: Before it is built, too: Qt sends events from the first moment.
    _dock: weakref.ref[QDockWidget] | None = None

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.is_closed = False
        self._pages: dict[str, QWidget] = {}
        self._spot: _Spot | None = None
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)  # napari adds no stretch then
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        row = QHBoxLayout()
        row.setSpacing(1)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for each in PAGES:
            self.buttons[each.name] = button = QToolButton()
            button.setText(each.title)
            button.setToolTip(each.tip)
            button.setAccessibleName(each.name)
            button.setCheckable(True)
            button.setAutoRaise(True)
            button.setStyleSheet(_BUTTON)
            button.ensurePolished()  # a longer word gets more of the row
            button.setMinimumWidth(button.fontMetrics().horizontalAdvance(each.title) + 2)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(_ICON, _ICON))
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _on, name=each.name: self._on_button(name))
            self._group.addButton(button)
            row.addWidget(button)
        layout.addLayout(row)
        self._stack = QStackedWidget()
        layout.addWidget(self._stack, 1)
        self.put_back = PutBack(viewer)
        layout.addWidget(self.put_back)
        self._color_icons()
        _PANELS.append(weakref.ref(self))

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Return a width that leaves the canvas most of a small screen, whatever the pages would like."""
        return _SIZE

    def minimumSizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Return what every page fits into: they scroll up and down."""
        widest = max((page.minimumWidth() for page in self._pages.values()), default=0)
        return QSize(max(_LEAST_WIDTH, widest), 200)

    # -- pages -----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the page that is shown; empty before the first."""
        shown = self._stack.currentWidget()
        return next((name for name, page in self._pages.items() if page is shown), "")

    @property
    def page(self) -> QWidget | None:
        """The page that is shown."""
        return self._pages.get(self.name)

    @property
    def _magic_widget(self) -> QWidget:
        """The page: what napari hands out for a widget of magicgui, whose docked widget is another, too."""
        page = self.page
        return self if page is None else page

    def turn(self, name: str) -> QWidget:
        """Show a page, in the dock that the panel is in, and return it.

        Raises
        ------
        LookupError
            If there is no such page.
        """
        if name not in self._pages:
            page = entry(name).make(self.viewer)
            page.native = self  # type: ignore[attr-defined]  # napari then docks the panel, as for a widget of magicgui
            self._pages[name] = page
            self._stack.addWidget(page)
        self._stack.setCurrentWidget(self._pages[name])
        self.buttons[name].setChecked(True)
        return self._pages[name]

    def open(self, name: str) -> None:
        """Turn to a page in a dock of its name, so that napari's menu and the title say which it is."""
        window = _main_window(self)
        if window is not None and name == self.name:
            return
        if window is not None:
            window.setUpdatesEnabled(False)
        try:
            self.viewer.window.add_dock_widget(self.turn(name), name=_MENU_NAME.format(name), area="right")
            self._settle()
        finally:
            if window is not None:
                window.setUpdatesEnabled(True)

    def _on_button(self, name: str) -> None:
        self.open(name)
        self.buttons[name].setChecked(True)
        self.buttons[name].setFocus()

    def _on_key(self) -> None:
        """Give the keyboard to the panel, or back to the picture."""
        from napari.qt import QtViewer

        window, focus = _main_window(self), QApplication.focusWidget()
        if window is None or not self.name:
            return
        if focus is not None and (focus is self or self.isAncestorOf(focus)):
            window.findChild(QtViewer).setFocus()
            return
        dock = _dock_of(self)
        if dock is not None:
            dock.show()
            dock.raise_()
        self.buttons[self.name].setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _on_start(self) -> None:
        """Press the button that starts the work of the page."""
        work = getattr(self.page, "panel", self.page)
        button = getattr(work, "start_button", None)
        if isinstance(button, QPushButton):
            button.click()

    # -- docks -----------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Notice another dock, the end of the last one, and another theme."""
        if event.type() == QEvent.Type.ParentChange:
            self._on_parent()
        elif event.type() == QEvent.Type.PaletteChange and self._dock is not None:
            self._color_icons()
        return bool(super().event(event))

    def _on_parent(self) -> None:
        dock, before = _dock_of(self), None if self._dock is None else self._dock()
        if dock is None:
            if self._dock is not None and self.parentWidget() is None:
                self._close()
            return
        self._dock = weakref.ref(dock)
        QTimer.singleShot(0, self._shorten_title)
        dock.topLevelChanged.connect(self._shorten_title)  # napari has made another bar by then
        if before is None:
            QTimer.singleShot(0, self._on_first_dock)
        if before is not None and before is not dock and isalive(before):
            self._spot = _spot_of(before)
            self.viewer.window.remove_dock_widget(before)
            QTimer.singleShot(0, self._settle)

    def _settle(self) -> None:
        """Put the new dock where the one before was."""
        spot, dock = self._spot, None if self._dock is None else self._dock()
        self._spot = None
        if spot is None or self.is_closed or dock is None or not isalive(dock):
            return
        window = _main_window(self)
        if spot.is_floating:
            dock.setFloating(True)
            dock.setGeometry(spot.geometry)
        elif window is not None and isinstance(dock.parentWidget(), QMainWindow):
            if window.dockWidgetArea(dock) != spot.area:
                window.addDockWidget(spot.area, dock)
            for tab in (tab for tab in spot.tabs if isalive(tab)):
                window.tabifyDockWidget(tab, dock)
            kept = [(other, n) for other, n in zip(spot.below, spot.heights, strict=True) if isalive(other)]
            if spot.tabs and kept:  # the rest is the panel's
                others, heights = [other for other, _ in kept], [height for _, height in kept]
                window.resizeDocks(others, heights, Qt.Orientation.Vertical)
            if not spot.tabs:  # what is split off a tab becomes a tab itself
                above = dock
                for other in (other for other in spot.below if isalive(other)):
                    window.splitDockWidget(above, other, Qt.Orientation.Vertical)
                    above = other
                window.resizeDocks([dock], [spot.geometry.width()], Qt.Orientation.Horizontal)
        dock.show()
        dock.raise_()

    def _shorten_title(self, _is_floating: bool = False) -> None:
        """Have the title of the dock say no more than fits beside its buttons; napari knows it by the long one."""
        dock = None if self._dock is None or not isalive(self) or self.is_closed else self._dock()
        bar = None if dock is None or not isalive(dock) else dock.titleBarWidget()
        for label in () if bar is None or not self.name else bar.findChildren(QLabel):
            if label.text().startswith(f"{self.name} ("):
                label.setText(label.text().replace(self.name, entry(self.name).title, 1))

    def _on_first_dock(self) -> None:
        window = _main_window(self) if isalive(self) and not self.is_closed else None
        if window is not None:
            self._make_room()
            to_panel = QAction(self)
            to_panel.setShortcut(QKeySequence(KEY))
            to_panel.triggered.connect(lambda _checked: self._on_key())
            window.addAction(to_panel)
            start = QAction(self)
            start.setShortcut(QKeySequence(START_KEY))
            start.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            start.triggered.connect(lambda _checked: self._on_start())
            self.addAction(start)
            if window.findChild(CloseGuard) is None:
                CloseGuard(self.viewer, window)

    def _make_room(self) -> None:
        """Share a place with napari's layer controls on a small screen: beside both, the canvas would be a sliver.

        The same where napari has remembered their side, from a small screen: below both, the panel would be one.
        """
        window, dock = _main_window(self), None if self._dock is None else self._dock()
        if window is None or dock is None or window.centralWidget() is None or dock.isFloating():
            return
        found = {other.windowTitle(): other for other in window.findChildren(QDockWidget) if other.isVisible()}
        controls, layers = found.get(_CONTROLS), found.get(_LAYERS)
        left_over = window.centralWidget().width() - (0 if dock.isVisible() else self.sizeHint().width())
        is_small = left_over < _CANVAS_SHARE * window.width()
        if controls is None or controls.isFloating():
            return
        if not is_small and window.dockWidgetArea(dock) != window.dockWidgetArea(controls):
            return
        window.tabifyDockWidget(controls, dock)
        dock.show()
        dock.raise_()
        if dock.width() < _CONTROLS_WIDTH:
            window.resizeDocks([dock], [_CONTROLS_WIDTH], Qt.Orientation.Horizontal)
        height = window.screen().availableGeometry().height()
        if layers is not None and height < _LOW_SCREEN:
            window.tabifyDockWidget(controls, layers)
            dock.raise_()
            window.resize(window.width(), min(window.height(), height))  # it had to be higher before
        elif layers is not None:
            window.resizeDocks([dock, layers], [window.height(), 1], Qt.Orientation.Vertical)

    def _close(self) -> None:
        """Let go of the pages, each as if a dock of its own had been closed."""
        self.is_closed = True
        for page in self._pages.values():
            page.setParent(None)

    def _color_icons(self) -> None:
        for each in PAGES:
            self.buttons[each.name].setIcon(icon(each.icon, self.palette().windowText().color()))


def panel_of(viewer: Any) -> Panel:
    """Return the panel of a viewer; a new one where it has none, or the one before was closed."""
    live = [panel for reference in _PANELS if (panel := reference()) is not None]
    live = [panel for panel in live if isalive(panel) and not panel.is_closed]
    _PANELS[:] = [weakref.ref(panel) for panel in live]
    for panel in live:
        if _unwrapped(panel.viewer) is _unwrapped(viewer):
            return panel
    return Panel(viewer)


#: Those that may be docked; the viewer's window keeps them alive.
_PANELS: list[weakref.ref[Panel]] = []


def _unwrapped(viewer: Any) -> Any:
    """Return the viewer itself: plugins get it in a wrapper, each time another."""
    return getattr(viewer, "__wrapped__", viewer)


def _dock_of(widget: QWidget) -> QDockWidget | None:
    current: Any = widget.parentWidget()
    while current is not None and not isinstance(current, QDockWidget):
        current = current.parentWidget()
    return current


def _main_window(widget: QWidget) -> QMainWindow | None:
    current: Any = widget
    while current is not None and not isinstance(current, QMainWindow):
        current = current.parentWidget()
    return current


def _spot_of(dock: QDockWidget) -> _Spot | None:
    window = _main_window(dock)
    if window is None:
        return None
    area = window.dockWidgetArea(dock)
    tabs = tuple(window.tabifiedDockWidgets(dock))
    others = [
        other
        for other in window.findChildren(QDockWidget)
        if other is not dock and other not in tabs and window.dockWidgetArea(other) == area and other.isVisible()
    ]
    below = sorted((other for other in others if other.y() > dock.y()), key=lambda other: other.y())
    heights = tuple(other.height() for other in below)
    return _Spot(area, dock.isFloating(), dock.geometry(), tabs, tuple(below), heights)

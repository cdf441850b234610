"""The one panel: a dock at any time, turned to the page that a button, a menu or a script asks for."""

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Image
from napari.qt import QtViewer
from napari.settings import get_settings
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLabel,
    QLineEdit,
    QMainWindow,
    QScrollArea,
    QSlider,
    QToolButton,
)

from costly import few_of
from models_dock import choose, tiny_head
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.export.dock import ExportDock
from napari_radcnn.gui.interactive.dock import InteractiveDock
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.models.dock import ModelsDock
from napari_radcnn.gui.panel import panel as panel_module
from napari_radcnn.gui.panel.panel import Panel, panel_of
from napari_radcnn.gui.panel.table import PAGES, PageEntry, entry
from napari_radcnn.gui.reading.room import room_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head
from screens import pump

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Keep the sessions of a test in a folder of its own."""
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))


def opened(viewer, name):
    return viewer.window.add_plugin_dock_widget("napari-radcnn", name)


def press(qtbot, panel, name):
    qtbot.mouseClick(panel.buttons[name], Qt.MouseButton.LeftButton)
    pump()


def menu_action(viewer, text):
    """Return the entry of a menu, at any depth."""

    def entries(menu):
        for action in menu.actions():
            if action.menu() is None:
                yield action
            else:
                action.menu().aboutToShow.emit()
                yield from entries(action.menu())

    return next(action for action in entries(panel_window(viewer).menuBar()) if action.text() == text)


def panel_window(viewer):
    """Return the main window of a viewer, also where it has no panel."""
    windows = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, QMainWindow)]
    return next(window for window in windows if any(each.viewer is viewer for each in window.findChildren(QtViewer)))


def docks(viewer):
    """Return the names of all RadCNN docks, by napari's list and by Qt's."""
    names = [name for name in viewer.window.dock_widgets if "radcnn" in name.lower()]
    found = panel_of(viewer).window().findChildren(QDockWidget)
    found = [dock for dock in found if "radcnn" in dock.windowTitle().lower()]
    return names, [dock.windowTitle() for dock in found if dock.widget() is not None]


def dock_of(panel):
    """Return the dock that a panel is in."""
    return next(dock for dock in panel.window().findChildren(QDockWidget) if dock.isAncestorOf(panel))


def test_scripts_get_the_page_they_ask_for_in_the_one_panel(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    for each in PAGES:
        dock, page = opened(viewer, each.name)
        pump()
        panel = panel_of(viewer)
        assert type(page).__name__ == entry(each.name).widget.partition(":")[2]
        assert dock.widget() is panel
        assert panel.page is page
        assert page.isVisible()
        assert docks(viewer) == ([f"{each.name} (napari-radcnn)"], [f"{each.name} (napari-radcnn)"])
        assert viewer.window.dock_widgets[f"{each.name} (napari-radcnn)"] is page
        again, same = opened(viewer, each.name)
        assert (again, same) == (dock, page)
    _, models = opened(viewer, "Models")
    assert isinstance(models, ModelsDock)
    assert opened(viewer, "Export")[1] is not models
    assert opened(viewer, "Models")[1] is models  # as it was left


def test_buttons_and_menu_turn_to_pages_that_are_made_when_first_seen(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    add_to_viewer(viewer, layer_data(tiny_head()))
    dock, page = opened(viewer, "Export")
    assert isinstance(page, ExportDock)
    panel = panel_of(viewer)
    assert list(panel._pages) == ["Export"]
    pump()
    width = dock.width()
    for name in ("Models", "Interactive segmentation", "Export", "Export"):
        press(qtbot, panel, name)
        assert panel.name == name
        assert docks(viewer) == ([f"{name} (RadCNN)"], [f"{name} (RadCNN)"])
        assert panel.buttons[name].isChecked()
        assert abs(panel.window().width() - viewer.window.geometry()[2]) <= 2
        assert abs(panel.parentWidget().width() - width) <= 2
    assert set(panel._pages) == {"Models", "Interactive segmentation", "Export"}
    assert isinstance(panel._pages["Interactive segmentation"], InteractiveDock)
    assert panel.page is page


def test_the_panel_stays_where_it_was_put(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1900, 1000)
    opened(viewer, "Models")
    panel = panel_of(viewer)
    pump()
    below = viewer.window.add_dock_widget(QLabel("other"), name="other", area="right")
    pump()
    assert below.y() > panel.parentWidget().y()
    press(qtbot, panel, "Fusion")
    assert below.y() > panel.parentWidget().y()
    window = panel.window()
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, panel.parentWidget())
    press(qtbot, panel, "Export")
    assert window.dockWidgetArea(panel.parentWidget()) == Qt.DockWidgetArea.LeftDockWidgetArea
    panel.parentWidget().setFloating(True)
    pump()
    press(qtbot, panel, "Models")
    assert panel.parentWidget().isFloating()
    assert panel.isVisible()


def test_a_panel_that_is_closed_is_made_anew(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    dock, page = opened(viewer, "Models")
    before = panel_of(viewer)
    dock.destroyOnClose()
    pump()
    assert before.is_closed
    again, other = opened(viewer, "Models")
    assert other is not page
    pump()
    assert again.isVisible()
    assert panel_of(viewer) is not before
    assert sum(isinstance(widget, Panel) for widget in again.window().findChildren(Panel)) == 1
    del before, dock, page
    gc.collect()


@pytest.mark.parametrize("way", few_of(["dock", "native", "all", "close"], "dock", "close"))
def test_however_it_is_taken_away_it_comes_back_by_the_menu(make_napari_viewer, qtbot, way):
    viewer = make_napari_viewer(show=True)
    dock, page = opened(viewer, "Models")
    press(qtbot, panel_of(viewer), "Export")
    panel, gone = panel_of(viewer), [weakref.ref(page), weakref.ref(panel_of(viewer).page)]
    taken = {"dock": panel.parentWidget(), "native": page.native, "all": "all"}
    if way == "close":  # the cross hides a dock, as it hides napari's own
        panel.parentWidget().close()
    else:
        viewer.window.remove_dock_widget(taken[way])
    del dock, page, taken
    add_to_viewer(
        viewer, layer_data(head(Geometry.from_parts((12, 16, 14), (16.0, 12.0, 14.0), (-91.0, -90.0, -88.0))))
    )
    viewer.layers.clear()
    assert panel.is_closed == (way != "close")
    del panel
    menu_action(viewer, "Models (RadCNN)").trigger()
    pump()
    again = panel_of(viewer)
    assert again.isVisible()
    assert again.name == "Models"
    assert len(again.window().findChildren(Panel)) == 1
    if way != "close":
        del again
        for _ in range(3):
            gc.collect()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            pump()
        assert [each() for each in gone] == [None, None]


@pytest.mark.parametrize(("width", "height"), [(1366, 768), pytest.param(1920, 1080, marks=pytest.mark.slow)])
def test_the_canvas_keeps_three_fifths_and_nothing_is_cut_off(make_napari_viewer, qtbot, width, height):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(width, height)
    add_to_viewer(viewer, layer_data(tiny_head()))
    opened(viewer, "Scans")
    panel = panel_of(viewer)
    for each in PAGES:
        press(qtbot, panel, each.name)
        canvas = panel.window().centralWidget()
        assert canvas.width() >= 0.6 * panel.window().width(), each.name
        page = panel.page
        if each.name == "Scans":
            page.repair_row.show()  # as for slices that are not evenly spaced
            pump()
        assert page.width() <= panel.width()
        for area in page.findChildren(QScrollArea):
            assert area.widget().width() <= area.viewport().width(), each.name  # it scrolls up and down only
        for button in panel.buttons.values():
            needed = button.fontMetrics().horizontalAdvance(button.text())
            assert button.width() >= needed, button.text()
        dock = dock_of(panel)
        title = next(label for label in dock.titleBarWidget().findChildren(QLabel) if label.text())
        assert title.text() == dock.windowTitle().replace(each.name, each.title)
        assert title.width() >= title.fontMetrics().horizontalAdvance(title.text()), each.name
    assert isinstance(viewer.layers[0], Image)


def test_on_a_large_screen_the_side_remembered_from_a_small_one_makes_no_sliver(make_napari_viewer, qtbot, monkeypatch):
    positions = {f"{each.name} (napari-radcnn)": "left" for each in PAGES}
    monkeypatch.setattr(get_settings().application, "plugin_widget_positions", positions)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1900, 1000)
    dock, _ = opened(viewer, "Scans")
    panel = panel_of(viewer)
    pump()
    window = panel.window()
    assert window.dockWidgetArea(dock) == Qt.DockWidgetArea.LeftDockWidgetArea
    assert "layer controls" in [tab.windowTitle() for tab in window.tabifiedDockWidgets(dock)]
    height = panel.height()
    assert height > 0.5 * window.height()
    for name in ("Models", "Export", "Scans"):
        press(qtbot, panel, name)
        assert abs(panel.height() - height) <= 2, name


def test_on_a_low_screen_the_layer_list_is_a_tab_and_the_window_fits(make_napari_viewer, qtbot, monkeypatch):
    viewer = make_napari_viewer(show=True)
    window = panel_window(viewer)
    window.resize(911, 570)
    high = window.minimumSizeHint().height()
    monkeypatch.setattr(panel_module, "_LOW_SCREEN", window.screen().availableGeometry().height() + 1)
    add_to_viewer(viewer, layer_data(tiny_head()))
    viewer.add_labels(np.zeros((3, 4, 5), np.uint8))  # napari's controls of labels are the highest
    dock, _ = opened(viewer, "Scans")
    pump()
    assert {tab.windowTitle() for tab in window.tabifiedDockWidgets(dock)} == {"layer controls", "layer list"}
    for each in PAGES:
        press(qtbot, panel_of(viewer), each.name)
        assert not panel_of(viewer).visibleRegion().isEmpty(), each.name  # no other tab is in front of it
        assert window.minimumSizeHint().height() <= min(high, 512), each.name  # 768 at 150 %
        assert window.minimumSizeHint().width() <= 911, each.name  # 1366 at 150 %
    add_to_viewer(viewer, layer_data(tiny_head("RAS").with_metadata(name="another")))
    room = room_of(viewer)
    for layout in ("two", "row", "four", "one"):
        room.choose_layout(layout)
        pump()
        assert window.minimumSizeHint().width() <= 911, layout
        assert window.width() == 911, layout
        for bar in (room.bar, room.beside.bar):
            for button in bar.findChildren(QToolButton) if bar.isVisible() else ():
                assert button.visibleRegion().boundingRect() == button.rect(), (layout, button.text())


def test_run_and_what_speaks_against_it_are_seen_without_scrolling_on_a_small_screen(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    add_to_viewer(viewer, layer_data(head().with_metadata(modality="MR")))
    _, page = opened(viewer, "Models")
    pump()
    place = page.panel.start_button.mapToGlobal(QPoint(0, 0))
    choose(page, "lung-nodules")
    qtbot.waitUntil(page.suitability_label.isVisible)
    pump()
    for widget in (page.suitability_label, page.panel.start_button, page.panel.cancel_button):
        assert widget.visibleRegion().boundingRect() == widget.rect()
    reason = page.warning_label.visibleRegion().boundingRect()
    assert reason.height() >= page.warning_label.fontMetrics().lineSpacing()
    page.panel.message_label.setText("One line of a message.\n" * 5)
    pump()
    assert (page.panel.start_button.mapToGlobal(QPoint(0, 0)) - place).manhattanLength() <= 1


def test_keys_go_to_the_panel_turn_its_pages_reach_every_control_and_go_back(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    add_to_viewer(viewer, layer_data(tiny_head()))
    opened(viewer, "Scans")
    panel = panel_of(viewer)
    window = panel.window()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    pump()
    qtbot.keyClick(window, Qt.Key.Key_F9)
    assert panel.buttons["Scans"].hasFocus()
    qtbot.keyClick(panel.buttons["Scans"], Qt.Key.Key_Right)
    pump()
    assert panel.name == "Models"
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QSlider)
    for each in PAGES:
        press(qtbot, panel, each.name)
        page = panel.page
        controls = [control for kind in kinds for control in page.findChildren(kind) if control.isVisible()]
        inner = [one for one in controls if isinstance(one.parentWidget(), (QAbstractSpinBox, QComboBox))]
        without = [one for one in controls if not one.focusPolicy() & Qt.FocusPolicy.TabFocus and one not in inner]
        assert without == [], each.name
    started = []
    panel.page.panel.start_button.setEnabled(True)
    panel.page.panel.start_button.clicked.disconnect()
    panel.page.panel.start_button.clicked.connect(lambda: started.append(panel.name))
    qtbot.keyClick(panel.buttons[panel.name], Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert started == ["Export"]
    qtbot.keyClick(window, Qt.Key.Key_F9)
    assert not panel.isAncestorOf(QApplication.focusWidget())


def test_a_page_that_gives_no_widget_and_one_that_is_not_there_are_named():
    with pytest.raises(LookupError, match="No page 'Scan'; there are Scans, "):
        entry("Scan")
    with pytest.raises(TypeError, match="Page 'Odd'"):
        PageEntry("Odd", "Odd", "view", "", "builtins:repr").make(3)

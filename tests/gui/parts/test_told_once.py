"""An error is shown once: on its page where that is seen, as a notification where it is not; and once in the log."""

import pytest
from qtpy.QtWidgets import QTabWidget

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.parts.widgets import WorkPanel, is_seen

pytestmark = pytest.mark.gui


@pytest.fixture
def shown(monkeypatch):
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    return lines


@pytest.fixture
def tabs(qtbot):
    """A panel for work on the second of two tabs."""
    tabs = QTabWidget()
    qtbot.addWidget(tabs)
    panel = WorkPanel("Run")
    tabs.addTab(WorkPanel("Other"), "one")
    tabs.addTab(panel, "two")
    tabs.show()
    qtbot.waitExposed(tabs)
    return tabs


def fail(panel, qtbot):
    def work(_progress, _cancel):
        raise RadcnnError("The disk is full: choose another folder.")

    with qtbot.waitSignal(panel.ended):
        panel.start("Writing", work, str, str)


def test_a_page_that_is_seen_shows_it_alone(tabs, qtbot, shown, package_log):
    tabs.setCurrentIndex(1)
    panel = tabs.widget(1)
    fail(panel, qtbot)
    assert is_seen(panel)
    assert panel.message_label.text() == "The disk is full: choose another folder."
    assert shown == []
    assert package_log == ["The disk is full: choose another folder."]


def test_a_page_behind_another_leaves_it_to_the_notification(tabs, qtbot, shown, package_log):
    panel = tabs.widget(1)
    fail(panel, qtbot)
    assert not is_seen(panel)
    assert shown == ["The disk is full: choose another folder."]
    assert package_log == []  # napari prints what it shows

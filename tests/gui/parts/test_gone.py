"""What a widget changed elsewhere is put back when it is gone: closed by Qt, or taken by Python's collector."""

from __future__ import annotations

import gc
import weakref

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_radcnn.gui.parts.gone import when_gone

pytestmark = pytest.mark.gui


class Held:
    """Refers to itself, so that only the collector takes it, and empties it."""

    def __init__(self) -> None:
        self.itself, self.value = self, "whole"


@pytest.fixture
def put_back():
    """What was put back, as it was found then."""
    return []


@pytest.fixture
def watched(qapp, put_back):
    """Return a function that makes a widget in a circle with what is put back after it, and a reference to that."""

    def make():
        widget, held = QWidget(), Held()
        widget.itself, widget.held = widget, held
        when_gone(widget, lambda: put_back.append(held.value))
        return widget, weakref.ref(held)

    return make


def test_the_collector_takes_the_widget_and_leaves_what_is_put_back(watched, put_back):
    widget, held = watched()
    gc.collect()
    assert put_back == []
    del widget
    gc.collect()
    assert put_back == ["whole"]
    gc.collect()
    assert held() is None  # nothing is kept for longer


def test_qt_destroys_the_widget_with_its_window(qapp, watched, put_back):
    window = QWidget()
    QVBoxLayout(window).addWidget(watched()[0])
    window.deleteLater()
    qapp.sendPostedEvents(window, QEvent.Type.DeferredDelete)
    assert put_back == ["whole"]

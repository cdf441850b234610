"""Which scan a session is begun on: the one that is seen; and what stands on the canvas meanwhile."""

import numpy as np
import pytest

from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.gui.reading.show import add_to_viewer
from played import LEFT, Played, named, scan, use_engine
from screens import pump

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Keep the sessions of a test in a folder of its own."""
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))


@pytest.fixture
def engine(monkeypatch):
    return use_engine(monkeypatch)


def caption(played):
    lines = open_room(played.viewer)._own_corners().top_right
    return next((line for line in lines if line.startswith("Segmenting")), "")


@pytest.mark.usefixtures("engine")
def test_a_session_is_begun_on_the_scan_that_is_active_and_stays_there(make_napari_viewer, qtbot):
    played = Played(make_napari_viewer, qtbot, scan(), scan(name="FLAIR"))
    viewer, dock = played.viewer, played.dock
    t1, flair = played.scans
    assert viewer.layers.selection.active is flair
    assert dock.layer_combo.layer is flair
    viewer.layers.selection.active = t1
    viewer.layers.selection.active = flair
    played.start()
    assert played.editing.scan is flair
    assert caption(played) == "Segmenting: FLAIR"
    played.click(scan().geometry.to_world([7, 8, 8]))
    played.idle()
    assert caption(played) == "Segmenting: FLAIR · object 1"

    viewer.layers.selection.active = t1  # does not jump in the middle of a session, and says so
    assert dock.layer_combo.layer is flair
    assert dock.pin.status.text() == "This scan's session continues; 'T1' is active"
    flair.name = "FLAIR renamed"
    viewer.layers.move(viewer.layers.index(flair), 0)  # below the other one
    pump()
    assert dock.layer_combo.layer is flair
    dock.result_button.click()
    played.idle()
    result = viewer.layers[-1]
    assert result.name.endswith("result")
    assert dock.layer_combo.layer is flair

    viewer.layers.selection.active = t1
    qtbot.mouseClick(dock.end_button, LEFT)
    played.wait(lambda: played.editing is None)
    assert caption(played) == ""
    viewer.layers.selection.active = t1
    assert dock.layer_combo.layer is t1
    assert "FLAIR" not in dock.message_label.text()
    viewer.layers.selection.active = result
    assert dock.layer_combo.layer is flair


@pytest.mark.usefixtures("engine")
def test_a_pinned_dock_keeps_its_scan_until_it_is_closed(make_napari_viewer, qtbot):
    played = Played(make_napari_viewer, qtbot, scan(), scan(name="FLAIR"))
    viewer, dock = played.viewer, played.dock
    qtbot.mouseClick(dock.pin.button, LEFT)
    viewer.layers.selection.active = played.scans[0]
    add_to_viewer(viewer, layer_data(named(scan((9, 12, 10)), "third")))
    viewer.add_labels(np.zeros((3, 4, 5), np.uint8))
    assert dock.layer_combo.currentText() == "FLAIR"
    assert dock.pin.status.text() == "Pinned"  # labels of nobody lead nowhere
    viewer.layers.selection.active = played.scans[0]
    assert dock.pin.status.text() == "Pinned; 'T1' is active"
    viewer.layers.remove(played.scans[1])
    assert dock.layer_combo.currentText() == "T1"

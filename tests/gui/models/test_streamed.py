"""Labels too large for memory: asked where, seen while they are found, and shown from their store at the end."""

import json
import threading

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

import fake_models
import napari_radcnn as radcnn
from grids import axial
from napari_radcnn import operations
from napari_radcnn.gui.layers import multiscale
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.models import streamed
from napari_radcnn.gui.models.dock import ModelsDock
from napari_radcnn.gui.models.streamed import Preview, must_stream
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.inference.request import Outcome
from napari_radcnn.io.omezarr import read as reading
from napari_radcnn.models import get_model
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.volume import Volume
from patience import PATIENCE
from screens import wait_for_plan

WIDE = (4, 30, 300)


def wide():
    """Wide enough for a store to have a coarser resolution; slices run to the feet, columns to the back."""
    return axial().with_shape(WIDE).reoriented(axial().with_shape(WIDE).axis_map("IPL"))


def bright(array):
    return (np.rint(array).astype(int) % 7 > 3).astype(np.uint8)


@pytest.fixture
def streaming(monkeypatch):
    """Register a model that labels slice by slice and waits at the second one; return its recipe.

    Scans in a store are left there, however small.
    """
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 0)
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.STREAMS = True
    pipeline.at_second, pipeline.may_go_on = threading.Event(), threading.Event()
    pipeline.error = None

    def slices(request, monitor):
        array = None if request.sink else np.zeros(request.volume.shape, np.uint8)
        for k in range(request.volume.shape[0]):
            if k == 1:
                pipeline.at_second.set()
                pipeline.may_go_on.wait(PATIENCE)
                if pipeline.error:
                    raise pipeline.error
            monitor.step(f"slice {k}")
            box = (slice(k, k + 1), slice(None), slice(None))
            found = bright(request.volume.read_block(box))
            if request.sink:
                request.sink.write(box, found)
                request.sink.mark(k + 1)
            else:
                array[box] = found
        return Outcome("cpu", "float32", array=array)

    monkeypatch.setattr(pipeline, "run", slices)
    return pipeline


def stored(tmp_path, geometry):
    radcnn.write(world_field(geometry), tmp_path / "scan.ome.zarr")
    (volume,) = radcnn.read(tmp_path / "scan.ome.zarr")
    assert not volume.is_loaded
    return volume


@pytest.fixture
def dock_with(make_napari_viewer, monkeypatch, tmp_path):
    """Return a function that opens a scan beside the dock, on a computer with next to no free memory."""
    monkeypatch.setattr(streamed, "_free", lambda: 100)
    asked = []

    def choose_file(parent, title, suggested, names):
        asked.append(suggested)
        return str(tmp_path / "out.ome.zarr"), names

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose_file)

    def make(volume):
        viewer = make_napari_viewer(show=True)
        add_to_viewer(viewer, layer_data(volume))
        _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
        assert isinstance(dock, ModelsDock)
        dock.model_combo.setCurrentIndex(dock.model_combo.findData("fake"))
        wait_for_plan(dock)
        return viewer, dock

    make.asked = asked
    return make


def start(qtbot, dock):
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)


def wait_for_end(qtbot, dock):
    qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)


@pytest.mark.gui
def test_labels_appear_while_they_are_found_and_stay_in_their_store(dock_with, qtbot, streaming, tmp_path):
    volume = stored(tmp_path, wide())
    viewer, dock = dock_with(volume)
    assert "too large for this computer's memory" in dock.plan_label.text()
    start(qtbot, dock)
    qtbot.waitUntil(streaming.at_second.is_set)
    assert dock_with.asked == [str(tmp_path / "scan_fake.ome.zarr")]
    seen = viewer.layers[-1]
    assert isinstance(seen, Labels)
    assert "so far" in seen.name
    assert not seen.editable
    expected = bright(volume.read_block((slice(None),) * 3))
    upright = volume.geometry.axis_map("SPL").apply(expected)
    so_far = volume.geometry.axis_map("SPL").apply(np.where(np.arange(len(expected))[:, None, None] < 1, expected, 0))
    qtbot.waitUntil(lambda: np.array_equal(seen.data, so_far))
    assert np.any(so_far)
    assert np.any(upright != so_far)
    streaming.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert not volume.is_loaded
    assert seen not in viewer.layers
    final = viewer.layers[-1]
    assert isinstance(final, Labels)
    assert final.multiscale
    assert np.array_equal(np.asarray(final.data[0]), upright)
    assert np.allclose(final.scale, viewer.layers[0].scale)
    assert np.allclose(final.translate, viewer.layers[0].translate)
    assert list(final.features["name"]) == ["background", "bright"]
    (written,) = radcnn.read(tmp_path / "out.ome.zarr")
    assert np.array_equal(written.array, expected)
    manifest = json.loads((tmp_path / "out.ome.zarr.radcnn.json").read_text())
    assert dock.results.topLevelItem(0).text(1) == f"{manifest['volumes_ml']['bright']:.1f} ml"
    viewer.dims.ndisplay = 3  # drawn from its coarsest resolution
    viewer.dims.ndisplay = 2


@pytest.mark.gui
def test_an_oblique_scan_has_its_labels_at_the_end(dock_with, qtbot, streaming, tmp_path, monkeypatch):
    volume = stored(tmp_path, oblique_geometry(WIDE))
    fitting = Volume.lazy(volume.source.levels[0].source, volume.source.levels[0].geometry)
    monkeypatch.setattr(multiscale, "_free", lambda: 2 * multiscale._takes(fitting))
    viewer, dock = dock_with(volume)
    assert not volume.is_loaded
    streaming.may_go_on.set()
    start(qtbot, dock)
    wait_for_end(qtbot, dock)
    assert [type(layer) for layer in viewer.layers] == [Image, Labels]
    (written,) = radcnn.read(tmp_path / "out.ome.zarr")
    assert np.array_equal(written.array, bright(volume.array))
    assert any("coarser resolution" in warning for warning in viewer.layers[1].metadata["radcnn"]["warnings"])


@pytest.mark.gui
@pytest.mark.parametrize("how", ["cancel", "error"])
def test_a_run_that_ends_early_leaves_no_layer_and_no_store(dock_with, qtbot, streaming, tmp_path, how):
    viewer, dock = dock_with(stored(tmp_path, wide()))
    start(qtbot, dock)
    qtbot.waitUntil(streaming.at_second.is_set)
    if how == "cancel":
        qtbot.mouseClick(dock.panel.cancel_button, Qt.MouseButton.LeftButton)
    else:
        streaming.error = radcnn.errors.ResourceError("The device went away.")
    streaming.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert len(viewer.layers) == 1
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
    said = {"cancel": "Cancelled; nothing was written.", "error": "The device went away."}[how]
    assert dock.panel.message_label.text() == said


@pytest.mark.gui
def test_without_a_place_nothing_is_run(dock_with, qtbot, streaming, tmp_path, monkeypatch):
    _, dock = dock_with(stored(tmp_path, wide()))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    start(qtbot, dock)
    assert dock.job is None
    assert not streaming.at_second.is_set()


@pytest.mark.gui
def test_the_layer_of_the_labels_may_be_removed_meanwhile(dock_with, qtbot, streaming, tmp_path):
    viewer, dock = dock_with(stored(tmp_path, wide()))
    start(qtbot, dock)
    qtbot.waitUntil(streaming.at_second.is_set)
    viewer.layers.pop(-1)
    streaming.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert len(viewer.layers) == 2


def test_only_what_does_not_fit_goes_to_a_store(streaming, tmp_path, monkeypatch):
    spec = get_model("fake")
    volume = stored(tmp_path, wide())
    data, arguments, _ = layer_data(volume)
    layer = Image(data, **arguments)
    size = int(np.prod(volume.shape))
    monkeypatch.setattr(streamed, "_free", lambda: 4 * size - 1)
    assert must_stream(spec, layer)
    monkeypatch.setattr(streamed, "_free", lambda: 4 * size)
    assert not must_stream(spec, layer)
    monkeypatch.setattr(streamed, "_free", lambda: 1)
    streaming.STREAMS = False
    assert not must_stream(spec, layer)
    streaming.STREAMS = True
    in_memory, arguments, _ = layer_data(world_field(axial()))
    assert not must_stream(spec, Image(in_memory, **arguments))
    assert not must_stream(spec, Image(np.zeros((3, 4, 5))))
    volume.load()
    assert not must_stream(spec, layer)


@pytest.mark.parametrize("most", [1_000_000, 40, 7])
def test_what_is_seen_lies_where_the_labels_are(streaming, monkeypatch, most):
    """Labels that follow from the place in the patient: every voxel that is seen must hold those of its own place."""
    monkeypatch.setattr(streamed, "_MOST_SEEN", most)
    volume = world_field(axial())
    labels = bright(volume.array)
    preview = Preview(get_model("fake"), volume.geometry, "so far")
    assert not preview.take_news()
    for k in range(0, volume.shape[0], 2):  # blocks whose borders do not fall on those of the coarse grid
        for j in (slice(0, 3), slice(3, None)):
            box = (slice(k, k + 2), j, slice(None))
            preview.put(box, labels[box])
    assert preview.take_news()
    assert not preview.take_news()
    coarse = preview.labels
    assert coarse.array.size <= most
    index = np.indices(coarse.array.shape).reshape(3, -1)
    world = coarse.geometry.affine @ np.vstack([index, np.ones(index.shape[1])])
    native = (np.linalg.inv(volume.geometry.affine) @ world)[:3]
    assert np.allclose(native, np.rint(native), atol=1e-6)
    at = tuple(np.rint(native).astype(int))
    assert np.array_equal(coarse.array.ravel(), labels[at])


@pytest.mark.gui
def test_dock_and_python_write_the_same_store(dock_with, qtbot, streaming, tmp_path):
    volume = stored(tmp_path, wide())
    streaming.may_go_on.set()
    _, dock = dock_with(volume)
    start(qtbot, dock)
    wait_for_end(qtbot, dock)
    other = operations.segment_to(volume, "fake", tmp_path / "python.ome.zarr")
    ours, theirs = (json.loads((tmp_path / f"{n}.ome.zarr.radcnn.json").read_text()) for n in ("out", "python"))
    for key in ("model", "options", "settings", "input", "volumes_ml"):
        assert ours[key] == theirs[key], key
    assert np.array_equal(radcnn.read(tmp_path / "out.ome.zarr")[0].array, other.array)

"""Findings of a run, gone through in the Models dock with mouse and keys: on a turned and on an oblique scan."""

from __future__ import annotations

import gc
import json
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QOpenGLWidget

import fake_models
from costly import few_of
from dicom_factory import write_dicom_series
from napari_radcnn import io
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.export.dock import ExportDock
from napari_radcnn.gui.findings.layer import detections_layer, findings_from_layer, review_of
from napari_radcnn.gui.layers.layers import layer_data, to_patient
from napari_radcnn.gui.layers.pointer import world_position
from napari_radcnn.gui.models.dock import ModelsDock
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.inference.request import Outcome
from napari_radcnn.io.reports import read_detections
from napari_radcnn.phantom import FIELD_COEFFICIENTS
from napari_radcnn.results import Detection, Detections
from played import LEFT, ORDERS, PLAIN, Played, oblique_scan, scan
from screens import pump, wait_for_plan

pytestmark = pytest.mark.gui

SCANS = {"turned": scan, "oblique": oblique_scan}
SCORES = (0.5, 0.9, 0.25, 0.7)
SIZES = ((7.0, 8.0, 9.0), (4.0, 5.0, 6.0), (3.0, 3.0, 3.0), (10.0, 8.0, 6.0))
WARNING = "This model learned from synthetic nodules only."


def boxes_in(volume):
    """Return findings on four voxels of a scan, not best first, each with its voxel's index."""
    shape = np.array(volume.geometry.shape)
    shares = np.array([[0.3, 0.4, 0.6], [0.5, 0.6, 0.35], [0.7, 0.3, 0.45], [0.4, 0.7, 0.7]])
    indices = np.rint(shares * (shape - 1)).astype(int)
    return tuple(
        Detection(f"nodule {n}", score, tuple(volume.geometry.to_world(index.astype(float)).tolist()), size)
        for n, (index, score, size) in enumerate(zip(indices, SCORES, SIZES, strict=True))
    )


class Reviewed(Played):
    """A viewer in which a model found four nodules."""

    def __init__(self, make_napari_viewer, qtbot, monkeypatch, volume, boxes=None) -> None:
        self.qtbot, self.volume = qtbot, volume
        self.boxes = boxes_in(volume) if boxes is None else boxes
        _, pipeline = fake_models.register(monkeypatch, "detection", "finder")
        pipeline.run = lambda *_: Outcome("cpu", "float32", detections=self.boxes, warnings=(WARNING,))
        self.viewer = make_napari_viewer(show=True)
        self.viewer.window.resize(1100, 800)
        add_to_viewer(self.viewer, layer_data(volume))
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
        assert isinstance(self.dock, ModelsDock)
        self.dock.model_combo.setCurrentIndex(self.dock.model_combo.findData("finder"))
        wait_for_plan(self.dock)
        qtbot.mouseClick(self.dock.panel.start_button, LEFT)
        qtbot.waitUntil(lambda: self.dock.job is None, timeout=20_000)
        self.canvas = self.dock.window().findChild(QOpenGLWidget)
        self.layer = self.viewer.layers[-1]
        self.findings = self.dock.page("detection").widget
        pump()

    @property
    def rows(self):
        listed = self.findings.list
        items = [listed.topLevelItem(n) for n in range(listed.topLevelItemCount())]
        return [[item.text(column) for column in range(5)] for item in items if not item.isHidden()]

    def click_row(self, number):
        listed = self.findings.list
        item = listed.topLevelItem(number)
        listed.scrollToItem(item)
        self.qtbot.mouseClick(listed.viewport(), LEFT, pos=listed.visualItemRect(item).center())
        pump()

    def list_key(self, key, modifiers=PLAIN):
        self.qtbot.keyClick(self.findings.list, key, modifiers)
        pump()

    def hover(self, position):
        self.move(position, button=Qt.MouseButton.NoButton)
        return to_patient(world_position(self.viewer, self.viewer.cursor))

    @property
    def best_first(self):
        return sorted(self.boxes, key=lambda box: -box.score)


@pytest.fixture
def reviewed(make_napari_viewer, qtbot, monkeypatch):
    return lambda volume, **more: Reviewed(make_napari_viewer, qtbot, monkeypatch, volume, **more)


@pytest.mark.parametrize("kind", SCANS)
def test_findings_lie_on_their_voxels_and_are_listed_best_first(reviewed, kind):
    shown = reviewed(SCANS[kind]())
    layer = shown.layer
    assert isinstance(layer, Points)
    assert layer.name == f"{shown.volume.name} · finder"
    for place, box in zip(layer.data, shown.best_first, strict=True):
        assert np.allclose(layer.data_to_world(place)[::-1], box.center, atol=1e-3)
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert shown.rows == [
        ["1", "0.90", "nodule 1", "6.0", "candidate"],
        ["2", "0.70", "nodule 3", "10.0", "candidate"],
        ["3", "0.50", "nodule 0", "9.0", "candidate"],
        ["4", "0.25", "nodule 2", "3.0", "candidate"],
    ]
    assert list(layer.features["label"]) == [row[2] for row in shown.rows]
    assert list(layer.features["diameter_mm"]) == [6.0, 10.0, 9.0, 3.0]
    assert WARNING in shown.findings.warnings.text()
    assert not shown.findings.isHidden()
    shown.qtbot.waitUntil(lambda: shown.findings.list.visibleRegion().boundingRect().height() > 100)  # scrolled to
    for shown_whole in (shown.findings.list, shown.dock.panel.cancel_button):  # nothing is cut off at the side
        assert shown_whole.visibleRegion().boundingRect().width() == shown_whole.width()
    # the sliders still step from slice to slice of the scan
    steps = [step.step for step in shown.viewer.dims.range]
    assert np.allclose(steps, shown.viewer.layers[0].scale)


def test_a_finding_between_thick_slices_is_seen_in_one(reviewed):
    volume = scan()  # slices 3 mm apart
    on_a_slice = volume.geometry.to_world(np.array([n // 2 for n in volume.geometry.shape], float))
    between = replace(boxes_in(volume)[0], center=(*on_a_slice[:2].tolist(), on_a_slice[2] + 1.5), size=(1.0, 1.0, 1.0))
    shown = reviewed(volume, boxes=(between,))
    shown.click_row(0)
    assert shown.layer._view_indices.tolist() == [0]
    shown.viewer.dims.set_point(0, shown.viewer.dims.point[0] + 6.0)
    assert shown.layer._view_indices.tolist() == []


def test_a_slice_without_findings_shows_none(reviewed):
    made = scan()
    affine = made.geometry.affine.copy()
    affine[:3, 3] -= made.geometry.to_world(np.subtract(made.geometry.shape, 1) / 2)  # 0, 0, 0 mm lies in the picture
    volume = replace(made, geometry=Geometry(made.geometry.shape, affine))
    shown = reviewed(volume, boxes=boxes_in(volume)[1:2])  # small, and in the middle
    assert len(shown.layer.data) == 1
    shown.viewer.dims.set_point(0, shown.viewer.dims.range[0][0])
    pump()
    with_findings = shown.viewer.screenshot(canvas_only=True, flash=False)
    shown.layer.visible = False
    pump()
    np.testing.assert_array_equal(shown.viewer.screenshot(canvas_only=True, flash=False), with_findings)


def check_choosing_a_row_shows_the_finding_under_the_cursor(shown):
    image = shown.viewer.layers[0]
    half_voxel = np.array(image.scale)[::-1] / 2 + 0.02
    slack = float(np.abs(FIELD_COEFFICIENTS) @ (2 * half_voxel))
    for order in ORDERS.values():
        shown.viewer.dims.order = order
        shown.viewer.reset_view()
        for number, box in enumerate(shown.best_first):
            shown.click_row(number)
            cursor = shown.hover(box.center)
            assert (np.abs(cursor - box.center) <= half_voxel).all()
            # the scan's own value there, which tells where it is
            value = image.get_value(world_position(shown.viewer, shown.viewer.cursor), world=True)
            assert abs(float(value) - float(np.dot(FIELD_COEFFICIENTS, box.center))) <= slack
            assert number in shown.layer._view_indices.tolist()


def check_a_finding_out_of_sight_is_brought_into_it(shown):
    shown.click_row(0)
    camera = shown.viewer.scene.camera
    before = camera.center
    shown.click_row(1)
    assert camera.center == before  # all of the scan is in sight, and the view stays where it is
    camera.zoom *= 30
    shown.click_row(2)
    shown.click_row(3)
    assert camera.center != before
    where = shown.pixel(shown.best_first[3].center)
    assert 0.1 * shown.canvas.width() < where.x() < 0.9 * shown.canvas.width()
    assert 0.1 * shown.canvas.height() < where.y() < 0.9 * shown.canvas.height()


def check_the_ring_is_as_large_in_every_slice_as_the_ball_is_there(shown):
    (number,) = (n for n, box in enumerate(shown.best_first) if box.diameter == 10.0)
    center = shown.best_first[number].center
    seen = {}
    for axis, order in enumerate(ORDERS.values()):
        shown.viewer.dims.order = order
        shown.click_row(number)
        middle = shown.viewer.dims.point[axis]
        for step in (-4, -3, -2, -1, 0, 1, 2, 3, 4):
            shown.viewer.dims.set_point(axis, middle + step * shown.viewer.layers[0].scale[axis])
            away = abs(shown.viewer.dims.point[axis] - center[::-1][axis])
            drawn = dict(zip(shown.layer._view_indices, shown.layer._view_size * shown.layer.scale[0], strict=True))
            if away < 5.0:
                assert drawn[number] == pytest.approx(2 * np.sqrt(25.0 - away**2), abs=1e-6)
                seen[axis] = seen.get(axis, 0) + 1
            else:
                assert number not in drawn
    assert seen == {0: 3, 1: 7, 2: 5}  # slices 3, 1.5 and 2 mm apart


def check_up_and_down_go_through_the_findings_that_are_shown(shown):
    shown.click_row(0)
    visited = []
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Up):
        shown.list_key(key)
        visited.append((shown.findings.current, to_patient(shown.viewer.dims.point)))
    assert [number for number, _ in visited] == [1, 2, 1]
    for number, point in visited:
        assert np.abs(point - shown.best_first[number].center).max() <= 1.5 + 0.02


def check_the_threshold_hides_rows_and_rings_at_once(shown):
    box = shown.findings.threshold_box
    box.setFocus()
    box.selectAll()
    shown.qtbot.keyClicks(box, "0.6")
    shown.qtbot.keyClick(box, Qt.Key.Key_Enter)
    assert [row[0] for row in shown.rows] == ["1", "2"]
    assert shown.findings.summary.text() == "2 of 4 findings"
    assert list(shown.layer.features["number"]) == [1, 2]
    assert shown.findings.threshold_slider.value() == 60
    shown.viewer.dims.ndisplay = 3
    pump()
    assert len(shown.layer._view_indices) == 2  # also in 3-D, where napari shows points that are marked as hidden
    shown.findings.threshold_slider.setValue(40)
    assert box.value() == pytest.approx(0.4)
    assert [row[0] for row in shown.rows] == ["1", "2", "3"]
    assert not shown.layer.editable
    shown.findings.threshold_slider.setValue(100)
    assert shown.rows == []
    assert len(shown.layer.data) == 0
    shown.findings.threshold_slider.setValue(0)
    assert len(shown.rows) == 4
    assert (shown.layer.size * shown.layer.scale[0]).tolist() == pytest.approx([6.0, 10.0, 9.0, 3.15])


def check_a_drag_over_a_finding_moves_the_view_and_chooses_nothing(shown):
    center = shown.best_first[0].center
    shown.show("axial", center)
    before = shown.viewer.scene.camera.center
    shown.drag([center, np.add(center, (6.0, 0.0, 0.0)), np.add(center, (9.0, 4.0, 0.0))])
    assert shown.findings.current is None
    assert shown.viewer.scene.camera.center != before
    assert np.allclose(shown.layer.data_to_world(shown.layer.data[0])[::-1], center, atol=1e-3)


def check_a_click_in_3d_chooses_the_finding_under_it(shown):
    shown.viewer.dims.ndisplay = 3
    shown.click_row(1)  # turns the view about it: it is in the middle of the canvas
    shown.findings.list.setCurrentItem(None)
    shown.click(shown.best_first[1].center)
    assert shown.findings.current == 1


def check_keys_in_the_list_decide_and_go_on_and_undo(shown):
    shown.click_row(0)
    shown.list_key(Qt.Key.Key_A)
    assert shown.findings.current == 1
    shown.list_key(Qt.Key.Key_R)
    assert shown.findings.current == 2
    assert [row[4] for row in shown.rows] == ["accepted", "rejected", "candidate", "candidate"]
    assert list(shown.layer.features["state"]) == [row[4] for row in shown.rows]
    colors = shown.layer.border_color
    assert len({tuple(color[:3]) for color in colors[:3]}) == 3
    assert colors[1][3] < 0.5 < colors[0][3]  # what was rejected is faint
    assert np.abs(to_patient(shown.viewer.dims.point) - shown.best_first[2].center).max() <= 1.5 + 0.02
    shown.list_key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert shown.findings.current == 1
    assert [row[4] for row in shown.rows] == ["accepted", "candidate", "candidate", "candidate"]
    shown.qtbot.mouseClick(shown.findings.reject_button, LEFT)
    assert shown.rows[1][4] == "rejected"
    shown.qtbot.mouseClick(shown.findings.accept_button, LEFT)
    assert shown.rows[2][4] == "accepted"
    assert shown.findings.current == 3
    shown.qtbot.mouseClick(shown.findings.accept_button, LEFT)
    assert shown.findings.current == 3  # the last one stays
    for _ in range(4):
        shown.qtbot.mouseClick(shown.findings.undo_button, LEFT)
    assert {row[4] for row in shown.rows} == {"candidate"}
    assert not shown.findings.undo_button.isEnabled()


def check_keys_in_the_canvas_decide_whichever_layer_is_active(shown):
    shown.click_row(0)
    shown.key(Qt.Key.Key_A, text="a")
    shown.viewer.layers.selection.active = shown.viewer.layers[0]
    shown.key(Qt.Key.Key_R, text="r")
    assert [row[4] for row in shown.rows] == ["accepted", "rejected", "candidate", "candidate"]
    shown.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier, "\x1a")
    assert shown.rows[1][4] == "rejected"  # undo belongs to the layer that is active
    shown.viewer.layers.selection.active = shown.layer
    shown.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier, "\x1a")
    assert [row[4] for row in shown.rows] == ["accepted", "candidate", "candidate", "candidate"]


#: What is asked of one list of findings, one after the other.
ASKED = [
    check_choosing_a_row_shows_the_finding_under_the_cursor,
    check_a_finding_out_of_sight_is_brought_into_it,
    check_the_ring_is_as_large_in_every_slice_as_the_ball_is_there,
    check_up_and_down_go_through_the_findings_that_are_shown,
    check_the_threshold_hides_rows_and_rings_at_once,
    check_a_drag_over_a_finding_moves_the_view_and_chooses_nothing,
    check_a_click_in_3d_chooses_the_finding_under_it,
    check_keys_in_the_list_decide_and_go_on_and_undo,
    check_keys_in_the_canvas_decide_whichever_layer_is_active,
]


@pytest.mark.parametrize("kind", few_of(SCANS, "turned"))
def test_rows_rings_keys_and_mouse_go_together(reviewed, kind):
    shown = reviewed(SCANS[kind]())
    for check in ASKED if kind == "turned" else ASKED[:1]:
        shown.viewer.dims.ndisplay = 2
        shown.viewer.dims.order = ORDERS["axial"]
        shown.viewer.layers.selection.active = shown.layer
        shown.findings.list.setCurrentItem(None)
        shown.viewer.reset_view()
        pump()
        check(shown)


@pytest.mark.parametrize("kind", few_of(SCANS, "oblique"))
def test_a_click_on_a_finding_chooses_its_row(reviewed, kind):
    shown = reviewed(SCANS[kind]())
    shown.viewer.layers.selection.active = shown.viewer.layers[0]  # whichever layer is active
    for plane, (slower, faster) in (("axial", (1, 0)), ("coronal", (2, 0)), ("sagittal", (2, 1))):
        for number in (2, 0):
            shown.findings.list.setCurrentItem(None)
            center = np.array(shown.best_first[number].center)
            shown.show(plane, center)
            center[slower] += 1.0  # inside the ring
            shown.click(center)
            assert shown.findings.current == number
            assert int(np.argmax(shown.layer.border_width)) == number  # and its ring is marked
            assert tuple(shown.viewer.dims.order) == ORDERS[plane]
        shown.findings.list.setCurrentItem(None)
        for away in (20.0, -20.0):
            center[faster] += away
            shown.click(center)
            assert (shown.findings.current is None) == (away > 0)  # beside the ring, and on it again


def test_beside_a_time_series_the_last_three_axes_are_the_patients(reviewed):
    shown = reviewed(scan())
    shown.viewer.add_image(np.zeros((5, 14, 18, 16)), scale=(1, *shown.viewer.layers[0].scale), visible=False)
    assert shown.viewer.dims.ndim == 4
    shown.viewer.layers.selection.active = shown.viewer.layers[0]  # findings are listed beside their scan only
    pump()
    shown.viewer.dims.set_point(0, 3)
    shown.click_row(2)
    assert shown.viewer.dims.point[0] == 3  # the time stays
    assert np.abs(to_patient(shown.viewer.dims.point) - shown.best_first[2].center).max() <= 1.5 + 0.02
    shown.findings.list.setCurrentItem(None)
    shown.viewer.reset_view()
    pump()
    center = np.array(shown.best_first[2].center)
    x, y = center[0], center[1]
    camera = shown.viewer.scene.camera
    offset = (np.array([y, x]) - np.array(camera.center)[-2:]) * camera.zoom
    where = QPoint(round(shown.canvas.width() / 2 + offset[1]), round(shown.canvas.height() / 2 + offset[0]))
    shown.qtbot.mouseClick(shown.canvas, LEFT, pos=where)
    pump()
    assert shown.findings.current == 2


def test_a_dock_that_is_closed_gives_keys_and_mouse_back(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    before = len(viewer.mouse_drag_callbacks)
    held = list(viewer.window.add_plugin_dock_widget("napari-radcnn", "Models"))
    add_to_viewer(viewer, detections_layer(Detections(boxes_in(scan()), "found")))
    assert len(viewer.mouse_drag_callbacks) == before + 1
    assert len(viewer.keymap) == 2
    held[0].destroyOnClose()
    held.clear()
    pump()
    gc.collect()  # napari takes a closed dock out of its window, and Python deletes it when it gets to it
    qtbot.waitUntil(lambda: len(viewer.mouse_drag_callbacks) == before)
    assert len(viewer.keymap) == 0
    viewer.layers.clear()  # and nothing is left that would look at it


def test_what_is_saved_is_what_was_not_rejected(reviewed, tmp_path):
    shown = reviewed(scan())
    shown.findings.threshold_box.setValue(0.3)
    shown.click_row(0)
    shown.list_key(Qt.Key.Key_A)
    shown.list_key(Qt.Key.Key_R)
    target = tmp_path / "found.json"
    assert shown.layer.save(str(target)) == [str(target), f"{target}.radcnn.json"]
    back = read_detections(target)
    assert [(box.score, box.state) for box in back.boxes] == [(0.9, "accepted"), (0.5, "candidate")]
    for box, wanted in zip(back.boxes, (shown.best_first[0], shown.best_first[2]), strict=True):
        assert replace(box, state="candidate") == wanted
    manifest = json.loads((tmp_path / "found.json.radcnn.json").read_text())
    assert manifest["model"]["name"] == "finder"
    assert manifest["reviews"] == [
        {"score_threshold": 0.3, "accepted": 1, "undecided": 1, "rejected": 1, "below_threshold": 1}
    ]
    (again,) = shown.viewer.open(str(target), plugin="napari-radcnn")
    assert findings_from_layer(again).boxes == back.boxes
    assert [row[4] for row in shown.rows] == ["accepted", "candidate"]  # the dock lists the new layer
    assert WARNING in shown.findings.warnings.text()
    shown.viewer.layers.selection.active = shown.layer
    assert len(shown.rows) == 3
    assert shown.findings.threshold_box.value() == pytest.approx(0.3)


def test_the_export_dock_writes_findings(reviewed, tmp_path, qtbot):
    shown = reviewed(scan())
    shown.click_row(3)
    shown.list_key(Qt.Key.Key_R)
    shown.viewer.add_points(np.zeros((2, 3)), name="other points")
    shown.viewer.layers.selection.active = shown.layer
    _, export = shown.viewer.window.add_plugin_dock_widget("napari-radcnn", "Export")
    assert isinstance(export, ExportDock)
    assert export.layer_combo.layer is shown.layer
    assert "other points" not in [export.layer_combo.itemText(n) for n in range(export.layer_combo.count())]
    assert [choice.suffix for choice in export._choices] == [".json", ".csv", ".sr.dcm"]
    export.format_combo.setCurrentIndex(1)
    assert "Rejected findings" in export.about_label.text()
    export.path_line.selectAll()
    qtbot.keyClicks(export.path_line, str(tmp_path / "found.csv"))
    qtbot.mouseClick(export.panel.start_button, LEFT, pos=QPoint(5, 5))
    shown.click_row(0)
    shown.list_key(Qt.Key.Key_R)  # too late for the file
    qtbot.waitUntil(lambda: export.panel.job is None, timeout=20_000)
    assert "3 findings" in export.panel.message_label.text()
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 4
    assert len(findings_from_layer(shown.layer).boxes) == 2


def test_a_report_of_the_findings_on_their_dicom_series(reviewed, tmp_path, qtbot):
    field = oblique_scan()
    write_dicom_series(tmp_path / "series", field.with_array(np.rint(field.array).astype(np.int16)))
    shown = reviewed(io.read(tmp_path / "series")[0])
    shown.click_row(0)
    shown.list_key(Qt.Key.Key_R)
    _, export = shown.viewer.window.add_plugin_dock_widget("napari-radcnn", "Export")
    assert isinstance(export, ExportDock)
    export.format_combo.setCurrentIndex(2)
    assert export.series_combo.isHidden()  # the findings know their series
    export.path_line.selectAll()
    qtbot.keyClicks(export.path_line, str(tmp_path / "found.sr.dcm"))
    qtbot.mouseClick(export.panel.start_button, LEFT, pos=QPoint(5, 5))
    qtbot.waitUntil(lambda: export.panel.job is None, timeout=20_000)
    told = export.panel.message_label.text()
    assert told.startswith("Written and read back: ")
    assert "3 findings" in told
    (saved,) = shown.layer.save(str(tmp_path / "saved.sr.dcm"))[:1]
    for path in (tmp_path / "found.sr.dcm", saved):
        boxes = io.read_report(path).detections.boxes
        for box, wanted in zip(boxes, shown.best_first[1:], strict=True):
            assert box.center == pytest.approx(wanted.center, abs=0.01)
            assert box.score == pytest.approx(wanted.score)


def test_the_list_goes_with_its_layer(reviewed):
    shown = reviewed(scan())
    shown.layer.name = "renamed"
    assert shown.findings.title.text() == "renamed"
    shown.viewer.layers.remove(shown.layer)
    assert shown.findings.isHidden()
    shown.key(Qt.Key.Key_A, text="a")  # nothing to decide, and no error
    add_to_viewer(shown.viewer, shown.layer.as_layer_data_tuple())
    assert not shown.findings.isHidden()


def test_nothing_found_is_an_empty_list(reviewed):
    shown = reviewed(scan(), boxes=())
    assert shown.findings.summary.text() == "No findings."
    assert review_of(shown.layer).kept().boxes == ()
    assert not shown.findings.accept_button.isEnabled()
    shown.list_key(Qt.Key.Key_A)
    shown.findings.threshold_box.setValue(0.5)
    assert len(shown.layer.data) == 0

"""The findings of a structured report as points in the patient, over the scan they were made on."""

from __future__ import annotations

import numpy as np
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.errors import RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.findings.layer import detections_layer, findings_from_layer
from napari_radcnn.gui.napari.reader import layers_at
from napari_radcnn.io import read_report
from napari_radcnn.phantom import FIELD_COEFFICIENTS, oblique_geometry, world_field
from napari_radcnn.results import Detection, Detections
from screens import pump

pytestmark = pytest.mark.gui


@pytest.fixture
def series(tmp_path):
    """An oblique series of a field that tells where it is, and a report of two of its voxels."""
    geometry: Geometry = oblique_geometry()
    field = world_field(geometry)
    write_dicom_series(tmp_path / "series", field.with_array(np.rint(field.array * 10).astype(np.int16)))
    centers = geometry.to_world(np.array([[3, 5, 7], [8, 12, 2]], float))
    boxes = tuple(
        Detection(label, score, tuple(center), (4.0, 5.0, 6.0))
        for label, score, center in zip(("nodule", "mass"), (0.9, 0.4), centers.tolist(), strict=True)
    )
    radcnn.write(Detections(boxes, "CT · lung-nodules"), tmp_path / "found.sr.dcm", reference=tmp_path / "series")
    return tmp_path / "series", tmp_path / "found.sr.dcm", centers


def test_findings_lie_on_the_voxels_they_were_found_at(make_napari_viewer, series):
    folder, report, centers = series
    viewer = make_napari_viewer()
    (image,) = viewer.open(str(folder), plugin="napari-radcnn")
    (points,) = viewer.open(str(report), plugin="napari-radcnn")
    assert list(points.features["label"]) == ["nodule", "mass"]
    assert list(points.features["score"]) == pytest.approx([0.9, 0.4])
    for place, center in zip(points.data, centers, strict=True):
        world = points.data_to_world(place)
        assert world[::-1] == pytest.approx(center, abs=1e-3)
        index = np.rint(image.world_to_data(world)).astype(int)
        nearest = image.data_to_world(index)[::-1]
        assert np.abs(np.subtract(nearest, center)).max() < 1.3  # half a voxel
        assert image.data[tuple(index)] / 10 == pytest.approx(float(np.dot(nearest, FIELD_COEFFICIENTS)), abs=0.2)
    assert (points.size * points.scale[-1]).tolist() == pytest.approx([6.0, 6.0])


def test_a_finding_is_seen_in_the_slice_through_its_middle(make_napari_viewer, series):
    folder, report, centers = series
    viewer = make_napari_viewer(show=True)
    viewer.open(str(folder), plugin="napari-radcnn")
    viewer.open(str(report), plugin="napari-radcnn")
    z = centers[0][2]
    shown = {}
    for offset in (0.0, 9.0):
        viewer.dims.set_point(0, z + offset)
        pump()
        canvas = viewer.screenshot(canvas_only=True, flash=False)
        # the border's yellow, which nothing gray has
        shown[offset] = int(np.count_nonzero((canvas[..., 0] > 180) & (canvas[..., 2] < 60)))
    assert shown[0.0] > shown[9.0] + 20


def test_a_ring_that_is_deleted_with_naparis_own_tools_is_not_written():
    from napari.layers import Layer

    boxes = tuple(Detection(f"at {n}", 1.0 - n / 10, (n, 2.0 * n, -3.0), (4.0, 5.0, 6.0)) for n in range(3))
    layer = Layer.create(*detections_layer(Detections(boxes, "found")))
    assert findings_from_layer(layer).boxes == boxes
    layer.selected_data = {1}
    layer.remove_selected()
    found = findings_from_layer(layer)
    assert found.boxes == (boxes[0], boxes[2])
    assert found.provenance["reviews"][0]["rejected"] == 1
    with pytest.raises(RadcnnError, match="no findings"):
        findings_from_layer(Layer.create(np.zeros((2, 3)), {"name": "other"}, "points"))


def test_radcnn_open_takes_reports_and_json_beside_scans(series, tmp_path):
    folder, report, centers = series
    radcnn.write(read_report(report).detections, tmp_path / "found.json")
    (image,), (from_report,), (from_json,) = map(layers_at, (folder, report, tmp_path / "found.json"))
    assert [data[2] for data in (image, from_report, from_json)] == ["image", "points", "points"]
    assert from_json[1]["name"] == "found"
    for data, arguments, _ in (from_report, from_json):
        assert np.multiply(data, arguments["scale"])[:, ::-1] == pytest.approx(centers, abs=1e-3)


def test_no_findings_are_an_empty_layer(make_napari_viewer):
    viewer = make_napari_viewer()
    from napari.layers import Layer

    layer = viewer.add_layer(Layer.create(*detections_layer(Detections((), "nothing"))))
    assert layer.ndim == 3
    assert len(layer.data) == 0

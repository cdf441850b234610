"""Files and folders through napari's own open and save, at their place in the patient."""

import json
from pathlib import Path

import numpy as np
import pytest

from dicom_factory import write_dicom_series
from mixed_folders import FINDINGS, every_kind
from napari_radcnn import io
from napari_radcnn.errors import RadcnnError
from napari_radcnn.files import file_hash
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.napari import reader
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import FIELD_COEFFICIENTS, oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

pytestmark = pytest.mark.gui
PLANES = ("SPL", "AIL", "LIP", "IPL", "SAR")


def plane_geometry(orientation: str) -> Geometry:
    usual = Geometry.from_parts((10, 16, 20), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
    return usual.reoriented(usual.axis_map(orientation))


def int_field(geometry: Geometry) -> Volume:
    """The field in integers, as DICOM stores it: 1 unit is 0.1 mm weighted."""
    field = world_field(geometry)
    return field.with_array(np.rint(field.array * 10).astype(np.int16))


def test_a_shuffled_series_of_each_plane_stands_at_its_place(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    for orientation in PLANES:
        write_dicom_series(tmp_path / orientation, int_field(plane_geometry(orientation)), shuffle=True)
        (layer,) = viewer.open(str(tmp_path / orientation), plugin="napari-radcnn")
        for index in np.random.default_rng(2).integers(0, layer.data.shape, (1000, 3)):
            z, y, x = layer.data_to_world(tuple(index.astype(float)))
            # half a unit of rounding over the gradient's length is 0.0055 mm
            assert abs(layer.data[tuple(index)] / 10 - np.dot((x, y, z), FIELD_COEFFICIENTS)) <= 0.0501, orientation
        assert viewer.canvas.overlays["radcnn_letter_left"].text == "R"
        viewer.layers.clear()


def test_an_oblique_series_stands_at_its_place(make_napari_viewer, tmp_path):
    volume = int_field(oblique_geometry())
    write_dicom_series(tmp_path / "series", volume, shuffle=True)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(tmp_path / "series"), plugin="napari-radcnn")
    compared = 0
    for index in np.random.default_rng(3).integers(0, layer.data.shape, (3000, 3)):
        z, y, x = layer.data_to_world(tuple(index.astype(float)))
        at = volume.geometry.to_index((x, y, z))
        if np.all(at >= 0) and np.all(at <= np.array(volume.geometry.shape) - 1):
            compared += 1
            assert abs(layer.data[tuple(index)] / 10 - np.dot((x, y, z), FIELD_COEFFICIENTS)) <= 0.11
    assert compared > 500


def test_files_of_other_formats_open_and_lists_of_them(make_napari_viewer, tmp_path):
    paths = []
    for n, orientation in enumerate(("SPL", "LIP")):
        paths.append(tmp_path / f"scan{n}.nii.gz")
        io.write(world_field(plane_geometry(orientation)), paths[-1])
    viewer = make_napari_viewer()
    viewer.open([str(path) for path in paths], plugin="napari-radcnn")
    assert len(viewer.layers) == 2
    assert np.allclose(viewer.layers[0].data, viewer.layers[1].data, atol=1e-3)


def test_what_is_not_ours_is_left_to_others(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "empty", "missing"):
        assert reader.get_reader(str(tmp_path / name)) is None
    io.write(world_field(oblique_geometry()), tmp_path / "a.nrrd")
    assert reader.get_reader(str(tmp_path / "a.nrrd")) is not None
    assert reader.get_reader([str(tmp_path / "a.nrrd"), str(tmp_path / "notes.txt")]) is None
    assert reader.get_reader([]) is None


def test_only_what_is_shown_is_taken(tmp_path):
    for path, kind in every_kind(tmp_path).items():
        is_shown = kind in (io.Kind.IMAGES, io.Kind.REPORT, io.Kind.FINDINGS)
        assert (reader.get_reader(str(path)) is not None) is is_shown, path


def test_findings_of_every_format_open_in_their_place(make_napari_viewer, tmp_path):
    write_dicom_series(tmp_path / "series", int_field(oblique_geometry()))
    viewer = make_napari_viewer()
    for suffix in (".json", ".csv", ".sr.dcm"):
        path = tmp_path / f"found{suffix}"
        io.write(FINDINGS, path, reference=tmp_path / "series" if suffix == ".sr.dcm" else None)
        (layer,) = viewer.open(str(path), plugin="napari-radcnn")
        assert np.allclose(layer.data_to_world(layer.data[0])[::-1], FINDINGS.boxes[0].center, atol=1e-3), suffix


def test_findings_beside_a_newer_manifest_open_with_a_warning(make_napari_viewer, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", lines.append)
    io.write(FINDINGS, tmp_path / "found.json")
    (tmp_path / "found.json.radcnn.json").write_text('{"schema": "radcnn-manifest/2"}')
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(tmp_path / "found.json"), plugin="napari-radcnn")
    assert len(layer.data) == 1
    (line,) = lines
    assert "found.json.radcnn.json: written by a newer version of napari-radcnn" in line


def test_a_damaged_file_is_refused_in_one_line(make_napari_viewer, tmp_path):
    path = tmp_path / "damaged.nii.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00broken")
    viewer = make_napari_viewer()
    with pytest.raises(RadcnnError, match=r"damaged\.nii\.gz") as caught:
        viewer.open(str(path), plugin="napari-radcnn")
    assert "\n" not in str(caught.value)
    assert not viewer.layers


def test_an_oblique_scan_is_saved_on_its_own_grid(make_napari_viewer, tmp_path):
    volume = world_field(oblique_geometry())
    io.write(volume, tmp_path / "in.nrrd")
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(tmp_path / "in.nrrd"), plugin="napari-radcnn")
    for suffix in (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".ome.zarr", ".zarr"):
        target = tmp_path / f"out{suffix}"
        if not suffix.endswith("zarr"):
            target.write_bytes(b"old")  # napari's dialog has asked
        assert layer.save(str(target), plugin="napari-radcnn")
        (back,) = io.read(target)
        assert back.geometry.is_close(volume.geometry), suffix
        assert np.allclose(back.array, volume.array), suffix


def test_the_manifest_is_saved_beside_and_goes_with_what_it_tells_of(make_napari_viewer, tmp_path):
    geometry = plane_geometry("SPL")
    manifest = {"schema": "radcnn-manifest/1", "model": {"name": "fake"}}
    made = LabelMap(np.ones(geometry.shape, np.uint8), geometry, {1: Label("liver")}, "liver", manifest)
    viewer = make_napari_viewer()
    layer = add_to_viewer(viewer, layer_data(made))
    target, beside = tmp_path / "a.nii.gz", tmp_path / "a.nii.gz.radcnn.json"
    assert layer.save(str(target), plugin="napari-radcnn") == [str(target), str(beside)]
    files = {"a.nii.gz": file_hash(target)}
    assert json.loads(beside.read_text()) == {**manifest, "output": "a.nii.gz", "files": files}
    layer.data_setitem((np.array([3]), np.array([5]), np.array([7])), 2)
    layer.save(str(target), plugin="napari-radcnn")
    assert json.loads(beside.read_text())["edited_by_hand"] is True
    (scan,) = viewer.open_sample("napari-radcnn", "disks")
    assert scan.save(str(target), plugin="napari-radcnn") == [str(target)]
    assert not beside.exists()


def test_painted_labels_are_saved_where_they_were_painted(make_napari_viewer, tmp_path):
    geometry = plane_geometry("LIP")
    volume = Volume(np.zeros(geometry.shape, np.uint8), geometry, VolumeMetadata(is_label=True))
    viewer = make_napari_viewer()
    layer = add_to_viewer(viewer, layer_data(volume))
    layer.data_setitem((np.array([3]), np.array([5]), np.array([7])), 2)
    world = np.array(layer.data_to_world((3, 5, 7)))[::-1]
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        target = tmp_path / f"labels{suffix}"
        assert layer.save(str(target), plugin="napari-radcnn")
        (back,) = io.read(target)
        assert back.geometry.shape == volume.geometry.shape
        (index,) = np.argwhere(back.array == 2)
        assert np.allclose(back.geometry.to_world(index), world, atol=0.01), suffix


def test_samples_open_with_the_radiological_view(make_napari_viewer):
    viewer = make_napari_viewer()
    for key in ("head", "disks", "oblique-head"):
        viewer.open_sample("napari-radcnn", key)
        assert len(viewer.layers) == 1
        assert viewer.canvas.overlays["radcnn_letter_top"].text == "A"
        viewer.layers.clear()
        assert viewer.canvas.overlays["radcnn_letter_top"].text == ""


def test_the_sample_files_are_what_their_readme_says(tmp_path):
    folder = Path(__file__).parents[3] / "sample_data"
    expected = json.loads((folder / "expected.json").read_text())
    for name, facts in expected.items():
        (volume,) = io.read(folder / name)
        assert list(volume.geometry.shape) == facts["shape"]
        assert np.allclose(volume.geometry.affine, facts["affine"], atol=1e-4)
        for voxel in facts["voxels"]:
            assert volume.array[tuple(voxel["index"])] == pytest.approx(voxel["value"], abs=0.06)


def test_a_scan_is_not_saved_over_itself(make_napari_viewer, tmp_path):
    path = io.write(int_field(plane_geometry("SPL")), tmp_path / "scan.nii.gz")
    before = path.read_bytes()
    viewer = make_napari_viewer()
    layer = add_to_viewer(viewer, layer_data(io.read(path)[0]))
    layer.data[...] = 0
    with pytest.raises(RadcnnError, match=r"is the input 'scan\.nii\.gz'"):
        layer.save(str(path), plugin="napari-radcnn")
    assert path.read_bytes() == before

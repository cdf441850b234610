"""Which volumes become one layer with a fourth axis, and what such a layer stands for."""

from dataclasses import replace
from pathlib import Path
from threading import Thread

import nibabel
import numpy as np
import pytest
from napari.layers import Layer

from aligned import ORIENTATIONS, aligned
from napari_radcnn.errors import RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import (
    METADATA_KEY,
    name_of,
    points_of,
    scan_from_layer,
    show_point,
    snapshot,
    volume_from_layer,
    volume_shape,
)
from napari_radcnn.gui.layers.sequences import MOST_LAYERS, few_of, layers_of
from napari_radcnn.gui.napari.reader import read
from napari_radcnn.gui.scans.folder import list_folder, load
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume, VolumeMetadata

PATH = Path("dynamic.nii.gz")


def volumes(n, geometry=None, **metadata):
    field = world_field(aligned("SPL") if geometry is None else geometry)
    return [
        Volume(field.array + k, field.geometry, VolumeMetadata(name=f"scan · {k + 1}", **metadata)) for k in range(n)
    ]


def moved(volume, mm):
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += mm
    return replace(volume, geometry=Geometry(volume.geometry.shape, affine))


def named(volume, name):
    return volume.with_metadata(name=name)


def shown(found):
    return [(arguments["name"], data.shape, arguments.get("visible", True)) for data, arguments, _ in found]


def one_layer(found):
    (data,) = layers_of(found)
    return Layer.create(*data)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_time_points_are_one_layer_that_stands_for_the_one_that_is_shown(orientation):
    given = volumes(5, aligned(orientation), source=PATH)
    layer = one_layer(given)
    assert layer.name == "scan"
    assert layer.data.shape == (5, *volume_shape(layer))
    assert volume_shape(layer) == (*aligned(orientation).reoriented(aligned(orientation).axis_map("SPL")).shape,)
    for n in (3, 0, 4):
        show_point(layer, n)
        found = volume_from_layer(layer)
        assert np.array_equal(found.array, given[n].array)
        assert np.shares_memory(found.array, given[n].array)
        assert found.geometry.is_close(given[n].geometry)
        assert found.name == name_of(layer) == f"scan · {n + 1}"
    for n, k, j, i in ((0, 0, 0, 0), (3, 2, 1, 1), (4, -1, 0, 2)):
        z, y, x = layer.data_to_world((n, *(np.array((k, j, i)) % volume_shape(layer))))[1:]
        index = np.rint(given[n].geometry.to_index((x, y, z))).astype(int)
        assert layer.data[n, k, j, i] == given[n].array[tuple(index)]


def test_an_array_of_time_points_is_sliced_as_numpy_slices():
    given = volumes(4, source=PATH)
    data, whole = layers_of(given)[0][0], np.stack([volume.array for volume in given])
    for key in (
        2,
        -1,
        (slice(1, 3), 0),
        (slice(None, None, -1), slice(None), 2, slice(1, 4)),
        (..., 3),
        (3, slice(2), ..., slice(None, None, 2)),
        (slice(3, 3), 1),
        (np.int64(1), np.int64(2), slice(None), slice(None)),
        ([0, 3], slice(1, 3)),
    ):
        assert np.array_equal(data[key], whole[key]), key
    assert np.array_equal(np.asarray(data), whole)
    assert (data.ndim, data.size, data.nbytes, len(data)) == (4, whole.size, whole.nbytes, 4)
    with pytest.raises(IndexError):
        data[4]


def test_oblique_time_points_are_resampled_where_they_are_seen():
    given = volumes(3, oblique_geometry(), source=PATH)
    data = layers_of(given)[0][0]
    upright = given[0].geometry.axis_aligned()
    wholes = [
        resample(v.array, v.geometry, upright, interpolation="linear", fill=float(v.array.min()), antialias=False)
        for v in given
    ]
    whole = np.stack(wholes)
    assert data.shape == whole.shape
    for key in ((1, 5), (2, slice(3, 6), 7), (0, slice(None), slice(None), 4), (slice(None), 4, 3, 5), (1, -1, -2)):
        assert np.allclose(data[key], whole[key], rtol=1e-5, atol=1e-3), key
    assert data[1, slice(2, 2)].shape == whole[1, 2:2].shape
    layer = Layer.create(*layers_of(given)[0])
    show_point(layer, 2)
    assert volume_from_layer(layer).array is given[2].array  # its own voxels, not those of the screen


def test_colors_have_a_time_axis_before_them():
    rng = np.random.default_rng(3)
    grid = Geometry.from_parts((1, 6, 7), (1.0, 0.5, 0.4), (0.0, 0.0, 0.0))
    clip = [
        Volume(
            rng.integers(0, 255, (1, 6, 7, 3), np.uint8), grid, VolumeMetadata(name=f"US 1 · {n + 1}", series_uid="1.2")
        )
        for n in range(4)
    ]
    layer = one_layer(clip)
    assert layer.rgb
    assert layer.data.shape == (4, 1, 6, 7, 3)
    show_point(layer, 2)
    assert np.array_equal(volume_from_layer(layer).array, clip[2].array)


def test_what_was_taken_of_a_time_point_stays_when_another_one_is_shown():
    given = volumes(3, source=PATH)
    layer = one_layer(given)
    show_point(layer, 1)
    taken = snapshot(layer)
    show_point(layer, 2)
    assert taken.ndim == 3
    assert taken.name == "scan · 2"
    assert np.array_equal(scan_from_layer(taken).array, given[1].array)
    assert np.array_equal(scan_from_layer(layer).array, given[2].array)
    assert np.array_equal(volume_from_layer(layer, 0).array, given[0].array)
    assert points_of(taken) is None


def test_a_layer_that_was_moved_is_taken_where_it_is():
    layer = one_layer(volumes(3, source=PATH))
    layer.translate = np.add(layer.translate, (0, 5.0, 2.0, -1.0))
    show_point(layer, 1)
    found = volume_from_layer(layer)
    expected = volumes(1)[0].geometry.affine[:3, 3] + (-1.0, 2.0, 5.0)
    assert np.allclose(found.geometry.affine[:3, 3], expected)
    assert any("moved" in line for line in found.warnings)


def test_other_voxels_in_the_layer_are_no_time_points_any_more():
    layer = one_layer(volumes(3, source=PATH))
    layer.data = np.zeros(layer.data.shape, np.float32)
    assert points_of(layer) is None
    with pytest.raises(RadcnnError, match="4 axes"):
        volume_from_layer(layer)


def test_one_alone_is_a_plain_layer():
    assert shown(layers_of(volumes(1, source=PATH))) == [("scan · 1", (3, 4, 5), True)]


@pytest.mark.parametrize(
    ("change", "word"), [("grid", "positions or voxel sizes"), ("shape", "numbers of voxels"), ("units", "units")]
)
def test_points_that_differ_stay_apart_with_a_word(change, word):
    first, second, third = volumes(3, source=PATH)
    other = {
        "grid": lambda: moved(third, 3.0),
        "shape": lambda: replace(
            third, voxels=third.array[1:], geometry=third.geometry.cropped((slice(1, None), slice(None), slice(None)))
        ),
        "units": lambda: third.with_metadata(units="ml/g"),
    }[change]()
    found = layers_of([first, second, other])
    assert [data.shape for data, _, _ in found] == [(2, 3, 4, 5), other.shape]
    assert [arguments.get("visible", True) for _, arguments, _ in found] == [True, change != "units"]
    assert any(f"differ in {word}" in line for line in found[0][1]["metadata"][METADATA_KEY]["warnings"])


def test_factors_of_suv_that_differ_are_units_that_differ():
    given = [replace(volume, suvbw_factor=0.1 * (n > 1) + 0.2) for n, volume in enumerate(volumes(4, source=PATH))]
    found = layers_of(given)
    assert [data.shape[0] for data, _, _ in found] == [2, 2]
    show = [Layer.create(*data) for data in found]
    assert volume_from_layer(show[1]).suvbw_factor == pytest.approx(0.3)


def test_three_planes_of_a_localizer_stay_apart_without_a_word():
    given = [named(volumes(1, aligned(o), series_uid="1.2")[0], f"MR 1 · {n}") for n, o in enumerate(("SPL", "PSL"), 1)]
    found = layers_of(given)
    assert [(arguments["name"], arguments.get("visible", True)) for _, arguments, _ in found] == [
        ("MR 1 · 1", True),
        ("MR 1 · 2", True),
    ]
    assert not any(arguments["metadata"][METADATA_KEY]["warnings"] for _, arguments, _ in found)


def test_kinds_of_pictures_have_a_layer_each_of_which_the_first_is_shown():
    given = [
        named(volume, f"MR 5 · {kind} · {n + 1}")
        for kind in ("magnitude", "phase")
        for n, volume in enumerate(volumes(3, series_uid="1.2"))
    ]
    found = layers_of(given)
    assert shown(found) == [("MR 5 · magnitude", (3, 3, 4, 5), True), ("MR 5 · phase", (3, 3, 4, 5), False)]
    assert np.array_equal(found[1][0][2], given[5].array)


def test_echoes_are_an_axis_of_their_own():
    given = [named(v, f"MR 5 · magnitude, echo {n + 1}") for n, v in enumerate(volumes(3, series_uid="1.2"))]
    (_, arguments, _) = layers_of(given)[0]
    assert arguments["name"] == "MR 5 · magnitude · echo"
    assert arguments["axis_labels"] == ("echo", "S", "P", "L")


def test_a_missing_point_is_told_and_the_others_keep_their_numbers():
    one, two, _, four = volumes(4, source=PATH)
    (_, arguments, _) = layers_of([one, two, four])[0]
    kept = arguments["metadata"][METADATA_KEY]
    assert any("Missing between the others on the axis of time: number 3." in line for line in kept["warnings"])
    assert kept["points"].labels == ("1", "2", "4")
    assert kept["points"].words(2) == "time 4 (number 3) of 3"


def test_of_many_layers_the_first_few_are_made_and_the_rest_is_told():
    many = [moved(volume, 0.5 * n) for n, volume in enumerate(volumes(300, source=PATH))]
    others = volumes(2, source=Path("other.nii.gz"))
    found = layers_of([*others, *many])
    assert [volume_from_layer(Layer.create(*data)).array[0, 0, 0] for data in found] == [
        volume.array[0, 0, 0] for volume in [others[0], *many[:MOST_LAYERS]]
    ]
    told = [arguments["metadata"][METADATA_KEY]["warnings"] for _, arguments, _ in found]
    assert [bool(lines) for lines in told] == [False, True, *[False] * (MOST_LAYERS - 1)]
    assert "differ in positions" in told[1][0]
    assert told[1][1].startswith("300 volumes belong together, of which the first 8 are layers here: ")
    assert [arguments.get("visible", True) for _, arguments, _ in found] == [True, True, *[False] * 7]
    labels = [replace(v, metadata=replace(v.metadata, is_label=True)) for v in many[:20]]
    assert few_of(labels).groups == [(one,) for one in labels]  # those are results, each of its own


@pytest.mark.parametrize("change", ["file", "grid", "series", "labels", "unknown"])
def test_what_does_not_belong_together_is_shown(change):
    first, second = volumes(2, source=PATH, series_uid="1.2" if change == "series" else "")
    metadata = {
        "file": {"source": Path("other.nii.gz")},
        "series": {"series_uid": "1.3"},
        "labels": {"is_label": True},
    }.get(change, {})
    second = replace(second, metadata=replace(second.metadata, **metadata))
    if change == "labels":
        second = second.with_array(np.ones(second.shape, np.uint8))
    if change == "grid":
        second = volumes(1, aligned("IPL"), source=PATH)[0]
    if change == "unknown":
        first, second = (replace(v, metadata=replace(v.metadata, source=None)) for v in (first, second))
    assert [(data.ndim, a.get("visible", True)) for data, a, _ in layers_of([first, second])] == [(3, True), (3, True)]


def test_files_of_one_dicom_series_belong_together():
    found = [*volumes(1, source=Path("a"), series_uid="1.2"), *volumes(1, source=Path("b"), series_uid="1.2")]
    assert shown(layers_of(found)) == [("scan", (2, 3, 4, 5), True)]


def test_the_window_is_that_of_the_whole_time():
    dark, *_ = given = volumes(6, source=PATH)
    given = [volume.with_array(volume.array * 0 + n * volume.array) for n, volume in enumerate(given)]
    (_, arguments, _) = layers_of(given)[0]
    assert arguments["contrast_limits"][1] > 3 * float(np.percentile(dark.array, 99))


def test_the_scans_dock_and_the_reader_make_one_layer_too(tmp_path):
    path = tmp_path / "dynamic.nii"
    series = np.stack([volume.array for volume in volumes(3)], -1)
    nibabel.save(nibabel.Nifti1Image(series, np.diag([2.0, 3.0, 4.0, 1.0])), path)
    (found,) = list_folder(path)
    assert shown(load([found])) == [("dynamic", (3, 5, 4, 3), True)]
    assert shown(read(str(path))) == [("dynamic", (3, 5, 4, 3), True)]


def test_label_maps_that_do_not_say_so_stay_apart(tmp_path):
    rng = np.random.default_rng(1)
    labels = np.zeros((24, 24, 24, 3), np.uint8)
    for n in range(3):
        labels[4 + n : 14, 5:15, 6:16, n] = 1
        labels[14:20, 12:20, 3 : 10 + int(rng.integers(5)), n] = 2
    path = tmp_path / "labels.nii"
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([2.0, 3.0, 4.0, 1.0])), path)
    (found,) = list_folder(path)
    assert [kind for _, _, kind in load([found])] == ["labels"] * 3


@pytest.mark.gui
def test_the_viewer_begins_with_the_first_point_and_the_layer_follows(make_napari_viewer):
    from napari_radcnn.gui.reading.show import add_to_viewer

    viewer = make_napari_viewer()
    given = volumes(5, source=PATH)
    layer = add_to_viewer(viewer, layers_of(given)[0])
    assert viewer.dims.point[0] == 0
    assert tuple(viewer.dims.axis_labels) == ("time", "S", "P", "L")
    viewer.dims.set_point(0, 3)
    assert np.array_equal(volume_from_layer(layer).array, given[3].array)
    assert layer.metadata[METADATA_KEY]["volume"].name == "scan · 4"
    seen = []
    worker = Thread(target=lambda: seen.append(volume_from_layer(layer, 1).array))
    worker.start()
    worker.join()
    assert np.array_equal(seen[0], given[1].array)
    shorter = add_to_viewer(viewer, layers_of(volumes(2, source=Path("b.nii")))[0])
    assert viewer.dims.point[0] == 3  # a second one leaves the first where it is
    assert np.array_equal(volume_from_layer(shorter).array, given[1].array)  # its last one

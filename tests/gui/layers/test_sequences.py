from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from aligned import aligned
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.gui.napari.reader import read
from napari_radcnn.gui.scans.folder import list_folder, load
from napari_radcnn.phantom import world_field
from napari_radcnn.volume import Volume, VolumeMetadata

PATH = Path("dynamic.nii.gz")


def volumes(n, geometry=None, **metadata):
    field = world_field(aligned("SPL") if geometry is None else geometry)
    return [
        Volume(field.array + k, field.geometry, VolumeMetadata(name=f"scan · {k + 1}", **metadata)) for k in range(n)
    ]


def shown(found):
    return [(arguments["name"], arguments.get("visible", True)) for _, arguments, _ in found]


def test_only_the_first_of_a_sequence_is_shown_and_names_sort():
    names = shown(layers_of(volumes(12, source=PATH)))
    assert names[0] == ("scan · 01", True)
    assert names[1:] == [(f"scan · {n:02d}", False) for n in range(2, 13)]
    assert sorted(names) == names
    assert shown(layers_of(volumes(2, source=PATH))) == [("scan · 1", True), ("scan · 2", False)]


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
    assert [visible for _, visible in shown(layers_of([first, second]))] == [True, True]


def test_files_of_one_dicom_series_belong_together():
    found = [*volumes(1, source=Path("a"), series_uid="1.2"), *volumes(1, source=Path("b"), series_uid="1.2")]
    assert [visible for _, visible in shown(layers_of(found))] == [True, False]


def test_the_scans_dock_and_the_reader_hide_them_too(tmp_path):
    path = tmp_path / "dynamic.nii"
    series = np.stack([volume.array for volume in volumes(3)], -1)
    nibabel.save(nibabel.Nifti1Image(series, np.diag([2.0, 3.0, 4.0, 1.0])), path)
    (found,) = list_folder(path)
    assert [visible for _, visible in shown(load([found]))] == [True, False, False]
    assert [visible for _, visible in shown(read(str(path)))] == [True, False, False]


@pytest.mark.gui
def test_a_hidden_time_point_is_a_scan_like_any_other(make_napari_viewer):
    viewer = make_napari_viewer()
    for data, arguments, _ in layers_of(volumes(3, source=PATH)):
        viewer.add_image(data, **arguments)
    assert [layer.visible for layer in viewer.layers] == [True, False, False]
    assert np.array_equal(volume_from_layer(viewer.layers[2]).array, volumes(3)[2].array)

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from napari.layers import Layer

from aligned import aligned
from napari_radcnn.gui.layers.layers import METADATA_KEY, volume_from_layer
from napari_radcnn.gui.layers.sequences import MOST_LAYERS, few_of, layers_of
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
    names = shown(layers_of(volumes(8, source=PATH)))
    assert names == [("scan · 1", True), *((f"scan · {n}", False) for n in range(2, 9))]
    assert shown(layers_of(volumes(2, source=PATH))) == [("scan · 1", True), ("scan · 2", False)]


def test_of_many_volumes_the_first_few_become_layers_and_the_rest_is_told():
    many = volumes(300, source=PATH)
    others = volumes(2, source=Path("other.nii.gz"))
    found = layers_of([*others, *many])
    assert [volume_from_layer(Layer.create(*data)).array[0, 0, 0] for data in found] == [
        volume.array[0, 0, 0] for volume in [*others, *many[:MOST_LAYERS]]
    ]
    told = [arguments["metadata"][METADATA_KEY]["volume"].warnings for _, arguments, _ in found]
    assert [bool(lines) for lines in told] == [False, False, True, *[False] * (MOST_LAYERS - 1)]
    assert told[2][0].startswith("300 volumes belong together, of which the first 8 are layers here: ")
    labels = [replace(v, metadata=replace(v.metadata, is_label=True)) for v in many[:20]]
    assert few_of(labels).volumes == labels  # those are results, each of its own


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

"""Which scan a layer belongs to: said by the layer, else its grid where only one scan is on it."""

import numpy as np
from napari.layers import Image, Labels, Points

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.belonging import identity, is_made_of, is_scan, made_of, scan_of
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Label, LabelMap


def image(origin=(1.0, 2.0, 3.0), name="scan"):
    geometry = Geometry.from_parts((3, 4, 5), (2.5, 0.8, 0.7), origin)
    data, arguments, _ = layer_data(world_field(geometry))
    return Image(data, **{**arguments, "name": name})


def labels_data(origin=(1.0, 2.0, 3.0)):
    geometry = Geometry.from_parts((3, 4, 5), (2.5, 0.8, 0.7), origin)
    return layer_data(LabelMap(np.ones((3, 4, 5), np.uint8), geometry, {1: Label("mass")}))


def labels(data):
    return Labels(data[0], **data[1])


def test_an_image_is_its_own_scan_unless_it_is_a_map():
    scan = image()
    data, arguments, _ = made_of(layer_data(world_field(Geometry.from_parts((3, 4, 5), (2, 1, 1)))), identity(scan))
    restored = Image(data, **arguments)
    data, arguments, _ = made_of((data, arguments, "image"), identity(scan), is_map=True)
    evidence = Image(data, **arguments)
    layers = [scan, restored, evidence]
    assert [is_scan(layer) for layer in layers] == [True, True, False]
    assert [scan_of(layer, layers) for layer in layers] == [scan, restored, scan]
    assert is_made_of(restored, scan)
    assert not is_made_of(scan, scan)
    assert not is_made_of(scan, None)
    assert scan_of(None, layers) is None


def test_labels_say_which_of_two_scans_on_one_grid_they_were_made_of():
    first, second = image(), image()
    mask = labels(made_of(labels_data(), identity(second)))
    assert scan_of(mask, [first, second, mask]) is second
    assert scan_of(mask, [first, mask]) is None  # the other one is not theirs, though it fits
    assert scan_of(labels(made_of(labels_data(), None)), [first]) is first


def test_labels_that_do_not_say_belong_to_the_only_scan_on_their_grid():
    here, there = image(), image(origin=(9.0, 2.0, 3.0))
    mask = labels(labels_data(origin=(9.0, 2.0, 3.0)))
    assert scan_of(mask, [here, there, mask]) is there
    assert scan_of(mask, [here, mask]) is None
    assert scan_of(mask, [there, image(origin=(9.0, 2.0, 3.0)), mask]) is None
    assert scan_of(Labels(np.ones((3, 4, 5), np.uint8)), [here]) is None
    assert scan_of(Points(np.zeros((1, 3))), [here]) is None

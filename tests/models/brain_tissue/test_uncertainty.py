"""How sure `brain-tissue` is, with the network made by hand."""

import numpy as np
import pytest
from scipy import ndimage

import napari_radcnn as radcnn
from napari_radcnn.phantom import rotation
from shells import shells


@pytest.mark.parametrize("orientation", [pytest.param("SPL", marks=pytest.mark.slow), "AIR"])
def test_it_is_undecided_where_gray_values_lie_between_two_tissues(spec, orientation):
    scan, labels = shells()
    between = np.zeros(labels.shape, bool)
    inner = ndimage.binary_erosion(labels == 3, iterations=2)
    between[20:40, 30:40, 8:60] = inner[20:40, 30:40, 8:60]
    # Levels are scaled from 100 to 1100; the network by hand changes its mind from gray to white at 0.7 of the range.
    halfway = scan.with_array(np.where(between, scan.array - 170, scan.array).astype(np.float32))
    found = radcnn.segment(halfway.reoriented(orientation), spec, {"uncertainty": True})
    plain = radcnn.segment(halfway.reoriented(orientation), spec)
    assert np.array_equal(found.array, plain.array)
    assert plain.maps == ()
    probability, entropy = (image.array for image in found.maps)
    turned = scan.geometry.axis_map(orientation)
    between, inner, outside = (turned.apply(mask) for mask in (between, inner & ~between, labels == 0))
    assert entropy[between].mean() > 5 * entropy[inner].mean() + 0.05
    assert probability[between].mean() < probability[inner].mean()
    assert not entropy[outside].any()
    assert not probability[outside].any()
    assert 0 <= entropy.min() <= entropy.max() <= 1


def test_the_maps_of_thick_slices_lie_on_their_own_grid(spec):
    scan, labels = shells((30, 84, 70), (2.6, 1.0, 0.6), rotation(9, -14, 20) @ np.eye(3)[:, ::-1])
    found = radcnn.segment(scan, spec, {"uncertainty": True})
    for image in found.maps:
        assert image.geometry.is_close(scan.geometry)
        assert image.array.shape == labels.shape
    entropy = found.maps[1].array
    inner = ndimage.binary_erosion(labels == 3, iterations=3)
    border = (labels == 3) & ~ndimage.binary_erosion(labels == 3)
    assert entropy[border].mean() > 3 * entropy[inner].mean()

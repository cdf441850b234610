"""Where nodules may lie in the trunk of closed forms."""

import numpy as np

from napari_radcnn.models.ct_tissues.grids import shrink
from napari_radcnn.models.ct_tissues.region import AROUND, CLOSED, find_region
from trunk import trunk


def test_the_region_holds_the_lungs_and_little_else():
    scan, truth = trunk()
    upright = scan.reoriented("SPL")
    small, lungs, region = find_region(upright.array, upright.geometry.spacing)
    lung = shrink(truth["lung"].astype(np.float32), upright.geometry.spacing, 3.0).hu > 0.9
    liver = shrink(truth["liver"].astype(np.float32), upright.geometry.spacing, 3.0).hu > 0.9
    assert small.hu.shape == lungs.shape == region.shape == lung.shape
    assert region[lung].mean() > 0.99
    assert (lungs & ~region).sum() == 0
    assert lungs[liver].mean() < 0.02
    assert region[liver].mean() < 0.5
    assert 0 < AROUND < CLOSED


def test_without_a_lung_there_is_no_region():
    scan, truth = trunk()
    hu = np.where(truth["lung"] | truth["airway"] | truth["air"], 40, scan.array)
    assert find_region(hu, scan.geometry.spacing) is None
    assert find_region(np.full((20, 20, 20), -1000, np.int16), (3.0, 3.0, 3.0)) is None

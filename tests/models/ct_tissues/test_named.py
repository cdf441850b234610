"""What the network of `ct-organs` says overrules the rules where it is sure; its answer is put in here."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.models.ct_organs.network import CLASSES, SPACING
from napari_radcnn.models.ct_tissues import spec as labels
from napari_radcnn.models.ct_tissues.bones import find_bone
from napari_radcnn.models.ct_tissues.classes import classify, find_parts
from napari_radcnn.models.ct_tissues.grids import shrink
from napari_radcnn.models.ct_tissues.named import Named
from trunk import trunk


def _named(geometry, masks, sure=0.9):
    """Return the shares of masks on a scan's grid, by class."""
    shape = tuple(round(n * s / SPACING) for n, s in zip(geometry.shape, geometry.spacing, strict=True))
    places = [
        np.minimum(((np.arange(n) + 0.5) * SPACING / s).astype(int), m - 1)
        for n, s, m in zip(shape, geometry.spacing, geometry.shape, strict=True)
    ]
    shares = np.zeros((len(CLASSES), *shape), np.float16)
    for name, mask in masks.items():
        shares[CLASSES.index(name)] = sure * mask[np.ix_(*places)]
    shares[0] = 1 - shares.sum(0)
    return Named(shares)


@pytest.fixture(scope="module")
def lit():
    """A trunk whose heart is lit up and touches the spine, so that rules take some of it for bone."""
    scan, masks = trunk(contrast=True)
    hu = np.array(scan.array, np.float32)
    index = np.indices(hu.shape)
    heart = masks["heart"]
    hu[heart & ((index.sum(0) // 3) % 2 == 0)] = 620  # unevenly mixed
    return scan.with_array(hu), masks, heart


def _classes(scan, named):
    spacing = scan.geometry.spacing
    parts = find_parts(scan.array, spacing, named=named)
    return classify(scan.array, spacing, parts, slice(0, scan.geometry.shape[0]))


def test_a_heart_full_of_uneven_contrast_medium_is_no_bone(lit):
    scan, masks, heart = lit
    ruled, asked = _classes(scan, None), _classes(scan, _named(scan.geometry, {"heart": heart}))
    assert np.mean(ruled[heart] == labels.BONE) > 0.3
    assert np.mean(asked[heart] == labels.BONE) < 0.02
    bone = masks["bone"] & ~heart
    assert np.mean(asked[bone] == labels.BONE) > 0.9 * np.mean(ruled[bone] == labels.BONE)


def test_what_holds_no_contrast_medium_is_left_to_the_rules():
    scan, masks = trunk()
    wrong = _named(scan.geometry, {"aorta": masks["bone"]})
    dark = _named(scan.geometry, {"aorta": masks["liver"]})
    fine = shrink(scan.array, scan.geometry.spacing, 1.5)
    assert wrong.bright(fine).any()
    assert not dark.bright(fine).any()


def test_an_organ_is_no_muscle_and_a_muscle_with_a_name_is_one():
    scan, masks = trunk()
    liver = masks["liver"]
    muscle = _classes(scan, _named(scan.geometry, {"erector spinae": liver}))
    organ = _classes(scan, _named(scan.geometry, {"liver": np.ones_like(liver)}))
    assert np.mean(muscle[liver] == labels.MUSCLE) > 0.9
    assert not np.any(organ == labels.MUSCLE)


def test_where_the_network_is_unsure_the_rules_decide():
    scan, masks = trunk()
    unsure = _named(scan.geometry, {"liver": np.ones_like(masks["liver"])}, sure=0.4)
    np.testing.assert_array_equal(_classes(scan, unsure), _classes(scan, None))


def test_the_body_of_a_vertebra_is_no_canal_although_its_marrow_is_as_dense():
    rows, columns = np.mgrid[:80, :80] * 1.5
    body = ((rows - 50) / 18) ** 2 + ((columns - 60) / 22) ** 2
    canal = ((rows - 78) / 9) ** 2 + ((columns - 60) / 9) ** 2
    picture = np.full((80, 80), 45.0)
    picture[((rows - 78) / 12) ** 2 + ((columns - 60) / 12) ** 2 <= 1] = 500
    picture[canal <= 1] = 30
    picture[body <= 1] = 500
    marrow = ((rows - 50) / 13) ** 2 + ((columns - 60) / 17) ** 2 <= 1
    picture[marrow] = 50
    hu = np.repeat(picture[None], 20, 0).astype(np.float32)
    fine, coarse = shrink(hu, (1.5, 1.5, 1.5), 1.5), shrink(hu, (1.5, 1.5, 1.5), 3.0)
    bone = find_bone(fine, coarse, np.ones(hu.shape, bool))
    assert np.mean(bone[10][marrow]) > 0.95
    assert np.mean(bone[10][((rows - 78) / 7) ** 2 + ((columns - 60) / 7) ** 2 <= 1]) < 0.1

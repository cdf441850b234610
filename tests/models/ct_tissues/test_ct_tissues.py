"""A trunk of closed forms on awkward grids; what speaks against a scan is said."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import CancelledError, ModelError
from napari_radcnn.metrics import dice
from napari_radcnn.models.ct_tissues import spec as labels
from napari_radcnn.phantom import rotation
from trunk import AXIAL, trunk

#: Without the network: what it says depends on its weights; `test_named` puts its answer in.
RULES = {"organs": False}


@pytest.fixture(scope="module")
def found():
    scan, masks = trunk()
    return scan, masks, radcnn.segment(scan, "ct-tissues", RULES)


def _share(result, mask, label):
    return float(np.mean(result.array[mask] == label))


def test_lung_airway_bone_and_gas_are_where_they_were_drawn(found):
    _, masks, result = found
    assert dice(masks["lung"], result.array == labels.LUNG) >= 0.93
    assert dice(masks["bone"], result.array == labels.BONE) >= 0.85
    assert _share(result, masks["airway"], labels.AIRWAY) >= 0.6
    assert _share(result, masks["air"], labels.AIR) >= 0.8
    assert not (result.array[masks["air"]] == labels.LUNG).any()


def test_soft_tissues_go_by_hu_and_place(found):
    _, masks, result = found
    assert _share(result, masks["fat"], labels.FAT) >= 0.85
    assert _share(result, masks["wall"] & ~masks["bone"], labels.MUSCLE) >= 0.7
    assert _share(result, masks["heart"], labels.SOFT) >= 0.8
    assert _share(result, masks["liver"], labels.LUNG) <= 0.01


def test_the_body_holds_the_arm_and_not_the_table(found):
    scan, masks, result = found
    assert dice(masks["body"], result.array > 0) >= 0.97
    assert _share(result, masks["arm"] & ~masks["bone"], labels.MUSCLE) >= 0.5
    assert np.mean(result.array[masks["table"]] > 0) <= 0.1
    body = radcnn.segment(scan, "ct-tissues", {"show": "body"})
    assert set(np.unique(body.array)) == {0, labels.BODY}
    assert np.array_equal(body.array > 0, result.array > 0)
    assert result.provenance["facts"]["body_ml"] == pytest.approx(body.volume_ml(labels.BODY), abs=0.1)


def test_it_is_the_same_every_time(found):
    scan, _, result = found
    assert np.array_equal(radcnn.segment(scan, "ct-tissues", RULES, threads=2).array, result.array)


@pytest.mark.parametrize(
    "orientation", [pytest.param("RAS", marks=pytest.mark.slow), "IPR", pytest.param("AIL", marks=pytest.mark.slow)]
)
def test_the_order_of_the_axes_changes_nothing(found, orientation):
    scan, _, result = found
    turned = radcnn.segment(scan.reoriented(orientation), "ct-tissues", RULES)
    assert turned.geometry.orientation == orientation
    assert np.array_equal(scan.geometry.axis_map(orientation).invert(turned.array), result.array)


def test_an_oblique_grid_and_finer_voxels():
    direction = rotation(9.0, -6.0, 8.0) @ np.eye(3)[:, ::-1]
    corner = -direction @ (np.array([70, 120, 150]) * (4.0, 2.1, 2.6) / 2) + (0, 0, 5)
    scan, masks = trunk(radcnn.Geometry.from_parts((70, 120, 150), (4.0, 2.1, 2.6), corner, direction))
    result = radcnn.segment(scan, "ct-tissues", RULES)
    assert dice(masks["lung"], result.array == labels.LUNG) >= 0.93
    assert dice(masks["bone"], result.array == labels.BONE) >= 0.8
    assert dice(masks["body"], result.array > 0) >= 0.95


def test_lung_with_fluid_is_lung_unless_it_is_turned_off(found):
    scan, masks = trunk(effusion=True)
    with_fluid = radcnn.segment(scan, "ct-tissues", RULES)
    without = radcnn.segment(scan, "ct-tissues", RULES | {"dense_lung": False})
    dense = masks["dense"]
    assert np.count_nonzero(dense) * scan.geometry.voxel_volume / 1000 > 100  # ml
    assert _share(with_fluid, dense, labels.LUNG) >= 0.5
    assert _share(without, dense, labels.LUNG) <= 0.3
    # The liver stays other tissue, with and without.
    assert _share(with_fluid, masks["liver"], labels.LUNG) <= 0.03
    _, _, clean = found
    before = np.count_nonzero(clean.array == labels.LUNG)
    assert np.count_nonzero(with_fluid.array == labels.LUNG) == pytest.approx(before, rel=0.1)


def test_contrast_medium_in_the_heart_is_not_bone():
    scan, masks = trunk(contrast=True)
    result = radcnn.segment(scan, "ct-tissues", RULES)
    assert _share(result, masks["heart"], labels.BONE) <= 0.05
    assert dice(masks["bone"], result.array == labels.BONE) >= 0.8


def test_a_picture_cropped_to_the_chest_keeps_its_lung_at_the_edge(found):
    scan, masks, _ = found
    box = (slice(20, 45), slice(22, 62), slice(28, 105))
    cropped = radcnn.Volume(scan.array[box], scan.geometry.cropped(box), scan.metadata)
    result = radcnn.segment(cropped, "ct-tissues", RULES)
    assert (result.array > 0).mean() >= 0.98
    assert dice(masks["lung"][box], result.array == labels.LUNG) >= 0.9


def test_voxels_that_are_no_number_count_as_air(found):
    scan, _, result = found
    holed = scan.array.astype(np.float32)
    holed[:, :3] = np.nan
    again = radcnn.segment(scan.with_array(holed), "ct-tissues", RULES)
    assert np.mean(again.array == result.array) >= 0.999
    assert not again.array[:, :3].any()
    assert any("are not finite" in text and "saw -1024 (air)" in text for text in again.warnings)


def test_cancel_is_heard(found):
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        radcnn.segment(found[0], "ct-tissues", RULES, progress=lambda *_: cancel.set(), cancel=cancel)


# -- what is refused, and what is said before the run ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda hu: (hu + 1024).clip(0), "rescale intercept"),
        (lambda hu: np.full_like(hu, 7), "same value everywhere"),
        (lambda hu: np.full(hu.shape, np.nan, np.float32), "no finite values"),
        (lambda hu: (hu / 500.0).astype(np.float32), "not in Hounsfield units"),
        (lambda hu: np.where(hu > -300, hu + 4000, hu), "or shows no body"),
        (lambda hu: np.where(np.indices(hu.shape).sum(0) % 40 == 0, 0, -1000).astype(np.int16), "No body was detected"),
    ],
)
def test_values_that_are_no_hounsfield_units_are_refused(found, change, told):
    scan = found[0]
    with pytest.raises(ModelError, match=told):
        radcnn.segment(scan.with_array(change(scan.array)), "ct-tissues", RULES, anyway=True)


def test_an_mr_few_slices_and_coarse_voxels_are_said_before_the_run(found):
    scan = found[0]
    assert radcnn.plan(scan, "ct-tissues").warnings == ()
    said = radcnn.plan(scan.with_array(scan.array, modality="MR"), "ct-tissues").warnings
    assert any("says MR" in text for text in said)
    box = (slice(30, 31), slice(None), slice(None))
    one = radcnn.Volume(scan.array[box], scan.geometry.cropped(box), scan.metadata)
    assert any("1 slice from" in text for text in radcnn.plan(one, "ct-tissues").warnings)
    wide = radcnn.Geometry.from_parts(AXIAL.shape, (9.0, 3.1, 3.0), (0.0, 0.0, 0.0))
    coarse = radcnn.Volume(scan.array, wide, scan.metadata)
    assert any("9.0 mm" in text for text in radcnn.plan(coarse, "ct-tissues").warnings)


def test_a_single_slice_still_has_its_fat_and_body(found):
    scan, masks, _ = found
    box = (slice(30, 31), slice(None), slice(None))
    one = radcnn.Volume(scan.array[box], scan.geometry.cropped(box), scan.metadata)
    result = radcnn.segment(one, "ct-tissues", RULES)
    assert dice(masks["body"][box], result.array > 0) >= 0.95
    assert _share(result, masks["fat"][box], labels.FAT) >= 0.85

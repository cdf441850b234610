"""Thick slices to thin ones: where the result lies, what it is made of, and what is refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import CancelledError, GeometryError, ModelError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models.super_resolution.spec import CT, MR
from napari_radcnn.models.super_resolution.through_plane import ThroughPlane
from napari_radcnn.phantom import disks, head, oblique_geometry, world_field
from napari_radcnn.volume import Volume, VolumeMetadata

NAMES = (CT, MR)


class Fake:
    """Adds what `answer` says of each piece."""

    backend, device, precision, agreement, measured_on = "torch", "cpu", "float32", 1.0, None

    def __init__(self, answer):
        self.answer, self.seen = answer, []

    def __call__(self, patch):
        self.seen.append(patch.shape)
        return self.answer(patch)

    def close(self):
        pass


#: What is shown in these tests are fields and phantoms, which no patient is taken for.
super_resolve = partial(radcnn.super_resolve, anyway=True)


@pytest.fixture
def fake(monkeypatch):
    def install(answer):
        predictor = Fake(answer)
        module = "napari_radcnn.inference.backends.choice.open_predictor"
        monkeypatch.setattr(module, lambda *_, **__: (predictor, ()))
        monkeypatch.setattr("napari_radcnn.networks.shipped.ShippedNetwork.of", lambda *_: None)
        return predictor

    return install


def nothing(patch):
    return np.zeros((1, *patch.shape[1:]), np.float32)


def thick(geometry, **metadata):
    """Return a field that is linear in the patient, so that a slab's mean is the value of its center."""
    return world_field(geometry).with_array(world_field(geometry).array, **metadata)


@pytest.mark.parametrize(("factor", "axis"), [(2.0, 0), (3.0, 1), (2.5, 2), (6.0, 0), (1.5, 1)])
def test_every_thin_slice_lies_where_its_values_are(fake, factor, axis):
    fake(nothing)
    shape = [7, 9, 8]
    shape[axis] = 26
    scan = thick(oblique_geometry(tuple(shape)), modality="MR")
    found = super_resolve(scan, NAMES[1], {"factor": factor, "axis": "kji"[axis]})
    expected = world_field(found.geometry).array
    assert found.array.shape == found.geometry.shape == expected.shape
    inner = [slice(None)] * 3
    inner[axis] = slice(int(8 * factor), -int(8 * factor))  # the stack is mirrored at its ends
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found.array[tuple(inner)], expected[tuple(inner)], atol=3e-5 * scale)
    shifted = ThroughPlane(26, factor).grid(scan.geometry, axis).to_world((0, 0, 0))
    np.testing.assert_allclose(found.geometry.to_world((0, 0, 0)), shifted)


def test_the_slabs_of_the_result_are_those_of_the_scan(fake):
    fake(nothing)
    scan = thick(oblique_geometry((8, 9, 10)), modality="CT")
    found = super_resolve(scan, NAMES[0], {"factor": 4.0})
    for corner in ((-0.5, 0, 0), (7.5, 3, 4)):
        fine = (corner[0] * 4 + 1.5, corner[1], corner[2])
        np.testing.assert_allclose(found.geometry.to_world(fine), scan.geometry.to_world(corner), atol=1e-9)
    assert found.geometry.shape == (32, 9, 10)
    manifest = found.metadata.provenance
    assert manifest["result"]["shape"] == [32, 9, 10]
    np.testing.assert_allclose(manifest["result"]["affine"], found.geometry.affine)
    assert manifest["facts"]["axis"] == "k"
    assert manifest["input"]["shape"] == [8, 9, 10]


def test_without_a_factor_voxels_become_as_deep_as_wide(fake):
    fake(nothing)
    geometry = Geometry.from_parts((20, 9, 6), (0.8, 2.4, 0.7), (3, -4, 5))
    found = super_resolve(thick(geometry, modality="MR"), NAMES[1])
    assert found.geometry.shape == (20, 27, 6)
    np.testing.assert_allclose(found.geometry.spacing, (0.8, 0.8, 0.7))


def test_both_directions_add_half_of_what_the_network_says(fake, monkeypatch):
    monkeypatch.setattr("napari_radcnn.models.super_resolution.run.even_share", lambda *_: 0.0)
    predictor = fake(lambda patch: 0.25 * patch[1:2] + 0.01 * patch[4:5])
    rng = np.random.default_rng(4)
    scan = Volume(
        rng.uniform(-900, 900, (9, 12, 21)).astype(np.float32),
        oblique_geometry((9, 12, 21)),
        VolumeMetadata(modality="CT"),
    )
    found = super_resolve(scan, NAMES[0], {"factor": 2.5})
    slabs = ThroughPlane(9, 2.5)
    spline = slabs.cubic(scan.array)
    expected = spline + 0.25 * np.clip(spline, -1100, 3100) + 10 * slabs.conditions()[1][:, None, None]
    np.testing.assert_allclose(found.array, expected, rtol=1e-4, atol=1e-2)
    assert len(predictor.seen) == 12 + 21
    assert len(set(predictor.seen)) == 1


def test_thin_slices_of_a_slab_have_the_thick_one_as_their_mean(fake):
    fake(lambda patch: 0.3 * patch[1:2] ** 2 + 0.1 * patch[5:6])
    scan = head(Geometry.from_parts((10, 12, 21), (15, 12, 9), (-90, -70, -60)))
    found = super_resolve(scan, NAMES[1], {"factor": 3.0}).array
    means = found.reshape(10, 3, 12, 21).mean(1)
    np.testing.assert_allclose(means, scan.array, atol=2e-3)
    assert np.abs(np.diff(found.reshape(10, 3, 12, 21), axis=1)).max() > 1
    gaps = super_resolve(scan, NAMES[1], {"factor": 3.0, "thickness_mm": 10.0}).array
    assert np.abs(gaps.reshape(10, 3, 12, 21).mean(1) - scan.array).max() > 1


@pytest.mark.parametrize(("factor", "axis"), [(2.0, 0), (3.0, 2), (2.6, 1)])
def test_steps_are_as_large_where_a_slab_ends_as_within_it(fake, factor, axis):
    fake(nothing)
    shape = [18, 18, 18]
    noise = np.random.default_rng(3).normal(40, 25, shape).astype(np.float32)
    scan = Volume(noise, oblique_geometry(tuple(shape)), VolumeMetadata(modality="CT"))
    found = super_resolve(scan, NAMES[0], {"factor": factor, "axis": "kji"[axis]})
    slabs = ThroughPlane(18, factor)
    ends = np.abs(np.diff(np.floor(slabs.positions() + 0.5))) > 0

    def ratio(thin):
        steps = np.abs(np.diff(thin, axis=0)).mean((1, 2))
        return steps[ends].mean() / steps[~ends].mean()

    assert ratio(slabs.cubic(np.moveaxis(noise, axis, 0))) > 1.1
    assert ratio(np.moveaxis(found.array, axis, 0)) == pytest.approx(1, abs=0.02)


def test_planes_beside_a_plane_are_its_neighbors(fake):
    fake(lambda patch: patch[2:3] - patch[0:1])
    geometry = Geometry.from_parts((12, 10, 11), (3, 1, 1), (0, 0, 0))
    j, i = np.arange(10)[:, None], np.arange(11)
    array = np.broadcast_to(100.0 * j + 7.0 * i, (12, 10, 11)).astype(np.float32)
    scan = Volume(array, geometry, VolumeMetadata(modality="CT"))
    found = super_resolve(scan, NAMES[0], {"factor": 2.5})
    # half of the difference between the rows beside, half of that between the columns beside
    inside = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(found.array[inside] - ThroughPlane(12, 2.5).cubic(array)[inside], 107.0, atol=0.05)


def test_pieces_of_a_wide_scan_give_what_one_gives(fake, monkeypatch):
    import napari_radcnn.models.super_resolution.run as recipe

    def local(patch):
        return 0.1 * patch[1:2] + 0.05 * np.roll(patch[1:2], 1, -1) + 0.03 * np.roll(patch[1:2], 2, -2)

    scan = head(Geometry.from_parts((14, 90, 70), (12, 2.5, 3), (-80, -110, -95)))
    predictor = fake(local)
    monkeypatch.setattr(recipe, "even_share", lambda *_: 0.1)  # it depends on the borders, too
    whole = super_resolve(scan, NAMES[1], {"factor": 3.5}).array
    assert len(set(predictor.seen)) == 1
    monkeypatch.setattr(recipe, "_SIDE", 40)
    monkeypatch.setattr(recipe, "_HALO", 8)
    monkeypatch.setattr(recipe, "_PLANES", 5)
    predictor.seen.clear()
    cut = super_resolve(scan, NAMES[1], {"factor": 3.5}).array
    assert max(predictor.seen)[2:] <= (40, 40)
    np.testing.assert_allclose(cut[8:-8, 8:-8, 8:-8], whole[8:-8, 8:-8, 8:-8], rtol=1e-4, atol=1e-2)


def test_missing_voxels_stay_missing_and_leave_no_trace(fake):
    fake(nothing)
    scan = head(Geometry.from_parts((12, 20, 18), (12, 9, 10), (-80, -80, -60)))
    array = scan.array.astype(np.float32)
    array[4, 3:6, 7] = np.nan
    array[:, 15:] = -7777
    holed = replace(scan, array=array, metadata=replace(scan.metadata, padding_value=-7777.0))
    found = super_resolve(holed, NAMES[1], {"factor": 3.0}).array
    assert np.isnan(found[12:15, 3:6, 7]).all()
    assert np.count_nonzero(np.isnan(found)) == 9
    assert (found[:, 15:] == -7777).all()
    assert np.nanmin(found[:, :15]) > -1000


@pytest.mark.parametrize("value", [0.0, 40.0, -3.5])
def test_a_constant_image_stays_constant_and_says_so(value):
    scan = Volume(np.full((6, 8, 9), value, np.float32), oblique_geometry((6, 8, 9)), VolumeMetadata(modality="MR"))
    found = super_resolve(scan, NAMES[1], {"factor": 3.0})
    np.testing.assert_allclose(found.array, value, atol=1e-5)
    assert found.geometry.shape == (18, 8, 9)
    assert any("one value" in line for line in found.warnings)


def test_an_image_of_missing_values_is_refused():
    scan = Volume(np.full((6, 8, 9), np.nan, np.float32), oblique_geometry((6, 8, 9)))
    with pytest.raises(ModelError, match="no finite values"):
        super_resolve(scan, NAMES[1])


@pytest.mark.parametrize(
    ("shape", "options", "error", "match"),
    [
        ((1, 16, 20), None, GeometryError, "single slice"),
        ((2, 16, 20), None, GeometryError, "2 slices"),
        ((6, 1, 20), {"axis": "k"}, GeometryError, "single slice"),
        ((10, 16, 20), {"axis": "i"}, ModelError, "Set the factor"),
    ],
)
def test_what_cannot_be_made_thinner_is_refused_before_the_run(shape, options, error, match):
    with pytest.raises(error, match=match):
        radcnn.plan(thick(oblique_geometry(shape)), NAMES[1], options)


def test_labels_are_refused():
    with pytest.raises(ModelError, match="contains labels"):
        radcnn.plan(thick(oblique_geometry(), is_label=True), NAMES[1], {"factor": 2.0})


def test_voxels_as_deep_as_wide_are_refused_but_for_a_factor(fake):
    fake(nothing)
    scan = thick(Geometry.from_parts((7, 8, 9), (1.1, 1.0, 0.9), (1, 2, 3)), modality="MR")
    with pytest.raises(ModelError, match=r"1.10 mm deep and 1.00 mm wide"):
        radcnn.plan(scan, NAMES[1])
    assert super_resolve(scan, NAMES[1], {"factor": 2.0}).geometry.shape == (14, 8, 9)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.49, -1.0, 6.5, float("nan")])
def test_factors_that_were_not_learned_are_refused(factor):
    with pytest.raises(OptionError, match="factor"):
        radcnn.plan(thick(oblique_geometry()), NAMES[0], {"factor": factor})


@pytest.mark.parametrize(
    ("spacing", "options", "match"),
    [
        ((10.0, 1.0, 1.0), {}, "10.0 thin slices"),
        ((3.0, 0.2, 0.2), {"factor": 2.0}, "for 0.4 to 3.5 mm"),
        ((20.0, 4.0, 4.0), {"factor": 2.0}, "for 0.4 to 3.5 mm"),
        ((4.0, 1.0, 1.0), {"thickness_mm": 1.0}, "0.5 to 1.5 times"),
        ((4.0, 1.0, 1.0), {"axis": "j", "factor": 2.0}, "not the coarsest"),
    ],
)
def test_what_training_did_not_show_is_told_before_the_run(spacing, options, match):
    scan = thick(Geometry.from_parts((6, 8, 9), spacing, (1, 2, 3)), modality="MR")
    assert any(match in line for line in radcnn.plan(scan, NAMES[1], options).warnings)


def test_a_usual_scan_has_nothing_against_it():
    noisy, _ = disks()
    assert radcnn.plan(noisy, NAMES[0], {"factor": 2.0}).warnings == ()
    scan = head(Geometry.from_parts((12, 40, 40), (5, 1.2, 1.2), (-20, -20, -30)))
    assert radcnn.plan(scan, NAMES[1]).suitability.state != "fits"  # a phantom


def test_values_that_are_no_hu_are_told():
    noisy, _ = disks()
    shifted = noisy.with_array(noisy.array + 1024)
    assert any("not in Hounsfield units" in line for line in radcnn.plan(shifted, NAMES[0], {"factor": 2.0}).warnings)


def test_a_scan_of_another_modality_is_told():
    noisy, _ = disks()
    assert any("was made for MR" in line for line in radcnn.plan(noisy, NAMES[1], {"factor": 2.0}).warnings)


def test_a_run_can_be_stopped_between_planes(fake):
    stop, told = threading.Event(), []

    def answer(patch):
        stop.set()
        return nothing(patch)

    predictor = fake(answer)
    with pytest.raises(CancelledError):
        super_resolve(
            head(Geometry.from_parts((12, 40, 40), (5, 1.2, 1.2), (-20, -20, -30))),
            NAMES[1],
            progress=lambda *step: told.append(step),
            cancel=stop,
        )
    assert len(predictor.seen) == 1


def test_progress_reaches_its_end(fake):
    fake(nothing)
    told = []
    scan = head(Geometry.from_parts((12, 40, 35), (5, 1.2, 1.2), (-20, -20, -30)))
    super_resolve(scan, NAMES[1], progress=lambda *step: told.append(step[:2]))
    assert told[-1][0] == told[-1][1] == radcnn.plan(scan, NAMES[1]).patches == 3 + 3


@pytest.mark.parametrize(
    "factor", [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)]
)
def test_thin_slices_of_a_phantom_come_nearer_to_the_truth_than_the_spline(factor):
    fine = Geometry.from_parts((60, 48, 52), (1.0, 0.9, 0.8), (-20.8, -21.6, -30.0))
    k, j, i = np.meshgrid(*map(np.arange, fine.shape), indexing="ij")
    x, y, z = np.moveaxis(fine.to_world(np.stack([k, j, i], -1)), -1, 0)
    truth = np.where((x / 18) ** 2 + (y / 16) ** 2 <= 1, 40.0, -1000.0)
    truth[(x + 4) ** 2 + (y - 3) ** 2 + (z - 5) ** 2 <= 64] = 300.0
    truth[(x - 7) ** 2 + (y + 5) ** 2 + (z + 12) ** 2 <= 36] = -700.0
    truth += np.random.default_rng(0).normal(0, 8, truth.shape)
    slabs = truth.reshape(60 // factor, factor, 48, 52).mean(1).astype(np.float32)
    affine = fine.affine.copy()
    affine[:3, 0] *= factor
    affine[:3, 3] = fine.to_world(((factor - 1) / 2, 0, 0))
    scan = Volume(slabs, Geometry(slabs.shape, affine), VolumeMetadata(modality="CT"))
    found = super_resolve(scan, NAMES[0], {"factor": float(factor), "axis": "k"})
    assert found.geometry.is_close(fine, 1e-6)
    spline = ThroughPlane(len(slabs), float(factor)).cubic(slabs)
    assert np.mean((found.array - truth) ** 2) < 0.85 * np.mean((spline - truth) ** 2)

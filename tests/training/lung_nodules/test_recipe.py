"""The recipe of lung-nodules: what is put into a lung, what is asked about it, and a run of a few steps."""

import json
import math

import numpy as np
import pytest

from napari_radcnn.models.lung_nodules.network import ANSWERS, FOLD, SIDE, SPACING, UNIT
from napari_radcnn.models.lung_nodules.places import find_places, fold
from napari_radcnn.training.lung_nodules import (
    recipe as lung_nodules,
    samples as lung_nodules_samples,
    scans as lung_nodules_scans,
)
from napari_radcnn.training.lung_nodules.lessons import judge, make_lesson, mirrored
from napari_radcnn.training.lung_nodules.samples import Nodule, Sample, Sampler, put_nodule
from napari_radcnn.training.lung_nodules.scans import NOWHERE, Chest, make_chest
from napari_radcnn.training.lung_nodules.shapes import KINDS, Shape, draw_diameter, draw_nodule, draw_plate, draw_tubes
from ticking import Ticking
from trunk import trunk

SIZE = 32


@pytest.fixture(scope="module")
def chest():
    """A ball of lung with a rod through it that is a vessel."""
    k, j, i = np.indices((80, 84, 88), np.float32)
    depth = 36 - np.sqrt((k - 40) ** 2 + (j - 42) ** 2 + (i - 44) ** 2)
    hu = np.where(depth > 0, -850.0, 40.0) + np.random.default_rng(0).normal(0, 15, depth.shape)
    hu[((j - 40) ** 2 + (i - 40) ** 2) < 9] = 30
    return Chest(hu.astype(np.float32), np.where(depth < -12, NOWHERE, depth).astype(np.float32), 1.0)


def _ball(radius, count=33):
    line = (np.arange(count) - count // 2) * SPACING
    away = np.sqrt(line[:, None, None] ** 2 + line[None, :, None] ** 2 + line[None, None] ** 2)
    return np.clip(0.5 - (away - radius) / SPACING, 0, 1).astype(np.float32)


# -- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("diameter", [4.0, 9.0, 18.0, 30.0])
def test_a_nodule_has_about_the_volume_that_was_asked_for(diameter):
    sizes = []
    for seed in range(12):
        shape = draw_nodule(np.random.default_rng(seed), diameter, SPACING)
        assert shape.filled.min() >= 0
        assert shape.filled.max() <= 1
        edge = np.ones(shape.filled.shape, bool)
        edge[1:-1, 1:-1, 1:-1] = False
        assert not shape.filled[edge].any()  # nothing is cut off
        assert (shape.core is not None) == (KINDS[shape.kind] == "part-solid")
        if shape.core is not None:
            assert (shape.core <= shape.filled).all()
        sizes.append(shape.diameter)
    assert np.median(sizes) == pytest.approx(diameter, rel=0.25)


def test_diameters_run_from_small_to_large():
    rng = np.random.default_rng(1)
    drawn = np.array([draw_diameter(rng) for _ in range(2000)])
    assert drawn.min() >= 3.5
    assert drawn.max() <= 32
    assert np.median(drawn) == pytest.approx(3.5 * (32 / 3.5) ** (0.5**1.8), rel=0.08)


def test_vessels_are_long_and_plates_thin():
    rng = np.random.default_rng(3)
    for _ in range(5):
        tube = draw_tubes(rng, 64, SPACING, np.array([32.0, 32, 32]))
        extent = np.ptp(np.argwhere(tube > 0.5), axis=0).max() * SPACING
        volume = tube.sum() * SPACING**3
        assert extent > 1.2 * np.cbrt(volume)
        plate = draw_plate(rng, SPACING)
        spread = np.linalg.eigvalsh(np.cov(np.argwhere(plate > 0.5).T))
        assert spread[0] < 0.5 * spread[2]


# -- putting them in --------------------------------------------------------------------------------------------------


def _put(shape, seed=0):
    hu = np.full((48,) * 3, -850, np.float32)
    depth = np.full((48,) * 3, 30, np.float32)
    before = hu.copy()
    nodule = put_nodule(np.random.default_rng(seed), hu, depth, np.zeros(hu.shape, bool), shape)
    return before, hu, nodule


def test_a_solid_nodule_lies_where_it_says_and_nothing_else_changes():
    filled = _ball(8.0)
    before, hu, nodule = _put(Shape(0, filled, None, 16.0), seed=4)
    away = np.linalg.norm(np.indices(hu.shape) - nodule.center[:, None, None, None], axis=0) * SPACING
    assert nodule.counts
    changed = hu != before
    assert away[changed].max() < 8.0 + 2.5
    inside = hu[away < 5.5]
    assert -150 < np.median(inside) < 800
    assert inside.std() < 40


def test_ground_glass_is_neither_air_nor_flesh():
    levels = []
    for seed in range(8):
        _, hu, nodule = _put(Shape(2, _ball(8.0), None, 16.0), seed)
        middle = tuple(np.round(nodule.center).astype(int))
        levels.append(float(hu[tuple(slice(n - 2, n + 3) for n in middle)].mean()))
    assert max(levels) < -300
    assert min(levels) > -830


def test_what_is_denser_stays():
    rng = np.random.default_rng(5)
    hu = np.full((32,) * 3, -850, np.float32)
    hu[:, 14:18, 14:18] = 60
    vessel = hu.copy()
    nodule = put_nodule(
        rng, hu, np.full(hu.shape, 30, np.float32), np.zeros(hu.shape, bool), Shape(2, _ball(6.0), None, 12.0)
    )
    assert nodule is not None
    assert np.abs(hu[:, 15:17, 15:17] - vessel[:, 15:17, 15:17]).mean() < 20


def test_one_that_nobody_can_see_is_not_asked_for():
    hu, depth = np.full((32,) * 3, 40, np.float32), np.full((32,) * 3, 1.0, np.float32)
    nodule = put_nodule(
        np.random.default_rng(0), hu, depth, np.zeros(hu.shape, bool), Shape(2, _ball(6.0, 17), None, 12.0)
    )
    assert nodule is None or not nodule.counts


def test_there_is_no_place_outside_of_the_lung():
    hu = np.full((32,) * 3, -850, np.float32)
    depth = np.full(hu.shape, NOWHERE, np.float32)
    assert (
        put_nodule(np.random.default_rng(0), hu, depth, np.zeros(hu.shape, bool), Shape(0, _ball(4.0, 17), None, 8.0))
        is None
    )


def test_cubes_are_finite_and_the_same_seed_gives_the_same(chest):
    samples = [Sampler([chest], SIZE, 7).draw() for _ in range(2)]
    assert np.array_equal(samples[0].hu, samples[1].hu)
    sampler = Sampler([chest], SIZE, 8)
    kinds = set()
    for _ in range(25):
        sample = sampler.draw()
        assert sample.hu.shape == sample.depth.shape == (SIZE,) * 3
        assert sample.hu.dtype == np.float32
        assert np.isfinite(sample.hu).all()
        assert sample.depth.max() <= 36 / 0.7
        kinds |= {nodule.kind for nodule in sample.nodules if nodule.counts}
    assert kinds == {0, 1, 2}


def test_thick_slices_keep_a_constant_and_blur_one_axis_only():
    rng = np.random.default_rng(0)
    flat = lung_nodules_samples._thick(rng, np.full((20, 20, 20), -700, np.float32), 0.0)
    assert np.allclose(flat, -700, atol=0.01)
    point = np.zeros((21, 21, 21), np.float32)
    point[10, 10, 10] = 1000
    for _ in range(5):
        spread = lung_nodules_samples._thick(rng, point, 0.0)
        wide = [int((spread.max(tuple(b for b in range(3) if b != a)) > 1e-3).sum()) for a in range(3)]
        assert sorted(wide)[:2] == [1, 1]


# -- what is asked ----------------------------------------------------------------------------------------------------


def _sample(*nodules):
    return Sample(np.full((SIZE,) * 3, -800, np.float32), np.full((SIZE,) * 3, 20, np.float32), nodules)


def test_an_answer_like_the_lesson_is_decoded_to_the_nodules():
    nodules = (
        Nodule(np.array([9.3, 20.0, 8.9]), 6.0, 0, True),
        Nodule(np.array([22.0, 10.6, 23.1]), 14.0, 1, True),
    )
    lesson = make_lesson(_sample(*nodules))
    answer = np.concatenate([np.log(np.clip(lesson.peaks, 1e-6, 1 - 1e-6))[None] + 10, lesson.places])
    assert answer.shape[0] == ANSWERS
    places = find_places(answer.astype(np.float32), lesson.weight > 0, 10, least=9.9)
    assert len(places.logits) == 2
    for nodule in nodules:
        near = np.linalg.norm(places.centers - nodule.center, axis=1)
        assert near.min() < 1e-4
        assert places.diameters[near.argmin()] == pytest.approx(nodule.diameter, rel=1e-4)


def test_what_nobody_can_see_is_not_asked_and_neither_is_what_lies_outside():
    sample = _sample(Nodule(np.array([16.0, 16, 16]), 8.0, 2, False))
    sample.depth[:, :8] = NOWHERE
    lesson = make_lesson(sample)
    assert lesson.peaks.max() == 0
    assert lesson.weight[8, 8, 8] == 0
    assert not lesson.weight[:, :4].any()
    assert lesson.weight[8, 14, 14] == 1


def test_a_mirrored_lesson_is_the_lesson_of_the_mirrored_cube():
    rng = np.random.default_rng(3)
    hu = rng.normal(-700, 100, (SIZE,) * 3).astype(np.float32)
    center = np.array([9.3, 20.0, 8.9])
    nodule = Nodule(center, 7.0, 0, True)
    depth = rng.uniform(-20, 20, (SIZE,) * 3).astype(np.float32)
    lesson = make_lesson(Sample(hu, depth, (nodule,)))
    seen = set()
    for seed in range(12):
        turned = mirrored(np.random.default_rng(seed), lesson)
        drawn = np.random.default_rng(seed)
        axes = tuple(axis for axis in range(3) if drawn.random() < 0.5)
        seen.add(axes)
        there = center.copy()
        there[list(axes)] = SIZE - 1 - there[list(axes)]
        expected = make_lesson(
            Sample(np.flip(hu, axes), np.flip(depth, axes), (Nodule(there, 7.0, 0, True),)),
        )
        assert np.array_equal(turned.cells, expected.cells)
        assert np.array_equal(turned.weight, expected.weight)
        assert np.allclose(turned.peaks, expected.peaks, atol=1e-5)
        near = turned.peaks > 0.01
        assert np.allclose(turned.places[:, near], expected.places[:, near], atol=1e-4)
    assert len(seen) > 4


def test_places_are_judged_by_the_nodules():
    nodules = [Nodule(np.array([10.0, 10, 10]), 10.0, 0, True), Nodule(np.array([25.0, 25, 25]), 10.0, 2, False)]
    places = np.array([[10.0, 10, 12], [10, 10, 16], [25, 25, 25], [10, 25, 10]])
    assert judge(places, nodules).tolist() == [1, -1, -1, 0]


def test_the_weights_of_both_logits_are_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 2))
    chance = 1 / (1 + np.exp(-(1.5 * logits[:, 0] + 0.4 * logits[:, 1] - 1)))
    first, second = lung_nodules.fit_logistic(logits, rng.random(4000) < chance)
    assert (first, second) == (pytest.approx(1.5, rel=0.15), pytest.approx(0.4, rel=0.2))


# -- scans and the whole run ------------------------------------------------------------------------------------------


def test_a_chest_is_deep_inside_and_what_is_kept_out_is_nowhere(monkeypatch):
    monkeypatch.setattr(lung_nodules_scans, "STEP", 4.0)
    scan, truth = trunk()
    chest = make_chest(scan)
    grid = scan.reoriented("SPL").geometry.with_shape(chest.hu.shape)
    inside = tuple(np.round(grid.to_index((-60.0, 0.0, 40.0))).astype(int))
    flesh = tuple(np.round(grid.to_index((-60.0, 0.0, -60.0))).astype(int))
    assert chest.depth[inside] > 20
    assert chest.depth[flesh] == NOWHERE
    assert (chest.depth >= 0).sum() * 0.064 == pytest.approx(
        truth["lung"].sum() * scan.geometry.voxel_volume / 1000, rel=0.1
    )
    monkeypatch.setitem(lung_nodules_scans.KEPT_OUT, "kept", ((-400.0, 0.0), (-400.0, 400.0), (-400.0, 400.0)))
    monkeypatch.setitem(lung_nodules_scans.OPACITIES, "kept", (((60.0, 4.0, 40.0), 12.0),))
    partly = make_chest(scan, "kept")
    x = grid.to_world(np.argwhere(partly.depth > NOWHERE))[:, 0]
    assert x.min() > -2
    left = tuple(np.round(grid.to_index((60.0, 4.0, 40.0))).astype(int))
    assert partly.depth[left] == NOWHERE < chest.depth[left]


@pytest.fixture
def few(monkeypatch, chest):
    monkeypatch.setattr(lung_nodules, "load_chests", lambda data: [chest])
    monkeypatch.setattr(lung_nodules, "_CALIBRATION_CUBES", 2)
    monkeypatch.setattr(lung_nodules, "_RIM", 0)
    monkeypatch.setattr("napari_radcnn.training.run.time", Ticking(0.1))


def test_a_short_training_writes_both_networks_and_goes_on_where_it_was(few, tmp_path):
    recipe = lung_nodules.Recipe(minutes=0.05, size=SIZE, second_size=SIZE + 16, batch=2, looks=4, places=12)
    path = lung_nodules.train(tmp_path, tmp_path / "out", recipe, 1)
    about = json.loads(path.with_suffix(".json").read_text())
    assert path.name == "lung-nodules.safetensors"
    assert about["steps"] > 0
    assert about["second_steps"] > 0
    assert about["recipe"]["minutes"] == 0.05
    assert set(about["calibration"]) == {"finder", "second", "shift"}
    assert all(math.isfinite(value) for value in about["calibration"].values())
    assert (path.parent / "lung-nodules-second.safetensors").exists()
    steps = about["steps"]
    longer = lung_nodules.Recipe(minutes=0.1, size=SIZE, second_size=SIZE + 16, batch=2, looks=4, places=12)
    again = json.loads(lung_nodules.train(tmp_path, tmp_path / "out", longer, 1).with_suffix(".json").read_text())
    assert again["steps"] > steps


def test_both_networks_begin_with_weights_that_lie_beside_each_other(few, tmp_path):
    how = {"size": SIZE, "second_size": SIZE + 16, "batch": 2, "looks": 4, "places": 12}
    first = lung_nodules.train(tmp_path, tmp_path / "first", lung_nodules.Recipe(minutes=0.03, **how), 1)
    on = lung_nodules.Recipe(minutes=0.03, init_from=str(first), **how)
    path = lung_nodules.train(tmp_path, tmp_path / "on", on, 1)
    for name in ("lung-nodules", "lung-nodules-second"):
        before, after = (json.loads((one.parent / f"{name}.json").read_text()) for one in (first, path))
        assert after["begun_with"]["sha256"] == before["sha256"]
        assert "/" not in after["recipe"]["init_from"]  # not the folders of whoever trained it
    assert lung_nodules._second_beside(str(tmp_path / "elsewhere.safetensors")) == ""


def test_the_bank_gives_half_nodules():
    bank = lung_nodules._Bank(np.random.default_rng(0))
    assert not bank.is_filled
    cubes = np.stack([np.full((2, SIDE, SIDE, SIDE), n, np.float32) for n in range(20)])
    bank.add(cubes, np.array([1, 0] * 9 + [-1, -1]))
    assert bank.is_filled
    seen, is_nodule = bank.take(10)
    assert is_nodule.sum() == 5
    assert set(seen[is_nodule].ravel()) <= set(range(0, 18, 2))
    assert set(seen[~is_nodule].ravel()) <= set(range(1, 18, 2))


def test_a_whole_chest_has_sides_the_finder_can_halve(chest):
    sample = lung_nodules.whole_chest(chest)
    assert all(n % 16 == 0 for n in sample.hu.shape)
    assert fold(sample.hu).shape[0] == FOLD**3
    assert sample.nodules == ()
    assert UNIT > 0

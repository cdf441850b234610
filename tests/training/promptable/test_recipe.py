"""The recipe of promptable-3d: what is shown to the network, and a run of a few steps."""

import csv
import json

import numpy as np
import pytest
from scipy import ndimage

import napari_radcnn as radcnn
from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.promptable.engine import promptable_network
from napari_radcnn.interactive.engines.promptable.input import CLICKED
from napari_radcnn.training.promptable import cases as promptable_cases, recipe as promptable
from napari_radcnn.training.promptable.cases import coarser, find_regions, load_cases
from napari_radcnn.training.promptable.samples import Play, Sampler, crop_around
from napari_radcnn.training.promptable.shapes import draw_labels, paint, random_rotation, smooth_field
from napari_radcnn.volume import Volume
from ticking import Ticking

SHAPE, SPACING = (30, 44, 50), (2.0, 0.9, 0.8)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with one scan of two balls and a map of them, and the recipe told to use nothing else."""
    geometry = Geometry.from_parts(SHAPE, SPACING, (-10, 20, 30))
    grid = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    for value, at, radius in ((1, (12, 18, 20), 9), (5, (20, 30, 36), 6)):
        labels[sum(((grid[n] - at[n]) * SPACING[n]) ** 2 for n in range(3)) <= radius**2] = value
    image = np.where(labels == 1, 100, np.where(labels == 5, 40, -80)) + np.random.default_rng(0).normal(0, 6, SHAPE)
    folder = tmp_path / "data"
    folder.mkdir()
    radcnn.write(Volume(image.astype(np.float32), geometry), folder / "scan.nii.gz")
    # The map in another orientation than the scan: it has to be turned.
    turned = geometry.axis_map("IAL")
    radcnn.write(Volume(turned.apply(labels).copy(), geometry.reoriented(turned)), folder / "map.nii.gz")
    monkeypatch.setattr(promptable_cases, "DRAWN", (("scan.nii.gz", ("map.nii.gz",)),))
    monkeypatch.setattr(promptable_cases, "UNDRAWN", ("scan.nii.gz",))
    return folder


def test_maps_lie_on_their_scans(data, tmp_path):
    drawn = next(case for case in load_cases(data, tmp_path / "cache") if case.is_drawn)
    assert [value for value, _ in drawn.boxes] == [1, 5]
    assert abs(float(drawn.image[drawn.labels == 1].mean()) - 100) < 2
    assert abs(float(drawn.image[drawn.labels == 5].mean()) - 40) < 2


def test_a_map_of_another_scan_is_refused(data, tmp_path):
    radcnn.write(
        Volume(np.ones((5, 6, 7), np.uint8), Geometry.from_parts((5, 6, 7), (1, 1, 1))),
        data / "map.nii.gz",
        overwrite=True,
    )
    with pytest.raises(GeometryError, match="is not on the grid"):
        load_cases(data, tmp_path / "cache")


def test_a_missing_scan_is_named(data, tmp_path):
    (data / "scan.nii.gz").unlink()
    with pytest.raises(ReadError, match="scan"):
        load_cases(data, tmp_path / "cache")


def test_regions_follow_edges_and_are_kept(data, tmp_path):
    cache = tmp_path / "cache"
    volume = coarser(radcnn.read(data / "scan.nii.gz")[0])
    assert min(volume.geometry.spacing) > 1.4
    first = find_regions(volume)
    largest = first[0] == np.argmax(np.bincount(first[0][volume.array > 70])[1:]) + 1
    inside = volume.array > 20
    assert np.count_nonzero(largest & inside) > 0.7 * np.count_nonzero(largest)
    assert not (largest & (volume.array > 20) & (volume.array < 60) & ~ndimage.binary_dilation(volume.array > 70)).any()
    load_cases(data, cache)
    stamps = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert stamps
    load_cases(data, cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == stamps


def test_samples_are_drawn_alike_from_the_same_seed(data, tmp_path):
    cases = load_cases(data, tmp_path / "cache")
    one, other = Sampler(cases, 32, 7), Sampler(cases, 32, 7)
    seen = 0
    for _ in range(30):
        for (image, target), (again, same) in zip(one.draw(), other.draw(), strict=True):
            np.testing.assert_array_equal(image, again)
            np.testing.assert_array_equal(target, same)
            assert image.shape == target.shape == (32, 32, 32)
            assert np.isfinite(image).all()
            assert np.abs(image).max() <= 1.5
            assert target.sum() >= 25
            seen += 1
    assert seen > 15


def test_made_up_anatomy_has_the_shapes_it_says():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(8):
        labels, drawn = draw_labels(rng, 40)
        image = paint(rng, labels)
        assert image.shape == labels.shape
        assert np.isfinite(image).all()
        for value in drawn:
            assert np.count_nonzero(labels == value) >= 30
            found += 1
    assert found > 8


def test_fields_are_smooth_and_rotations_rotate():
    rng = np.random.default_rng(1)
    field = smooth_field(rng, 48, 4)
    assert np.abs(field).max() == pytest.approx(1)
    assert max(np.abs(np.diff(field, axis=n)).max() for n in range(3)) < 0.4
    turn = random_rotation(rng)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_a_part_of_a_sample_holds_some_of_its_object():
    rng = np.random.default_rng(2)
    target = np.zeros((48, 48, 48), bool)
    target[3:9, 30:40, 20:44] = True
    image = target.astype(np.float32)
    for _ in range(30):
        part, mask = crop_around(rng, (image, target), 32)
        assert part.shape == (32, 32, 32)
        assert mask.any()
        np.testing.assert_array_equal(part > 0.5, mask)


def test_clicks_fall_where_the_answer_is_wrong():
    rng = np.random.default_rng(5)
    target = np.zeros((32, 32, 32), bool)
    target[8:20, 8:20, 8:20] = True
    image = target + rng.normal(0, 0.1, target.shape).astype(np.float32)
    for _ in range(20):
        play = Play((image.astype(np.float32), target), rng)
        answer = np.roll(target, 8, axis=2)
        before = play.channels.copy()
        play.step(answer)
        np.testing.assert_array_equal(play.channels[2] > 0, answer)
        added = [(play.channels[n] > CLICKED) & (before[n] <= CLICKED) for n in (3, 4)]
        positive, negative = (ndimage.label(one)[1] for one in added)
        assert positive + negative >= 0
        if added[0].any():  # balls of two voxels around voxels that were missed
            assert (ndimage.binary_dilation(target & ~answer, iterations=4) >= added[0]).all()
        if added[1].any():
            assert (ndimage.binary_dilation(answer & ~target, iterations=4) >= added[1]).all()


def test_training_learns_stops_resumes_and_writes_weights(data, tmp_path, monkeypatch):
    """In this process, without the second one that draws samples; a few steps."""
    import torch

    monkeypatch.setattr(promptable, "Pool", _Here)
    monkeypatch.setattr("napari_radcnn.training.run.time", Ticking(0.2))
    out = tmp_path / "out"
    recipe = promptable.Recipe(minutes=0.06, size=32, batch=2, capacity=8)
    weights = promptable.train(data, out, recipe, threads=1)
    about = json.loads((out / "promptable-3d.json").read_text())
    assert about["steps"] >= 1
    assert about["trained_on"] == ["scan.nii.gz"]
    assert weights.stat().st_size < 10e6
    network = promptable_network(weights, about["sha256"]).torch_module()
    with torch.no_grad():
        assert torch.isfinite(network(torch.zeros(1, 7, 32, 32, 32))).all()
    rows = list(csv.reader((out / "log.csv").open()))
    assert int(rows[-1][1]) == about["steps"]
    longer = promptable.Recipe(minutes=0.2, size=32, batch=2, capacity=8)
    promptable.train(data, out, longer, threads=1)
    assert json.loads((out / "promptable-3d.json").read_text())["steps"] > about["steps"]


class _Here:
    """Stands for the pool: draws in this process."""

    def __init__(self, make, arguments, size, capacity):
        self._draw = make(*arguments)
        self.drawn = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def wait(self, count):
        return None

    def take(self, rng):
        while not (samples := self._draw()):
            pass
        self.drawn += len(samples)
        return samples[0]


def _make(size, seed):
    """Stands for the recipe's own: what a pool's process calls."""
    rng = np.random.default_rng(seed)

    def draw():
        mask = rng.random((size,) * 3) > 0.5
        return [(np.where(mask, 1.0, -1.0).astype(np.float32), mask)]

    return draw


def test_a_pool_hands_over_what_its_process_drew():
    from napari_radcnn.training.pool import Pool

    with Pool(_make, (8, 3), 8, 5) as pool:
        pool.wait(6)
        rng = np.random.default_rng(0)
        for _ in range(10):
            image, mask = pool.take(rng)
            assert 0 < mask.sum() < mask.size
            np.testing.assert_array_equal(image > 0, mask)


def test_a_pool_whose_process_fails_says_so():
    from napari_radcnn.errors import ResourceError
    from napari_radcnn.training.pool import Pool

    with Pool(_make, (8, "no seed"), 8, 5) as pool, pytest.raises(ResourceError, match="has stopped"):
        pool.wait(1)

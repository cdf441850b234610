"""The recipe of our own network of brain-extraction: what is shown to it, and a run of a few steps."""

import json

import numpy as np
import pytest
import torch

from napari_radcnn.errors import OptionError
from napari_radcnn.training.brain_extraction import recipe as brain_extraction
from napari_radcnn.training.brain_extraction.heads import Head, distance_to, scaled
from napari_radcnn.training.brain_extraction.held_out import like
from napari_radcnn.training.brain_extraction.samples import Sampler
from napari_radcnn.training.recipes import make_recipe

SHAPE = (90, 104, 96)


@pytest.fixture(scope="module")
def head():
    """A brain in a skull, off the middle."""
    places = np.indices(SHAPE, np.float32) - np.array([42, 50, 54]).reshape(3, 1, 1, 1)
    radius = np.sqrt((places**2 / np.array([30, 38, 28]).reshape(3, 1, 1, 1) ** 2).sum(0))
    t1 = np.select([radius < 1, radius < 1.08, radius < 1.25], [0.7, 0.15, 0.95], 0.02).astype(np.float32)
    return Head("mr_head", t1, distance_to(radius < 1), True)


def test_distances_are_millimeters_to_the_surface():
    brain = np.zeros((40, 44, 36), bool)
    brain[10:30, 12:32, 8:28] = True
    distance = distance_to(brain)
    assert distance[9, 20, 20] == pytest.approx(0.5)
    assert distance[10, 20, 20] == pytest.approx(-0.5)
    assert distance[2, 20, 20] == pytest.approx(7.5)
    assert (distance[brain] < 0).all()
    assert (distance[~brain] > 0).all()


def test_a_cube_shows_how_much_of_each_voxel_is_brain(head):
    sampler = Sampler([head], 48, 2)
    seen = 0.0
    for _ in range(12):
        picture, share = sampler.draw()
        assert picture.shape == share.shape == (1, 48, 48, 48)
        assert torch.isfinite(picture).all()
        assert 0 <= picture.min() <= picture.max() <= 1.5
        assert 0 <= share.min() <= share.max() <= 1
        seen = max(seen, float(share.mean()))
    # the ellipsoid fills 4/3 pi 30 38 28 mm^3 of a cube of 96 mm; a head is up to about a half larger
    assert 0.08 < seen < 0.5


def test_a_brain_alone_gets_a_head_around_it(head):
    alone = Head("nilearn MNI152", np.where(head.distance < 0, head.t1, 0), head.distance, False)
    outside = []
    for seed in range(8):
        picture, share = Sampler([alone], 48, seed).draw()
        outside.append(float(picture[share == 0].mean()))
    assert np.count_nonzero(np.array(outside) > 0.05) >= 4


def test_other_contrasts_turn_gray_values_around_within_the_brain_alone(head):
    t2 = like("T2", head.t1, head.distance)
    deep = head.distance < -4
    air = head.t1 < 0.1
    assert t2[deep].mean() < head.t1[deep].mean() - 0.2
    assert t2[air].max() < 0.1


def test_gray_values_are_scaled_by_quantiles():
    image = np.linspace(-300, 700, 1001, dtype=np.float32)[:, None, None]
    assert scaled(image)[[5, 500, 995], 0, 0] == pytest.approx((0, 0.5, 1), abs=0.002)


def test_a_training_learns_tests_on_its_fold_and_goes_on(head, tmp_path, monkeypatch):
    other = Head("mricron ch2", head.t1[::-1].copy(), head.distance[::-1].copy(), True)
    monkeypatch.setattr(brain_extraction, "load_heads", lambda data, cache: [head, other])
    recipe = brain_extraction.Recipe(minutes=10, samples=4, size=32, kept=4, fold="one", every=2)
    path = brain_extraction.train(tmp_path, tmp_path / "out", recipe, 1)
    about = json.loads(path.with_suffix(".json").read_text())
    assert path.name == "brain-extraction.safetensors"
    assert about["trained_on"] == ["mricron ch2"]
    rows = (tmp_path / "out" / "held_out.csv").read_text().splitlines()
    assert rows[0].split(",")[3:] == ["mr_head T1", "mr_head T2", "mr_head FLAIR"]
    longer = brain_extraction.Recipe(minutes=10, samples=8, size=32, kept=4, fold="one", every=2)
    again = json.loads(brain_extraction.train(tmp_path, tmp_path / "out", longer, 1).with_suffix(".json").read_text())
    assert again["steps"] > about["steps"]


def test_a_fold_is_one_of_those_that_a_recipe_has(tmp_path):
    assert make_recipe("brain-extraction", fold="other").fold == "other"
    with pytest.raises(OptionError, match="no folds"):
        make_recipe("ct-denoise", fold="one")
    with pytest.raises(OptionError, match="no fold 'two'; there are: none, one, other"):
        brain_extraction.train(tmp_path, tmp_path, brain_extraction.Recipe(fold="two"), 1)

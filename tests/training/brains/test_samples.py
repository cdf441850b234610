"""Heads whose tissue is known, and the cubes of them that the networks of brains are shown."""

import numpy as np
import pytest
import torch

from napari_radcnn.errors import ModelError
from napari_radcnn.models.brain_structures.network import OUTSIDE
from napari_radcnn.training.brains import samples
from napari_radcnn.training.brains.cases import (
    CEREBELLUM,
    STEM,
    STRIATUM,
    THALAMUS,
    Anatomy,
    load_anatomies,
    three_levels,
)
from napari_radcnn.training.brains.samples import FLUID, GRAY, WHITE, Sampler

SHAPE = (60, 72, 64)


@pytest.fixture(scope="module")
def anatomy():
    """A head of shells: white matter, gray matter, fluid, skull, with a ventricle right of the middle."""
    index = np.indices(SHAPE, np.float32)
    radius = np.sqrt(sum((index[a] - SHAPE[a] / 2) ** 2 for a in range(3)))
    white = np.clip(17.5 - radius, 0, 1)
    gray = np.clip(22.5 - radius, 0, 1) - white
    ventricle = sum((index[a] - SHAPE[a] / 2 - (4, 0, 0)[a]) ** 2 for a in range(3)) < 16
    white[ventricle] = 0
    t1 = 0.3 + 0.3 * gray + 0.7 * white
    part = np.zeros(SHAPE, np.uint8)
    part[:, :20] = CEREBELLUM
    part[:, :, :10] = STEM
    part[30:34, 40:44] = STRIATUM
    part[30:34, 44:48] = THALAMUS
    distance = np.clip(radius - 24, -30, 30)
    whole = np.ones(SHAPE, bool)
    return Anatomy("mr_t1_fast", gray, white, distance, t1.astype(np.float32), whole, part, (0.3, 0.6, 1.0))


def test_cubes_hold_what_the_network_expects(anatomy):
    sampler = Sampler([anatomy], [1.0], 32, 3)
    seen = set()
    for _ in range(25):
        picture, label = sampler.draw()
        assert picture.shape == (1, 32, 32, 32)
        assert picture.dtype == torch.float32
        assert torch.isfinite(picture).all()
        assert ((picture[0] == OUTSIDE) == (label == 0)).all()
        assert picture[label[None] > 0].numel() == 0 or picture[label[None] > 0].min() >= -0.2
        seen |= set(label.unique().tolist())
    assert seen == {0, FLUID, GRAY, WHITE}


def test_the_same_seed_gives_the_same_cubes_and_another_one_others(anatomy):
    first, again, other = (Sampler([anatomy], [1.0], 32, seed).draw() for seed in (5, 5, 6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_plain_cubes_look_like_t1_and_varied_ones_do_not(anatomy):
    def is_like_t1(variety):
        sampler = Sampler([anatomy], [1.0], 32, 1)
        sampler.variety = variety
        found = []
        for _ in range(40):
            picture, label = sampler.draw()
            if all((label == value).sum() > 150 for value in (GRAY, WHITE)):
                found.append(bool(picture[0][label == WHITE].mean() > picture[0][label == GRAY].mean()))
        return np.mean(found)

    assert is_like_t1(0.0) > 0.93
    assert 0.2 < is_like_t1(1.0) < 0.9


def test_a_blur_keeps_the_sum_and_has_the_spread_it_is_asked_for():
    volume = torch.zeros(31, 33, 35)
    volume[15, 16, 17] = 1
    blurred = samples.blurred(volume, (1.5, 0.0, 2.5)).numpy()
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    for axis, sigma in enumerate((1.5, 0.0, 2.5)):
        profile = blurred.sum(tuple(n for n in range(3) if n != axis))
        places = np.arange(len(profile))
        spread = np.sqrt((profile * (places - (profile * places).sum()) ** 2).sum())
        assert spread == pytest.approx(sigma, rel=0.06)


def test_three_tissues_are_told_by_gray_value():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(m, 6, n) for m, n in ((40, 9000), (100, 30000), (150, 26000))])
    assert three_levels(values.astype(np.float32)) == pytest.approx((40, 100, 150), abs=2)


def test_missing_scans_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_radcnn.training.brains.cases.TEMPLATES", tmp_path)
    with pytest.raises(ModelError, match=r"ch2\.nii\.gz"):
        load_anatomies(tmp_path, tmp_path)

from __future__ import annotations

import csv
import json

import nibabel
import numpy as np
import pytest

from napari_radcnn.errors import ReadError
from napari_radcnn.models.ct_denoise.network import CHANNELS, UNIT, build_network
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.training.ct_denoise import recipe as ct_denoise, samples as ct_denoise_samples
from napari_radcnn.training.ct_denoise.samples import SINGLE, VOLUMES, Sampler, load_scans, make_bank
from ticking import Ticking


def body(slices, rows, columns, seed):
    rng = np.random.default_rng(seed)
    j, i = np.indices((rows, columns))
    image = np.where(np.hypot(j / rows - 0.5, i / columns - 0.5) < 0.48, 40, -1000)
    return (image + rng.normal(0, 5, (slices, rows, columns))).astype(np.int16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for n, name in enumerate(VOLUMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        array = body(6 + n, 120, 60 if n else 130, n).T
        nibabel.save(nibabel.Nifti1Image(array, np.diag([0.7 + n, 0.7 + n, 1.0, 1.0])), path)
    (folder / SINGLE).parent.mkdir(parents=True)
    np.savez(folder / SINGLE, hu=body(58, 130, 130, 9), pixel_spacing_mm=np.full((58, 2), 0.8))
    return folder


@pytest.fixture(scope="module")
def bank():
    return np.random.default_rng(0).normal(size=(2, 5, 512, 512)).astype(np.float16)


def test_scans_are_in_order_and_the_test_slices_are_not_among_them(data):
    scans, spacings = load_scans(data)
    assert [scan.shape for scan in scans[:3]] == [(6, 120, 130), (7, 120, 60), (8, 120, 60)]
    assert len(scans) == len(spacings) == 3 + 36
    assert spacings[:4] == pytest.approx([0.7, 1.7, 2.7, 0.8])
    splits = (ct_denoise_samples.TRAIN, ct_denoise_samples.VALIDATE, ct_denoise_samples.TEST)
    chosen = [n for part in splits for n in range(58)[part]]
    assert chosen == list(range(58))


def test_a_missing_scan_is_named(tmp_path):
    with pytest.raises(ReadError, match=r"ct_hu\.nii\.gz is missing"):
        load_scans(tmp_path)


def test_the_channels_hold_the_noise_that_is_to_be_found(data, bank):
    scans, _ = load_scans(data)
    sampler = Sampler(scans, bank, 64, np.random.default_rng(1))
    told, there = [], []
    for _ in range(60):
        sample = sampler.draw()
        assert sample.channels.shape == (CHANNELS, 64, 64)
        assert sample.noise.shape == sample.weight.shape == (1, 64, 64)
        assert np.isfinite(sample.channels).all()
        # what is left when the noise is taken off is smoother, by what the scan does not have itself
        noisy = sample.channels[2]
        assert np.abs(np.diff(noisy - sample.noise[0])).mean() < np.abs(np.diff(noisy)).mean()
        told.append(float(sample.channels[5, 0, 0]) * UNIT)
        there.append(float(sample.noise.std()) * UNIT)
    assert np.corrcoef(told, there)[0, 1] > 0.6
    assert min(there) > 2


def test_missing_neighbors_are_the_nearest_slice(data, bank):
    scans, _ = load_scans(data)
    sampler = Sampler(scans, bank, 64, np.random.default_rng(2))
    seen = set()
    for _ in range(250):
        slices = sampler.draw().channels[:5]
        seen.add(tuple(bool(np.array_equal(slices[n], slices[2])) for n in range(5)))
    assert (True,) * 5 in seen  # alone
    assert (False, False, True, False, False) in seen  # all there
    assert (False, False, True, True, True) in seen
    assert (True, True, True, False, False) in seen


def test_lines_lie_side_by_side_in_a_field_and_leave_the_rest(bank):
    sampler = Sampler([], bank, 64, np.random.default_rng(6))
    periods, contrasts = [], []
    for _ in range(40):
        slab = np.zeros((5, 80, 80), np.float32)
        sampler._put_lines(slab, np.zeros((5, 1, 1), int))
        middle = slab[2]
        assert np.array_equal(slab[0], slab[4])  # nothing drifts
        inside = middle != 0
        if inside.sum() < 200:  # cut off by the border
            continue
        assert inside.mean() < 0.35
        contrasts.append(np.abs(middle).max())
        assert abs(middle[inside].mean()) < 0.5 * contrasts[-1]  # as much brighter as darker
        power = np.abs(np.fft.fft2(np.pad(middle, 88)))
        power[0, 0] = 0
        row, column = np.unravel_index(power.argmax(), power.shape)
        frequency = np.hypot(np.fft.fftfreq(256)[row], np.fft.fftfreq(256)[column])
        periods.append(1 / frequency)
    assert 2.8 < min(periods) < 4.5
    assert 8 < max(periods) < 14
    assert 7 < min(contrasts) < 20
    assert 100 < max(contrasts) < 210


def test_disks_are_small_and_faint(bank):
    sampler = Sampler([], bank, 64, np.random.default_rng(7))
    areas, contrasts = [], []
    for _ in range(60):
        slab = np.zeros((5, 80, 80), np.float32)
        sampler._put_disk(slab, np.zeros((5, 1, 1), int))
        values = np.unique(slab)
        assert len(values) <= 2
        areas.append(np.count_nonzero(slab[2]))
        contrasts.append(np.abs(values).max())
    assert 50 < max(areas) < np.pi * 5.5**2
    assert min(one for one in contrasts if one) > 4.9
    assert 30 < max(contrasts) < 64


def test_shapes_keep_edges_that_are_sharp_to_the_pixel(bank):
    sampler = Sampler([], bank, 64, np.random.default_rng(3))
    steps = []
    for _ in range(20):
        slab, is_single = sampler._shapes()
        assert slab.shape == (5, 80, 80)
        assert is_single == np.array_equal(slab[0], slab[4])
        steps.append(np.abs(np.diff(slab[2], axis=0)).max())
    assert max(steps) > 700


def test_the_bank_holds_noise_of_five_slices(data):
    scans, spacings = load_scans(data)
    bank = make_bank(scans, spacings, 1, np.random.default_rng(4)).astype(np.float32)
    assert bank.shape == (1, 5, 512, 512)
    assert bank.std() == pytest.approx(1, rel=0.01)
    assert abs(np.corrcoef(bank[0, 0].ravel(), bank[0, 1].ravel())[0, 1]) < 0.05


def test_training_learns_resumes_and_writes_weights(data, bank, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_radcnn.training.run.time", Ticking(0.2))
    out = tmp_path / "out"
    out.mkdir()
    np.save(out / "noise.npy", bank)
    recipe = ct_denoise.Recipe(minutes=0.04, size=32, batch=2)
    ct_denoise.train(data, out, recipe, 1)
    first = json.loads((out / "ct-denoise.json").read_text())
    weights = ct_denoise.train(data, out, ct_denoise.Recipe(minutes=0.08, size=32, batch=2), 1)
    about = json.loads(weights.with_suffix(".json").read_text())
    assert about["steps"] > first["steps"] > 0
    assert about["trained_on"] == ct_denoise_samples.names()
    assert weights.stat().st_size < 3e6
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert 0 < float(rows[-1]["ratio"]) < 2
    import torch

    network = ShippedNetwork(weights, about["sha256"], build_network, 2, CHANNELS).torch_module()
    # no biases: nothing gives nothing, and twice as much gives twice as much
    patch = torch.randn(1, CHANNELS, 32, 40)
    with torch.no_grad():
        assert network(torch.zeros_like(patch)).abs().max() == 0
        torch.testing.assert_close(network(2 * patch), 2 * network(patch), rtol=1e-4, atol=1e-5)

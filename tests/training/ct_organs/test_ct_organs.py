"""What `ct-organs` learns from: sets of classes, crops, contrast medium; against closed forms."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from napari_radcnn.errors import OptionError  # noqa: E402
from napari_radcnn.models.ct_organs.channels import AIR  # noqa: E402
from napari_radcnn.models.ct_organs.network import CLASSES  # noqa: E402
from napari_radcnn.training.ct_organs import contrast, recipe, scans  # noqa: E402
from napari_radcnn.training.ct_organs.recipe import set_loss  # noqa: E402
from napari_radcnn.training.ct_organs.samples import Sampler  # noqa: E402

LIVER, AORTA, RIBS = (CLASSES.index(name) for name in ("liver", "aorta", "ribs"))


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        ("kidney_left", "kidneys"),
        ("kidney_cyst_right", "kidneys"),
        ("vertebrae_T12", "vertebrae"),
        ("rib_left_7", "ribs"),
        ("iliac_vena_left", "iliac vessels"),
        ("inferior_vena_cava", "vena cava"),
        ("superior_vena_cava", "arteries and veins of the upper chest"),
        ("hip_left", "hips"),
        ("adrenal_gland_left", "other"),
        ("brain", "other"),
    ],
)
def test_structures_of_the_maps_have_their_class(structure, expected):
    assert CLASSES[scans.class_of(structure)] == expected


def test_every_class_but_the_first_has_a_pattern_and_bones_are_classes():
    assert set(scans.PATTERNS) == set(CLASSES[1:])
    assert set(scans.BONES) < set(CLASSES)


def test_most_of_a_block_decides():
    labels = np.zeros((6, 8, 12), np.uint8)
    labels[:, :, 5:] = 7  # at 5 mm of 12; voxels at 3 mm end at 3, 6, 9
    found = scans.most_of(labels, (3.0, 3.0, 1.0), (6, 8, 4))
    np.testing.assert_array_equal(found[0, 0], [0, 0, 7, 7])


def test_a_set_of_classes_costs_what_all_of_them_together_lack():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]))
    allowed = torch.tensor([[True, True, False], [False, True, False], [True, False, False]])
    counts = torch.tensor([True, True, False])
    padded = torch.full((3, len(CLASSES)), -1e4)
    padded[:, :3] = logits
    wide = torch.zeros((3, len(CLASSES)), dtype=torch.bool)
    wide[:, :3] = allowed
    entropy, overlap = set_loss(padded, wide, counts)
    assert entropy.item() == pytest.approx(-(math.log(0.8) + math.log(0.8)) / 2, abs=1e-5)
    # of the known voxels that count, one has class 1 with 0.8
    assert overlap.item() == pytest.approx(1 - (2 * 0.8 + 20) / (0.8 + 1 + 20), abs=1e-5)
    everything, _ = set_loss(padded, torch.ones_like(wide), counts)
    assert everything.item() == pytest.approx(0, abs=1e-5)


def _scan() -> scans.Scan:
    """Return a body with a liver on the right and an aorta on the left of the middle."""
    k, j, i = np.indices((40, 60, 90))
    body = ((j - 30) / 26) ** 2 + ((i - 45) / 40) ** 2 < 1
    labels = np.zeros(body.shape, np.uint8)
    labels[body & (i < 38) & (k > 10)] = LIVER
    labels[(j - 34) ** 2 + (i - 52) ** 2 < 16] = AORTA
    hu = np.where(body, -100.0, AIR).astype(np.float32)
    hu[labels == LIVER], hu[labels == AORTA] = 60, 300
    return scans.Scan("drawn", hu, labels, np.eye(len(CLASSES), dtype=bool), (30.0, 45.0), 1.0, True)


def test_samples_show_what_their_labels_say():
    sampler = Sampler([_scan()], (32, 32, 48), np.random.default_rng(5))
    samples = [sampler.make() for _ in range(12)]
    shown = torch.stack([sample.shown for sample in samples])
    labels = torch.stack([sample.labels for sample in samples])
    inside = torch.stack([sample.counts for sample in samples])
    assert torch.isfinite(shown).all()
    assert (shown[:, 0][~inside] == AIR / 1000).all()
    assert ((shown[:, 2] == 1) == inside).all()
    hu = 1000 * shown[:, 0]
    assert 20 < hu[(labels == LIVER) & inside].median() < 130
    assert hu[(labels == 0) & inside].median() < -50
    # the liver lies on the right, where the channel is negative; the middle is mistaken by a few mm only
    assert shown[:, 3][(labels == LIVER) & inside].median() < -0.05
    assert shown[:, 3][(labels == AORTA) & inside].median() > 0


def test_equal_seeds_make_equal_samples():
    first, second = (Sampler([_scan()], (16, 32, 32), np.random.default_rng(8)).make() for _ in range(2))
    assert torch.equal(first.shown, second.shown)
    assert torch.equal(first.labels, second.labels)


def test_another_phase_changes_organs_and_leaves_the_rest():
    scan = _scan()
    medians = np.full(len(CLASSES), np.nan)
    medians[LIVER], medians[AORTA] = 60, 300
    hu, classes = torch.from_numpy(scan.hu), torch.from_numpy(scan.labels.astype(np.int64))
    rng = np.random.default_rng(0)
    found = [contrast.other_phase(rng, hu, classes, medians) for _ in range(30)]
    aorta = np.array([float(each[classes == AORTA].median()) for each in found])
    assert aorta.min() < 60 < 250 < aorta.max()
    kept = [torch.equal(each[classes == 0], hu[classes == 0]) for each in found]
    assert any(kept)
    assert (torch.stack(found)[:, classes == 0] - hu[classes == 0]).abs().median() < 1


def test_every_fold_leaves_scans_to_learn_from():
    known = set(scans._READERS)
    for fold in scans.FOLDS.values():
        assert set(fold) < known
    tested = [name for fold in scans.FOLDS.values() for name in fold]
    assert len(tested) == len(set(tested))


def test_a_training_counts_samples_tests_with_what_is_held_out_and_writes_weights(monkeypatch, tmp_path):
    learned, tested = _scan(), replace(_scan(), name=scans.FOLDS["abdomen"][0])
    monkeypatch.setattr(recipe, "load_scans", lambda data: [learned, tested])
    settings = recipe.Recipe(fold="abdomen", shape=(16, 32, 32), blocks=100, samples=4, every=2, minutes=5)
    path = recipe.train(tmp_path, tmp_path / "out", settings, threads=1)
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["trained_on"] == ["drawn"]
    assert about["samples"] == 4
    assert about["steps"] == 2
    rows = (tmp_path / "out" / "held_out.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "minutes,steps,samples,mean,aorta,liver"
    assert [row.split(",")[2] for row in rows[1:]] == ["2", "4", "4"]


def test_a_fold_that_there_is_not_is_named(tmp_path):
    with pytest.raises(OptionError, match="no fold 'knee'; there are: none, abdomen, chest"):
        recipe.train(tmp_path, tmp_path, recipe.Recipe(fold="knee"), threads=1)

"""Training of classifiers: folds, views, and an ensemble that is written with its calibration."""

import json

import numpy as np
import pytest

from napari_radcnn.errors import ModelError
from napari_radcnn.networks.classifier import ClassifierShape, build_classifier, build_ensemble
from napari_radcnn.networks.safetensors import load_safetensors
from napari_radcnn.training import run
from napari_radcnn.training.classifiers.learn import Cases, Recipe, find_file, folds, load_split, train_ensemble
from napari_radcnn.training.views import gland_views, radiograph_views
from ticking import Ticking

torch = pytest.importorskip("torch")
SHAPE = ClassifierShape(dims=2, channels=1, widths=(4, 8))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_folds_are_even_in_every_class():
    classes = np.repeat([0, 1], [23, 180])
    fold = folds(classes, 4, seed=5)
    assert np.array_equal(fold, folds(classes, 4, seed=5))
    assert not np.array_equal(fold, folds(classes, 4, seed=6))
    assert sorted(np.bincount(fold[classes == 0])) == [5, 6, 6, 6]
    assert np.bincount(fold[classes == 1]).tolist() == [45] * 4


@pytest.mark.parametrize("dims", [2, 3])
def test_an_ensemble_says_what_its_members_say(dims):
    shape = ClassifierShape(dims=dims, channels=2, widths=(4, 8), stride=2, classes=3)
    ensemble = build_ensemble(shape, 2).eval()
    x = torch.randn(5, 2, *[16] * dims, generator=generator())
    said = ensemble(x)
    assert said.shape == (5, 6)
    for number, member in enumerate(ensemble.members):
        assert torch.allclose(said[:, 3 * number : 3 * number + 3], member(x))
        assert member.features(x).shape == (5, 8, *[4] * dims)
    assert not torch.allclose(said[:, :3], said[:, 3:])


def test_radiographs_stay_standardized_and_alike():
    y, x = np.mgrid[:28, :28]
    picture = np.hypot(y - 9, x - 18).astype(np.float32)
    given = torch.from_numpy((picture - picture.mean()) / picture.std())[None, None].repeat(64, 1, 1, 1)
    views = radiograph_views(given, generator(1))
    assert views.shape == given.shape
    assert torch.allclose(views.mean((2, 3)), torch.zeros(64, 1), atol=1e-4)
    assert torch.allclose(views.std((2, 3)), torch.ones(64, 1), atol=1e-3)
    assert torch.equal(views, radiograph_views(given, generator(1)))
    assert (views[1:] - views[:-1]).abs().amax((1, 2, 3)).min() > 0.1
    # half of them are mirror images: the dark middle then lies on the other side
    darkest = views.flatten(1).argmin(1) % 28
    assert 16 < int((darkest < 14).sum()) < 48


def test_glands_keep_their_size_and_their_depth():
    cube = torch.zeros(48, 2, 32, 32, 32)
    cube[:, 0, 10:20, 13:18, 14:17] = 1.0
    cube[:, 1, 10:20, 13:18, 14:17] = 0.5
    views = gland_views(cube, generator(2))
    sizes = views[:, 0].sum((1, 2, 3)) / cube[:, 0].sum((1, 2, 3))
    assert 0.75 < float(sizes.min()) < float(sizes.max()) < 1.3
    assert float(sizes.mean()) == pytest.approx(1.0, abs=0.03)
    # a scaled gland is as many times deeper as it is longer
    depth = views[:, 1].sum((1, 2, 3)) / views[:, 0].sum((1, 2, 3))
    assert torch.allclose(depth, 0.5 * sizes ** (1 / 3), rtol=0.03)
    places = [
        tuple(np.round([float(axis.float().mean()) for axis in torch.nonzero(view[0] > 0.5).T], 1)) for view in views
    ]
    assert len(set(places)) > 40


def separable(count=120):
    """Pictures that are bright on the left or on the right."""
    rng = np.random.default_rng(0)
    classes = (np.arange(count) % 3 == 0).astype(np.int64)
    pictures = rng.normal(0, 1, (count, 1, 12, 12)).astype(np.float32)
    pictures[classes == 1, :, :, :6] += 1.5
    pictures[classes == 0, :, :, 6:] += 1.5
    return Cases(pictures, classes)


def test_an_ensemble_is_written_with_its_calibration(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "time", Ticking(0.05))
    recipe = Recipe(minutes=0.1, members=2, batch=8, mixup=0.2, views=1)
    path = train_ensemble("toy", separable(), SHAPE, lambda x, _: x, tmp_path, recipe, ["toy"])
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["trained_on"] == ["toy"]
    assert about["recipe"]["members"] == 2
    assert set(about["calibration"]) == {"temperature", "shift"}
    assert 0 <= about["held_out"]["auc"] <= 1
    # what was written is what was learned: each member says of its fold what was kept
    ensemble = build_ensemble(SHAPE, 2).eval()
    found = load_safetensors(path)
    ensemble.load_state_dict(
        {name: found[name].float() if name in found else value for name, value in ensemble.state_dict().items()}
    )
    with np.load(tmp_path / "held_out.npz") as kept:
        logits, fold = kept["logits"], kept["fold"]
    with torch.no_grad():
        said = ensemble.members[1](torch.from_numpy(separable().inputs[fold == 1])).numpy()
    assert said == pytest.approx(logits[fold == 1, 0], abs=0.05)
    # going on in the same folder trains nothing again
    before = path.read_bytes()
    assert train_ensemble("toy", separable(), SHAPE, lambda x, _: x, tmp_path, recipe, ["toy"]).read_bytes() == before


def test_members_end_early_when_their_held_out_fold_is_told_no_better(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_LOG_SECONDS", 0.0)  # look at the held-out fold after each step
    monkeypatch.setattr(run, "time", Ticking(0.01))
    recipe = Recipe(minutes=20, members=2, batch=8, rate=1e-2, patience=0.02)
    path = train_ensemble("toy", separable(), SHAPE, lambda x, _: x, tmp_path, recipe, ["toy"])
    for member in range(2):
        last = (tmp_path / f"member-{member}" / "log.csv").read_text().splitlines()[-1]
        assert float(last.split(",")[0]) < 5  # minutes of 10
    assert json.loads(path.with_suffix(".json").read_text())["held_out"]["auc"] > 0.95


def test_a_member_learns_what_can_be_learned():
    cases = separable()
    network = build_classifier(SHAPE)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    x, y = torch.from_numpy(cases.inputs), torch.from_numpy(cases.classes)
    for _ in range(25):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    assert float((network.eval()(x).argmax(1) == y).float().mean()) > 0.9


def test_splits_are_read_and_others_refused(tmp_path):
    folder = tmp_path / "classification"
    folder.mkdir()
    np.savez(folder / "toy.npz", train_images=np.zeros((3, 4, 4), np.uint8), train_labels=np.array([[0], [1], [1]]))
    path = find_file(tmp_path, "toy.npz")
    assert path == find_file(folder, "toy.npz")
    pictures, classes = load_split(path, "train")
    assert pictures.shape == (3, 4, 4)
    assert classes.tolist() == [0, 1, 1]
    with pytest.raises(ModelError, match="test_images and test_labels"):
        load_split(path, "test")
    (folder / "other.npz").write_text("nothing")
    with pytest.raises(ModelError, match="not a MedMNIST v2 file"):
        load_split(folder / "other.npz", "train")
    with pytest.raises(ModelError, match=r"no missing\.npz"):
        find_file(tmp_path, "missing.npz")

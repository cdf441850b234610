"""The evidence of findings: what both networks say together, and where in the scan the maps lie."""

from threading import Event

import numpy as np
import pytest

from napari_radcnn.errors import CancelledError
from napari_radcnn.evidence.ensemble import KINDS
from napari_radcnn.models.lung_nodules.evidence import MOST, evidence, judge
from napari_radcnn.models.lung_nodules.network import SIDE, build_finder, build_second
from napari_radcnn.models.lung_nodules.places import cubes, fold, fused
from napari_radcnn.progress import Monitor

torch = pytest.importorskip("torch")
#: Few and large patches, for the sake of time.
PATCHES = (24, 24, 24, 1)
CALIBRATION = {"finder": 0.7, "second": 1.3, "shift": -0.4}


def networks(seed=0):
    torch.manual_seed(seed)
    finder, second = build_finder().eval(), build_second().eval()
    with torch.no_grad():  # fresh networks answer nearly the same everywhere
        for network in (finder, second):
            for value in network.parameters():
                value.add_(0.05 * torch.randn_like(value))
    return finder, second


def scene(shape=(70, 64, 80), center=(30, 33, 41)):
    """Lung with a ball of 10 voxels across in it."""
    index = np.indices(shape)
    away = [index[axis] - center[axis] for axis in range(3)]
    voxels = 0.1 + 0.02 * np.random.default_rng(1).normal(size=shape)
    voxels[sum(d**2 for d in away) < 25] = 0.75
    return voxels.astype(np.float32), np.array(center, float)


def test_both_networks_say_together_what_the_recipe_makes_of_them():
    finder, second = networks()
    voxels, center = scene()
    first = (np.round(center + 0.5) - SIDE).astype(int)
    cube = voxels[tuple(slice(f, f + 2 * SIDE) for f in first)]
    with torch.inference_mode():
        near = slice(SIDE // 2 - 2, SIDE // 2 + 2)
        pointed = finder(torch.from_numpy(fold(cube))[None])[0, 0, near, near, near].max().item()
        looked = second(torch.from_numpy(cubes(voxels, center[None])))[0, 0].item()
        logits = judge(finder, second, CALIBRATION)(torch.from_numpy(cube)[None, None])
    assert torch.softmax(logits, 1)[0, 1].item() == pytest.approx(
        fused(np.array([pointed]), np.array([looked]), CALIBRATION)[0], rel=1e-5
    )


def test_maps_lie_around_the_finding_and_nowhere_else():
    voxels, center = scene()
    module = judge(*networks(), CALIBRATION)
    found = evidence(module, voxels, [center], Monitor(9), PATCHES)
    assert tuple(found) == KINDS
    inside = np.zeros(voxels.shape, bool)
    inside[tuple(slice(int(c) - SIDE, int(c) + SIDE) for c in np.round(center + 0.5))] = True
    for values in found.values():
        assert values.shape == voxels.shape
        assert values[inside].any()
        assert not values[~inside].any()
    # what is looked at again is the middle: there a change of a voxel counts most
    middle = found["saliency"][25:36, 28:39, 36:47].mean()
    assert middle > 3 * found["saliency"][inside].mean()


def test_a_finding_at_the_border_of_the_scan_is_explained_too():
    voxels, center = scene(shape=(40, 44, 52), center=(2, 40, 25))
    found = evidence(judge(*networks(), CALIBRATION), voxels, [center], Monitor(9), PATCHES)
    assert found["saliency"][:10, 36:].any()
    assert all(np.isfinite(values).all() for values in found.values())


def test_other_weights_give_other_maps():
    voxels, center = scene()
    maps = [
        evidence(judge(*networks(seed), CALIBRATION), voxels, [center], Monitor(9), PATCHES)["saliency"]
        for seed in (0, 1)
    ]
    inside = maps[0] > 0
    assert abs(np.corrcoef(maps[0][inside], maps[1][inside])[0, 1]) < 0.9


def test_only_the_best_findings_are_explained_and_cancel_is_heard():
    voxels, center = scene(shape=(30, 30, 150), center=(15, 15, 20))
    centers = [center + np.array([0, 0, 25 * number]) for number in range(MOST + 1)]
    monitor = Monitor(99)
    found = evidence(judge(*networks(), CALIBRATION), voxels, centers, monitor, PATCHES)
    assert monitor.done == MOST * len(KINDS)
    assert not found["saliency"][:, :, int(centers[-2][2]) + SIDE + 2 :].any()
    ended = Event()
    ended.set()
    with pytest.raises(CancelledError):
        evidence(judge(*networks(), CALIBRATION), voxels, centers, Monitor(99, cancel=ended), PATCHES)

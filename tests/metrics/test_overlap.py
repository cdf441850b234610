"""Overlap and surfaces against MONAI's own computation and by hand."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_iou, compute_surface_dice
from scipy import ndimage

from napari_radcnn.metrics import compare, dice, jaccard, surface_dice, surface_distances, volume_error
from napari_radcnn.phantom import world_field

SPACING = (3.0, 1.5, 0.7)


@pytest.fixture(params=[1, 2, 3])
def pair(request):
    """Two lumps that partly overlap, away from the border."""
    rng = np.random.default_rng(request.param)
    shape = (14, 30, 38)
    fields = [ndimage.gaussian_filter(rng.normal(size=shape), (1, 2.5, 3)) for _ in range(2)]
    masks = []
    for field in (fields[0], 0.7 * fields[0] + 0.5 * fields[1]):
        mask = field > np.percentile(field, 75)
        mask[[0, -1]], mask[:, [0, -1]], mask[..., [0, -1]] = False, False, False
        masks.append(mask)
    return masks


def _monai(mask):
    return torch.from_numpy(mask)[None, None].float()


def test_against_monai(pair):
    reference, prediction = pair
    theirs = _monai(prediction), _monai(reference)
    assert 0.1 < dice(*pair) < 0.9
    assert jaccard(*pair) == pytest.approx(float(compute_iou(*theirs)), abs=1e-6)
    assert jaccard(*pair) == pytest.approx(dice(*pair) / (2 - dice(*pair)))
    distances = surface_distances(*pair, SPACING)
    for tolerance in (0.5, 1.0, 2.2):
        expected = compute_surface_dice(*theirs, class_thresholds=[tolerance], include_background=True, spacing=SPACING)
        assert surface_dice(distances, tolerance) == pytest.approx(float(expected), abs=1e-6)
    furthest = compute_hausdorff_distance(*theirs, include_background=True, spacing=SPACING)
    assert distances.max() == pytest.approx(float(furthest), rel=1e-5)


def test_by_hand():
    first, second = np.zeros((3, 4, 5), bool), np.zeros((3, 4, 5), bool)
    first[1, 1, 1:4], second[1, 1, 2:5] = True, True
    assert jaccard(first, second) == pytest.approx(2 / 4)
    distances = surface_distances(first, second, SPACING)  # 0.7, 0, 0 both ways
    assert surface_dice(distances, 0.5) == pytest.approx(4 / 6)
    assert surface_dice(distances, 0.7) == 1
    second[1, 1, 1] = True
    assert volume_error(first, second) == pytest.approx(100 / 3)


def test_empty_masks():
    nothing, something = np.zeros((2, 3, 4)), np.ones((2, 3, 4))
    assert jaccard(nothing, nothing) == 1
    assert jaccard(nothing, something) == 0
    assert volume_error(nothing, something) is None
    assert volume_error(something, nothing) == -100
    assert surface_dice(surface_distances(nothing, something, SPACING), 3.0) is None


def test_the_tolerance_is_that_of_the_comparison():
    from grids import oblique

    field = world_field(oblique())
    first = np.zeros(field.shape, np.uint8)
    first[0, 0, 0] = 1
    second = np.roll(first, 1, 1)
    maps = [field.with_array(one, is_label=True) for one in (first, second)]
    step = field.geometry.spacing[1]
    near = compare(*maps, tolerance_mm=step + 0.01)["labels"]["1"]
    far = compare(*maps, tolerance_mm=step - 0.01)["labels"]["1"]
    assert (near["surface_dice"], far["surface_dice"]) == (1.0, 0.0)
    assert near["volume_error_percent"] == 0

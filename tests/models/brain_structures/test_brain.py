"""What the networks of brains are shown: the same picture whatever the order of the scan's axes and its gray values."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from scipy import ndimage

from all_brain import take_all_for_brain
from costly import few_of
from napari_radcnn.errors import ModelError
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models.brain_extraction import own, run as brain_extraction
from napari_radcnn.models.brain_extraction.spec import SPEC as EXTRACTION
from napari_radcnn.models.brain_structures.brain import find_brain, prepare
from napari_radcnn.models.brain_structures.network import OUTSIDE
from napari_radcnn.models.brain_structures.spec import SPEC
from napari_radcnn.progress import Monitor
from shells import shells

ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "SI")) for letters in product(*axes)]


@pytest.fixture(autouse=True)
def _all_is_brain(monkeypatch):
    take_all_for_brain(monkeypatch)


def _request(scan, spec=SPEC):
    return Request(spec, scan, spec.options(), RunSettings(), 1)


def _shown(scan):
    request = _request(scan)
    brain = find_brain(request, scan.array.astype(np.float32), Monitor(1))
    return prepare(request, scan.array.astype(np.float32), brain.mask)


@pytest.mark.parametrize("spacing", few_of([(1.0, 1.0, 1.0), (1.9, 1.1, 0.7)], (1.9, 1.1, 0.7)))
def test_all_48_orders_of_axes_give_the_same_picture(spacing):
    scan, _ = shells((44, 70, 61), spacing)
    plain = _shown(scan).picture
    assert (plain != OUTSIDE).sum() > 10_000
    for letters in ORIENTATIONS:
        picture = _shown(scan.reoriented(letters)).picture
        assert picture.shape == plain.shape, letters
        np.testing.assert_allclose(picture, plain, atol=1e-4, err_msg=letters)


def test_extraction_is_shown_the_same_head_in_all_48_orders(monkeypatch):
    scan, _ = shells((44, 70, 61), (1.9, 1.1, 0.7))
    seen = []

    def logits(run):
        seen.append(run._shown)
        return np.zeros(run._shown.shape, np.float32)

    monkeypatch.setattr(own._Run, "logits", logits)
    for letters in ("SPL", *ORIENTATIONS):
        own.find(_request(scan.reoriented(letters), EXTRACTION), Monitor(1))
    assert len({picture.shape for picture in seen}) == 1
    for picture in seen:
        np.testing.assert_allclose(picture, seen[0], atol=1e-4)


@pytest.mark.parametrize(
    ("scale", "offset", "background"), [(0.01, -1.8, -1.8), (1 / 3000, 0, 0), (1, 0, 4000), (0.02, 5, -1000)]
)
def test_a_brain_is_shown_the_same_in_any_unit_on_any_background(scale, offset, background):
    scan, labels = shells((44, 70, 61), (1.9, 1.1, 0.7))
    changed = np.where(labels > 0, scan.array * scale + offset, background).astype(np.float32)
    found, plain = _shown(scan.with_array(changed)), _shown(scan)
    assert found.picture.shape == plain.picture.shape
    np.testing.assert_allclose(found.picture, plain.picture, atol=5e-3)
    assert found.is_reversed == plain.is_reversed


@pytest.mark.parametrize(("share", "source"), [(0.9, "as shown"), (0.45, "brain-extraction")])
@pytest.mark.parametrize("background", [0, 4000])
def test_a_small_head_is_told_from_a_brain_by_how_much_of_it_is_brain(share, source, background, monkeypatch):
    scan, labels = shells((44, 70, 61), (1.9, 1.1, 0.7))
    values = np.where(labels > 0, scan.array, background).astype(np.float32)
    depth = ndimage.distance_transform_edt(labels > 0)
    inner = depth > np.quantile(depth[labels > 0], 1 - share)
    given = []

    def extracted(request, monitor):
        given.append(request.volume.array)
        return Outcome("cpu", "float32", array=inner.astype(np.uint8))

    monkeypatch.setattr(brain_extraction, "run", extracted)
    found = find_brain(_request(scan.with_array(values)), values, Monitor(1))
    assert found.source == source
    assert np.count_nonzero(found.mask) / np.count_nonzero(labels) == pytest.approx(
        1 if source == "as shown" else share, abs=0.03
    )
    assert bool(found.warnings) == (source != "as shown")
    # on a dark background, whatever the scan's own is
    assert given[0][labels == 0].max() <= values[labels > 0].min()


def test_what_extraction_finds_no_brain_in_is_shown_as_it_is(monkeypatch):
    def nothing(request, monitor):
        raise ModelError("No brain is found.")

    monkeypatch.setattr(brain_extraction, "run", nothing)
    scan, _ = shells((44, 70, 61), (1.9, 1.1, 0.7))
    assert find_brain(_request(scan), scan.array.astype(np.float32), Monitor(1)).source == "as shown"
    request = replace(_request(scan), options=SPEC.options(brain="whole-head"))
    with pytest.raises(ModelError, match="No brain"):
        find_brain(request, scan.array.astype(np.float32), Monitor(1))


@pytest.mark.parametrize("background", [-1000, 0, 5000])
def test_holes_that_stripping_left_are_dark_whatever_the_background(background):
    scan, labels = shells((44, 70, 61), (1.9, 1.1, 0.7))
    inside = labels > 0
    holes = inside & (np.random.default_rng(1).random(labels.shape) < 0.02) & (labels == 1)
    values = np.where(inside & ~holes, scan.array + 10, background).astype(np.float32)
    expected = np.where(holes, (scan.array + 10)[inside & ~holes].min(), scan.array + 10)
    request = _request(scan)
    found = prepare(request, values, inside).picture
    np.testing.assert_allclose(
        found, prepare(request, np.where(inside, expected, 0).astype(np.float32), inside).picture, atol=1e-5
    )
    assert found.max() <= 1.5
    assert np.unique(found[found > OUTSIDE]).size > 20  # not crushed by the holes

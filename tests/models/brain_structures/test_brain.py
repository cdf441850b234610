"""What the networks of brains are shown: the same picture whatever the order of the scan's axes and its gray values."""

from itertools import permutations, product

import numpy as np
import pytest

from napari_radcnn.inference.request import Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models.brain_extraction import own
from napari_radcnn.models.brain_extraction.spec import SPEC as EXTRACTION
from napari_radcnn.models.brain_structures.brain import find_brain, prepare
from napari_radcnn.models.brain_structures.network import OUTSIDE
from napari_radcnn.models.brain_structures.spec import SPEC
from napari_radcnn.progress import Monitor
from shells import shells

ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "SI")) for letters in product(*axes)]


def _request(scan, spec=SPEC):
    return Request(spec, scan, spec.options(), RunSettings(), 1)


def _shown(scan):
    request = _request(scan)
    brain = find_brain(request, scan.array.astype(np.float32), Monitor(1))
    return prepare(request, scan.array.astype(np.float32), brain.mask)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.9, 1.1, 0.7)])
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

"""Tissue from the network's two answers: by hand, and as laws."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_radcnn.models.brain_structures.network import CLASSES, TISSUES
from napari_radcnn.models.brain_tissue.tissues import (
    BACKGROUND,
    FLUID,
    GRAY,
    OUTPUTS,
    STRUCTURES_OF,
    WHITE,
    tissue_shares,
)


def _logits(tissues, structures):
    """Return the logits of one voxel whose probabilities are these; those of structures by their names."""
    shares = [structures.get(name, 0.0) for name in CLASSES]
    return np.log(np.maximum([*tissues, *shares], 1e-9)).astype(np.float32).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("tissues", "structures", "wanted"),
    [
        ((0, 0, 0, 1), {"thalamus": 1}, (0, 0, 0.5, 0.5)),  # white by its gray value, gray by what it is
        ((0, 0, 0.4, 0.6), {"hippocampus": 0.7, "cortex": 0.2, "white matter": 0.1}, (0, 0, 0.65, 0.35)),
        ((0.2, 0.6, 0.2, 0), {"other": 1}, (0.225, 0.675, 0.1, 0)),  # fluid to background as the tissues have it
        ((0, 0.1, 0.9, 0), {"third ventricle": 0.6, "other": 0.4}, (0, 0.55, 0.45, 0)),
        ((0, 0, 0.2, 0.8), {"brain stem": 0.5, "cerebellar white matter": 0.5}, (0, 0, 0.1, 0.9)),
    ],
)
def test_both_answers_count_the_same(tissues, structures, wanted):
    found = tissue_shares(_logits(tissues, structures))[:, 0, 0, 0]
    assert found[:TISSUES] == pytest.approx(wanted, abs=1e-4)
    deep = sum(structures.get(name, 0) for name in ("thalamus", "hippocampus", "brain stem"))
    assert found[TISSUES] == pytest.approx(deep, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0.1, 30))
def test_shares_are_probabilities(seed, spread):
    logits = np.random.default_rng(seed).normal(0, spread, (TISSUES + len(CLASSES), 2, 3, 4)).astype(np.float32)
    shares = tissue_shares(logits)
    assert shares.shape == (OUTPUTS, 2, 3, 4)
    assert ((shares >= 0) & (shares <= 1.0001)).all()
    np.testing.assert_allclose(shares[:TISSUES].sum(0), 1, atol=1e-4)


def test_each_structure_is_of_one_tissue():
    named = sorted(n for places in STRUCTURES_OF.values() for n in places)
    assert named == list(range(1, len(CLASSES)))
    by_name = {CLASSES[n]: tissue for tissue, places in STRUCTURES_OF.items() for n in places}
    assert by_name["fourth ventricle"] == FLUID
    assert by_name["cerebellar cortex"] == by_name["pallidum"] == GRAY
    assert by_name["brain stem"] == WHITE
    assert BACKGROUND not in STRUCTURES_OF

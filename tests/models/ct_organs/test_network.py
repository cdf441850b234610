"""The network: some voxels asked for are answered as all of them are."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from napari_radcnn.models.ct_organs.network import CHANNELS, CLASSES, build_network  # noqa: E402


def test_some_blocks_are_answered_as_in_the_whole():
    torch.manual_seed(3)
    network = build_network().eval()
    shown = torch.randn(2, len(CHANNELS), 16, 32, 48)
    chosen = torch.tensor([0, 5, 8 * 16 * 24 + 3 * 16 * 24 + 7 * 24 + 11])
    with torch.no_grad():
        whole, some = network(shown), network.at(shown, chosen)
    assert whole.shape == (2, len(CLASSES), 16, 32, 48)
    assert some.shape == (3, 8, len(CLASSES))
    # the third block lies in the second picture, at (3, 7, 11) of 6 mm; its last voxel at (7, 15, 23) of 3 mm
    np.testing.assert_allclose(some[2, 7], whole[1, :, 7, 15, 23], atol=1e-5)
    np.testing.assert_allclose(some[2, 1], whole[1, :, 6, 14, 23], atol=1e-5)
    np.testing.assert_allclose(some[1, 2], whole[0, :, 0, 1, 10], atol=1e-5)

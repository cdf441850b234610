"""From what the network says at 3 mm to the scan's own grid, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.models.ct_organs.channels import AIR, at_3mm, channels, middle_of
from napari_radcnn.models.ct_organs.network import CHANNELS, CLASSES, SPACING
from napari_radcnn.models.ct_organs.shares import Shares, spine_columns, without_crumbs

LIVER, SPLEEN, SPINE = (CLASSES.index(name) for name in ("liver", "spleen", "vertebrae"))


@pytest.mark.parametrize("spacing", [(2.5, 0.7, 0.9), (3.0, 3.0, 3.0), (5.0, 4.0, 1.1)])
def test_a_ramp_stays_where_it_is_in_millimeters(spacing):
    shape = tuple(int(60 / step) for step in spacing)
    middles = np.meshgrid(*((np.arange(n) + 0.5) * step for n, step in zip(shape, spacing, strict=True)), indexing="ij")
    small = at_3mm(2 * middles[0] - 3 * middles[1] + 5 * middles[2], spacing)
    k, j, i = np.meshgrid(*((np.arange(n) + 0.5) * SPACING for n in small.shape), indexing="ij")
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(small[inner], (2 * k - 3 * j + 5 * i)[inner], atol=0.02)


def test_what_is_no_number_counts_as_air():
    hu = np.full((9, 12, 15), 40.0)
    hu[:3] = np.nan
    hu[3:6] = np.inf
    small = at_3mm(hu, (3.0, 3.0, 3.0))
    assert (small[:3] == AIR).all()
    assert (small[3:6] == 3000).all()
    assert (small[6:] == 40).all()


def test_the_middle_is_that_of_the_body_and_not_of_the_table():
    rows, columns = np.mgrid[:80, :110]
    hu = np.full((6, 80, 110), AIR, np.float32)
    hu[:, ((rows - 30) / 20) ** 2 + ((columns - 62) / 35) ** 2 <= 1] = 40
    hu[:, 60:63, 5:80] = 200  # thinner than what is eroded
    assert middle_of(hu) == (30, 62)
    assert middle_of(np.full((4, 10, 21), AIR, np.float32)) == (4.5, 10)


def test_channels_say_where_left_and_back_are():
    hu = np.full((2, 3, 4), 200.0, np.float32)
    columns = np.broadcast_to(np.array([-50.0, -1, 1, 50]), hu.shape)
    found = dict(zip(CHANNELS, channels(hu, np.ones_like(hu), np.zeros_like(hu), columns), strict=True))
    assert found["wide"].max() == pytest.approx(0.2)
    assert found["soft"].max() == 1
    np.testing.assert_allclose(found["left"][0, 0], [-1, -0.02, 0.02, 1])
    assert not found["back"].any()


def _two_halves(axis: int) -> Shares:
    """Return a scan of 60 mm whose liver ends and whose spleen begins at 27 mm along an axis."""
    values = np.zeros((len(CLASSES), 20, 20, 20), np.float16)
    line = (np.arange(20) + 0.5) * SPACING
    share = np.clip(0.5 + (27 - line) / 6, 0, 1).reshape([-1 if n == axis else 1 for n in range(3)])
    values[LIVER], values[SPLEEN] = share, 1 - share
    return Shares(values, (2.5, 0.8, 1.0), (24, 75, 60))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_border_lies_where_the_shares_are_equal(axis):
    shares = _two_halves(axis)
    found = np.concatenate([shares.on_scan(slice(0, 7)), shares.on_scan(slice(7, 24))])
    assert found.shape == shares.shape
    centers = (np.arange(shares.shape[axis]) + 0.5) * shares.spacing[axis]
    line = np.moveaxis(found, axis, 0).reshape(centers.size, -1)
    assert (line == line[:, :1]).all()
    clear = np.abs(centers - 27) > 0.05
    np.testing.assert_array_equal(line[clear, 0], np.where(centers < 27, LIVER, SPLEEN)[clear])


def test_the_spine_is_followed_where_it_is_bent_and_the_body_counts_where_there_is_none():
    classes = np.zeros((60, 40, 80), np.uint8)
    for k in range(60):
        column = 30 + k // 4
        classes[k, 20:26, column - 3 : column + 4] = SPINE
    columns = spine_columns(classes, 99.0)
    inner = slice(20, 40)
    np.testing.assert_allclose(columns[inner], (30 + np.arange(60) / 4)[inner], atol=0.6)
    assert (spine_columns(np.zeros((5, 4, 4), np.uint8), 2.5) == 2.5).all()


def test_crumbs_go_and_what_comes_in_many_parts_stays():
    rib = CLASSES.index("ribs")
    shares = np.zeros((len(CLASSES), 20, 20, 20), np.float16)
    shares[0] = 0.4
    shares[LIVER, 2:12, 2:12, 2:12] = 0.6
    shares[LIVER, 15:17, 15:17, 15:17] = 0.6
    shares[rib, 2:12, 15, 2:12] = 0.6
    shares[rib, 18, 18, 2:4] = 0.6
    classes = without_crumbs(shares.copy()).argmax(0)
    assert (classes == LIVER).sum() == 1000
    assert (classes == rib).sum() == 102

"""Pieces of a line."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.inference.patches.windows import Windows


@pytest.mark.parametrize("length", [5, 100, 320, 321, 388, 512, 1000, 3001])
def test_what_pieces_keep_is_the_line(length):
    windows = Windows.over(length, 320, 24, 8)
    assert windows.side % 8 == 0
    assert windows.side <= 320
    line, put = np.arange(length), np.full(length, -1)
    for piece in windows.pieces:
        assert len(piece.taken) == windows.side
        put[piece.kept] = line[piece.taken][piece.inside]
    np.testing.assert_array_equal(put, line)


def test_what_is_kept_is_a_halo_away_from_the_ends_of_a_piece():
    windows = Windows.over(1000, 320, 24, 8)
    assert len(windows.pieces) > 2
    for number, piece in enumerate(windows.pieces):
        assert piece.inside.start >= (24 if number else 0)
        assert windows.side - piece.inside.stop >= (24 if number < len(windows.pieces) - 1 else 0)


def test_a_short_line_is_mirrored():
    (piece,) = Windows(3, 8, 24).pieces
    np.testing.assert_array_equal(piece.taken, [0, 1, 2, 2, 1, 0, 0, 1])
    assert (piece.kept, piece.inside) == (slice(0, 3), slice(0, 3))

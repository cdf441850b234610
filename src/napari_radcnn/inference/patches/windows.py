"""A line cut into overlapping pieces of one length, each with the part of it that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece.

    Attributes
    ----------
    taken : (side,) array of int
        What is shown: indices along the line, mirrored where it is shorter than a piece.
    kept : slice
        What is kept of the answer, along the line.
    inside : slice
        The same, along the piece.
    """

    taken: npt.NDArray[np.intp]
    kept: slice
    inside: slice


@dataclass(frozen=True)
class Windows:
    """Pieces of one length over a line.

    Attributes
    ----------
    length : int
        Of the line.
    side : int
        Of every piece; more than twice the halo if the line is longer.
    halo : int
        How far from the end of a piece its answer counts, but at the ends of the line.
    """

    length: int
    side: int
    halo: int

    @classmethod
    def over(cls, length: int, longest: int, halo: int, multiple: int) -> Windows:
        """Return the fewest pieces not much longer than `longest`, as short as they can be; `multiple` divides them."""
        count = max(1, -(-(length - 2 * halo) // (longest - 2 * halo)))
        side = length if count == 1 else -(-(length - 2 * halo) // count) + 2 * halo
        return cls(length, -(-side // multiple) * multiple, halo)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces, in order; what they keep is the line, without overlap."""
        if self.length <= self.side:
            taken = np.pad(np.arange(self.length), (0, self.side - self.length), mode="symmetric")
            whole = slice(0, self.length)
            return (Piece(taken, whole, whole),)
        room = self.length - self.side
        count = -(-room // (self.side - 2 * self.halo)) + 1
        starts = np.rint(np.linspace(0, room, count)).astype(int)
        cuts = [0, *((a + self.side + b) // 2 for a, b in pairwise(starts.tolist())), self.length]
        return tuple(
            Piece(np.arange(start, start + self.side), slice(a, b), slice(a - start, b - start))
            for start, (a, b) in zip(starts.tolist(), pairwise(cuts), strict=True)
        )

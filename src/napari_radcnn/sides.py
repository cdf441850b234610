"""Towards what sides of the patient a picture without a place runs: a radiograph, whose header says no more.

A projection has no position in the patient (DICOM PS3.3, C.7.6.1.1.1): its grid is the picture as stored, and the
sides are either stated or not known. Letters are those of `napari_radcnn.geometry`: I and S for DICOM's F and H.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
#: The letters of PatientOrientation for a human, and ours.
_LETTERS = {"A": "A", "P": "P", "R": "R", "L": "L", "H": "S", "F": "I"}
#: The axis of a letter, and its sign on that axis.
_AXES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class Sides:
    """Towards what side of the patient the axes of a picture run.

    Attributes
    ----------
    row : str
        Towards what a row runs, that is, what is on the right of the picture as stored: one to three of the letters
        R, L, A, P, S, I, the strongest first.
    column : str
        Towards what a column runs: what is at the bottom.

    Examples
    --------
    >>> Sides.from_dicom(["A", "FR"])
    Sides(row='A', column='IR')
    >>> Sides.from_dicom(["L", "R"]) is None
    True
    """

    row: str
    column: str

    @classmethod
    def from_dicom(cls, values: Sequence[str]) -> Sides | None:
        """Return what PatientOrientation states, in two values; None where it is missing or cannot be."""
        if len(values) != 2 or not all(values):
            return None
        if not all(letter in _LETTERS for value in values for letter in value):
            return None
        row, column = ("".join(_LETTERS[letter] for letter in value) for value in values)
        if not (_is_direction(row) and _is_direction(column) and _may_be_square(row, column)):
            return None
        return cls(row, column)

    @property
    def is_frontal(self) -> bool:
        """Whether the picture lies across the line of sight from the front or from behind."""
        return {_AXES[self.row[0]][0], _AXES[self.column[0]][0]} == {0, 2}

    @property
    def is_lateral(self) -> bool:
        """Whether the picture is seen from a side."""
        return {_AXES[self.row[0]][0], _AXES[self.column[0]][0]} == {1, 2}

    @property
    def is_hung(self) -> bool:
        """Whether a frontal picture is stored as it is hung: the patient's left on the right, the feet below."""
        return self.row[0] == "L" and self.column[0] == "I"


def opposite(letters: str) -> str:
    """Return the letters of the opposite direction: ``"AR"`` for ``"PL"``."""
    return "".join(_OPPOSITE[letter] for letter in letters)


def _is_direction(letters: str) -> bool:
    axes = [_AXES[letter][0] for letter in letters]
    return len(set(axes)) == len(axes)


def _may_be_square(row: str, column: str) -> bool:
    """Return whether two directions can be at right angles: what they share must not all add to, or take from, it."""
    signs = {_AXES[one][1] * _AXES[other][1] for one in row for other in column if _AXES[one][0] == _AXES[other][0]}
    return len(signs) != 1

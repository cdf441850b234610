"""What a user points at: points, boxes, scribbles and lassos, kept in the patient."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Geometry

PromptKind = Literal["point", "box", "scribble", "lasso"]
Position = tuple[float, float, float]

#: mm around a scan in which things are drawn: a mouse far outside a picture that is shown small does not reach farther.
FARTHEST_MM = 10_000.0
#: Fewest and most points of a kind.
_COUNTS: Mapping[str, tuple[int, float]] = {
    "point": (1, 1),
    "box": (3, 4),
    "scribble": (1, math.inf),
    "lasso": (3, math.inf),
}


@dataclass(frozen=True)
class Prompt:
    """One thing that the user said of one object.

    Parameters
    ----------
    kind : str
        ``"point"``, ``"box"``, ``"scribble"`` or ``"lasso"``.
    points : tuple of (x, y, z)
        LPS mm. A point: one. A box: a corner and the corners beside it, three for a flat one drawn in any plane, four
        for one with depth. A scribble: the line that was drawn. A lasso: the corners of a closed, flat outline.
    positive : bool
        Whether it marks the object; False marks what does not belong to it.
    radius : float
        Half the width of a scribble, mm; 0 is one voxel wide.
    frame_of_reference_uid : str
        DICOM's name of the patient space that the points lie in; empty where unknown.

    Raises
    ------
    OptionError
        If the kind is unknown, the number of points does not fit it, or a number is not finite.
    """

    kind: PromptKind
    points: tuple[Position, ...]
    positive: bool = True
    radius: float = 0.0
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(PromptKind):
            raise OptionError(f"'{self.kind}' is not a kind of prompt; choose from {', '.join(get_args(PromptKind))}.")
        points = tuple(_position(point) for point in self.points)
        low, high = _COUNTS[self.kind]
        if not low <= len(points) <= high:
            raise OptionError(f"A {self.kind} cannot have {len(points)} points; see the documentation.")
        if not 0 <= self.radius <= FARTHEST_MM:
            raise OptionError(f"The radius of a scribble must be 0 to {FARTHEST_MM:g} mm, got {self.radius:g}.")
        object.__setattr__(self, "points", points)

    @classmethod
    def point(cls, position: Iterable[float], *, positive: bool = True, frame_of_reference_uid: str = "") -> Prompt:
        """Return a click at a position ``(x, y, z)``, LPS mm."""
        return cls("point", (_position(position),), positive, 0.0, frame_of_reference_uid)

    @classmethod
    def box(
        cls, corner: Iterable[float], *beside: Iterable[float], positive: bool = True, frame_of_reference_uid: str = ""
    ) -> Prompt:
        """Return a box from a corner and the two (flat) or three corners beside it, LPS mm."""
        points = (_position(corner), *(_position(point) for point in beside))
        return cls("box", points, positive, 0.0, frame_of_reference_uid)

    @classmethod
    def scribble(
        cls,
        points: Iterable[Iterable[float]],
        *,
        positive: bool = True,
        radius: float = 0.0,
        frame_of_reference_uid: str = "",
    ) -> Prompt:
        """Return a drawn line, LPS mm."""
        return cls("scribble", tuple(_position(p) for p in points), positive, radius, frame_of_reference_uid)

    @classmethod
    def lasso(
        cls, points: Iterable[Iterable[float]], *, positive: bool = True, frame_of_reference_uid: str = ""
    ) -> Prompt:
        """Return a closed, flat outline, LPS mm."""
        return cls("lasso", tuple(_position(p) for p in points), positive, 0.0, frame_of_reference_uid)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Prompt:
        """Return the prompt that `to_dict` wrote.

        Raises
        ------
        OptionError
            If a key is missing or unknown, or a value is of the wrong kind.
        """
        known = {"kind", "points_mm", "positive", "radius_mm", "frame_of_reference_uid"}
        unknown = sorted(set(plain) - known)
        if unknown:
            raise OptionError(f"'{unknown[0]}' is not a key of a prompt; the keys are {', '.join(sorted(known))}.")
        points = plain.get("points_mm")
        positive = plain.get("positive", True)
        radius = plain.get("radius_mm", 0.0)
        frame = plain.get("frame_of_reference_uid", "")
        if not isinstance(points, list | tuple) or not isinstance(positive, bool):
            raise OptionError(
                "A prompt needs 'points_mm', a list of [x, y, z], and 'positive', which must be true or false."
            )
        for point in points:
            if not isinstance(point, list | tuple) or not all(map(_is_number, point)):
                raise OptionError(f"A position must be [x, y, z] in mm, got {point!r}.")
        if not _is_number(radius):
            raise OptionError(f"'radius_mm' must be a number, got {radius!r}.")
        if not isinstance(frame, str):
            raise OptionError(f"'frame_of_reference_uid' must be a string, got {frame!r}.")
        return cls(
            plain.get("kind", ""),
            tuple(_position(point) for point in points),
            positive,
            float(radius),
            frame,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the prompt as JSON types."""
        plain: dict[str, Any] = {
            "kind": self.kind,
            "points_mm": [list(point) for point in self.points],
            "positive": self.positive,
        }
        if self.radius:
            plain["radius_mm"] = self.radius
        if self.frame_of_reference_uid:
            plain["frame_of_reference_uid"] = self.frame_of_reference_uid
        return plain


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _position(point: object) -> Position:
    """Return three finite floats.

    Raises
    ------
    OptionError
        If they are not.
    """
    try:
        x, y, z = (float(value) for value in point)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise OptionError(f"A position must be [x, y, z] in mm, got {point!r}.") from error
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise OptionError(f"A position must be finite, got {[x, y, z]}.")
    return x, y, z


def check_reach(what: str, points: npt.ArrayLike, geometry: Geometry) -> None:
    """Raise if a point of a drawing is so far away from a scan that nobody can have drawn it there.

    Parameters
    ----------
    what : str
        What is drawn.
    points : (n, 3) array
        LPS mm.
    geometry : Geometry
        Of the scan.

    Raises
    ------
    OptionError
        If one lies more than `FARTHEST_MM` outside the box around the scan.
    """
    corners = geometry.corners
    low, high = corners.min(axis=0) - FARTHEST_MM, corners.max(axis=0) + FARTHEST_MM
    for point in np.asarray(points, float):
        if (point < low).any() or (point > high).any():
            x, y, z = point
            raise OptionError(
                f"The {what} reaches ({x:g}, {y:g}, {z:g}) mm, which is more than {FARTHEST_MM / 1000:g} m away from "
                "the scan: give positions in the patient, LPS mm."
            )

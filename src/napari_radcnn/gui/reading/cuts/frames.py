"""The three planes through the point that all views show, turned with the cross-hair. Knows neither napari nor Qt.

They stay at right angles to each other. What is turned in one view turns the planes of the two others about its normal;
its own stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_radcnn.reformatting import SlabKind

_Floats = npt.NDArray[np.float64]
#: Of each plane as it stands upright: the directions to the right and down on the screen, LPS.
UPRIGHT: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "Axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "Coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "Sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}
#: Below this, degrees, a plane is called upright.
_LEAST_DEGREES = 0.01
#: A side of the patient stands at an edge if the direction has this much of it: both sides, between them.
_LEAST_COSINE = 0.4
_SIDES = ("LR", "PA", "SI")
#: What slabs are called: as on the screens of radiologists.
KIND_NAMES: dict[SlabKind, str] = {"maximum": "MIP", "minimum": "MinIP", "mean": "Mean"}
#: Thicknesses that a key goes through, mm, and that of a slab of which only the kind was chosen.
THICKNESSES, USUAL_THICKNESS = (0.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0), 10.0


@dataclass(frozen=True, eq=False)
class Frame:
    """The directions of a plane on the screen.

    Attributes
    ----------
    right, down : (3,) array of float
        Unit vectors at right angles, LPS.
    """

    right: _Floats
    down: _Floats

    @classmethod
    def upright(cls, plane: str) -> Frame:
        """Return the frame of ``"Axial"``, ``"Coronal"`` or ``"Sagittal"``, not turned."""
        right, down = UPRIGHT[plane]
        return cls(np.array(right), np.array(down))

    @property
    def normal(self) -> _Floats:
        """(3,) unit vector across the plane, LPS, away from who looks at it."""
        return np.cross(self.right, self.down)

    def turned(self, axis: _Floats, degrees: float) -> Frame:
        """Return the frame turned about a unit vector, LPS; from right to down where that is its own normal."""
        right, down = (_rotated(part, axis, degrees) for part in (self.right, self.down))
        right = right / np.linalg.norm(right)
        down = down - (down @ right) * right  # rounding of many small turns
        return Frame(right, down / np.linalg.norm(down))

    def on_screen(self, offset: npt.ArrayLike) -> _Floats:
        """Return how far right and down, mm, offsets ``(..., 3)`` in the patient run on the screen, ``(..., 2)``."""
        parts = np.asarray(offset, float)
        return np.stack([parts @ self.right, parts @ self.down], axis=-1)

    def in_patient(self, right: float, down: float) -> _Floats:
        """Return the offset in the patient, LPS mm, of mm to the right and down on the screen."""
        return right * self.right + down * self.down

    def letters(self) -> dict[str, str]:
        """Return the letters of the patient's sides at the four edges, two of them where it lies between."""
        return {
            "top": side_of(-self.down),
            "bottom": side_of(self.down),
            "left": side_of(-self.right),
            "right": side_of(self.right),
        }


def side_of(direction: _Floats) -> str:
    """Return the side of the patient that an LPS direction points to, the strongest first: ``"L"``, ``"LA"``."""
    found = ""
    for axis in np.argsort(-np.abs(direction), kind="stable"):
        if abs(direction[axis]) > _LEAST_COSINE:
            found += _SIDES[axis][int(direction[axis] < 0)]
    return found[:2]


def _rotated(vector: _Floats, axis: _Floats, degrees: float) -> _Floats:
    """Return a vector turned about a unit vector by the right-hand rule (Rodrigues)."""
    angle = np.radians(degrees)
    across = np.cross(axis, vector)
    return np.asarray(
        vector * np.cos(angle) + across * np.sin(angle) + axis * (axis @ vector) * (1 - np.cos(angle)), float
    )


@dataclass
class Cuts:
    """Where the three planes lie, and how thick they are.

    Attributes
    ----------
    center : (3,) array of float
        The point that all views show, LPS mm.
    frames : dict of str to Frame
        Of each plane.
    thickness : float
        Of the slab around each plane, mm; 0 for the plane alone.
    kind : str
        What a slab shows.
    """

    center: _Floats = field(default_factory=lambda: np.zeros(3))
    frames: dict[str, Frame] = field(default_factory=lambda: {name: Frame.upright(name) for name in UPRIGHT})
    thickness: float = 0.0
    kind: SlabKind = "maximum"

    @property
    def normals(self) -> dict[str, _Floats]:
        """Of each plane, the unit vector across it, LPS."""
        return {name: frame.normal for name, frame in self.frames.items()}

    @property
    def is_turned(self) -> bool:
        """Whether any plane is turned."""
        return any(self.degrees(name) > 0 for name in self.frames)

    def degrees(self, plane: str) -> float:
        """Return the angle between a plane and the upright one, degrees; 0 for one that is turned within itself."""
        frame, upright = self.frames[plane], Frame.upright(plane)
        if np.array_equal(frame.right, upright.right) and np.array_equal(frame.down, upright.down):
            return 0.0  # as nearly always, and asked for often
        one, other = frame.normal, upright.normal
        found = float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other)))
        return found if found > _LEAST_DEGREES else 0.0

    def is_cut(self, plane: str) -> bool:
        """Whether a plane is seen as it cannot be sliced: turned, also within itself, or a slab."""
        frame, upright = self.frames[plane], Frame.upright(plane)
        least = np.cos(np.radians(_LEAST_DEGREES))
        return self.thickness > 0 or frame.right @ upright.right < least or frame.down @ upright.down < least

    def turn(self, plane: str, degrees: float, start: dict[str, Frame] | None = None) -> None:
        """Turn the cross-hair in the view of a plane, clockwise on the screen, from `start` or the present frames."""
        frames = dict(self.frames if start is None else start)
        axis = frames[plane].normal
        self.frames = {name: frame if name == plane else frame.turned(axis, degrees) for name, frame in frames.items()}

    def straighten(self) -> None:
        """Have all planes upright; slabs stay."""
        self.frames = {name: Frame.upright(name) for name in UPRIGHT}

    def arms(self, plane: str) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the directions, right and down, of the lines of the cross-hair: where a plane meets the two others."""
        frame = self.frames[plane]
        found = []
        for name, other in self.frames.items():
            if name != plane:
                right, down = frame.on_screen(np.cross(frame.normal, other.normal)).tolist()
                sign = -1.0 if right < 0 or (right == 0 and down < 0) else 1.0
                found.append((sign * right, sign * down))
        first, second = sorted(found, key=lambda arm: -abs(arm[0]))  # the flatter one first
        return first, second

    def words(self, plane: str) -> str:
        """Return plane, angle and slab in words: ``"Coronal, turned 23° · MIP 10 mm"``."""
        degrees = self.degrees(plane)
        found = f"{plane}, turned {degrees:.0f}°" if degrees >= 0.5 else f"{plane}, turned" if degrees else plane
        return found if not self.thickness else f"{found} · {self.slab_words}"

    @property
    def slab_words(self) -> str:
        """What a slab is called: ``"MIP 10 mm"``."""
        return f"{KIND_NAMES[self.kind]} {self.thickness:g} mm"

    def next_thickness(self, way: int) -> float:
        """Return the next of `THICKNESSES` up or down; at the ends the same."""
        if way > 0:
            return next((one for one in THICKNESSES if one > self.thickness), self.thickness)
        return next((one for one in reversed(THICKNESSES) if one < self.thickness), self.thickness)

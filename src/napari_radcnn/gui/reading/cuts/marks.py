"""Points and shapes on a plane in any direction: those that lie in it, or in its slab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import to_patient
from napari_radcnn.gui.reading.cuts.places import affine_of, first_of

Color = tuple[int, int, int]
#: Pieces of the outline of an ellipse.
_N_PIECES = 64


@dataclass(frozen=True, eq=False)
class Mark:
    """What is drawn over a plane.

    Attributes
    ----------
    points : (n, 3) array of float
        LPS mm: a line through them; one point is drawn as a ring.
    color : (red, green, blue)
        0 to 255.
    text : str
        Beside it.
    """

    points: npt.NDArray[np.float64]
    color: Color
    text: str = ""


def marks_near(
    layers: Sequence[Any], point: Sequence[float], normal: npt.NDArray[np.float64], reach: float
) -> list[Mark]:
    """Return the points and shapes of visible layers that lie wholly within `reach` mm of a plane.

    Parameters
    ----------
    layers : sequence of napari layers
        Others than points and shapes are left out.
    point : sequence of float
        napari's world point that the plane runs through; of layers with further axes only what is shown at it counts.
    normal : (3,) array of float
        Unit vector across the plane, LPS.
    reach : float
        To either side, mm.
    """
    from napari.layers import Points, Shapes

    center, found = to_patient(point), list[Mark]()
    for layer in layers:
        if not layer.visible or layer.ndim < 3 or not isinstance(layer, Points | Shapes) or not len(layer.data):
            continue
        first = first_of(layer, point)
        affine = affine_of(layer, first)

        def is_near(places: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
            return np.abs((places - center) @ normal) <= reach

        if isinstance(layer, Points):
            places = _in_patient(layer.data, affine)
            shown = np.asarray(layer.shown, bool) & is_near(places) & _is_at(layer.data, first)
            found += [Mark(places[n][None], _color(layer.face_color[n])) for n in np.flatnonzero(shown)]
        else:
            names = layer.features["label"] if "label" in layer.features else [""] * len(layer.data)
            for corners, kind, color, name in zip(layer.data, layer.shape_type, layer.edge_color, names, strict=True):
                places = _in_patient(corners, affine)
                if is_near(places).all() and _is_at(corners, first).all():
                    found.append(Mark(_outline(places, kind), _color(color), str(name)))
    return found


def _outline(corners: npt.NDArray[np.float64], kind: str) -> npt.NDArray[np.float64]:
    if kind == "ellipse":
        return _ellipse(corners)
    return np.concatenate([corners, corners[:1]]) if kind in ("rectangle", "polygon") else corners


def _is_at(places: Any, first: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which places of a layer are shown at the present ones of its further axes."""
    return np.asarray((np.rint(np.asarray(places, float)[:, : len(first)]) == np.asarray(first)).all(-1))


def _ellipse(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the outline of the ellipse within the four corners of a rectangle."""
    middle = corners.mean(0)
    first, second = (corners[1] - corners[0]) / 2, (corners[2] - corners[1]) / 2
    angle = np.linspace(0, 2 * np.pi, _N_PIECES + 1)[:, None]
    return np.asarray(middle + np.cos(angle) * first + np.sin(angle) * second)


def _in_patient(places: Any, affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.asarray(places, float)[:, -3:] @ affine[:3, :3].T + affine[:3, 3])


def _color(color: Any) -> Color:
    red, green, blue = (round(255 * float(part)) for part in color[:3])
    return red, green, blue

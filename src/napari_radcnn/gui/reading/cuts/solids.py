"""How the view in 3-D shows a scan and its segments: presets, clipping by the planes, surfaces. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.gui.layers.look import Look

Rendering = Literal["mip", "iso", "attenuated_mip"]
_Floats = npt.NDArray[np.float64]
#: Smooths the stairs of labels, and the noise that a surface in a scan is lit by: standard deviation, in voxels.
_SMOOTH_LABELS, _SMOOTH_SCAN = 0.7, 0.6
#: Of segments, voxels along an axis, at most.
MOST_OF_SURFACES = 160
#: Around a segment, voxels, so that it is closed and its smoothing has room.
_MARGIN = 3
#: Where the light on surfaces comes from, (S, P, L), and how much darker what is turned away from it is.
_LIGHT, _SHADE = (0.5, -0.8, 0.3), 0.75
#: Planes that clip, with the part of the patient that is taken away, and the direction into what stays, LPS.
CLIPS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "Axial": ("above the axial plane", (0.0, 0.0, -1.0)),
    "Coronal": ("in front of the coronal plane", (0.0, 1.0, 0.0)),
    "Sagittal": ("to the left of the sagittal plane", (-1.0, 0.0, 0.0)),
}
_BONE = (("#2a1a10", "#b08a62", "#efe3cf", "#ffffff"), (0.0, 0.3, 0.7, 1.0))
_SKIN = (("#1a0805", "#a8614a", "#e5b49a", "#fff0e6"), (0.0, 0.35, 0.75, 1.0))


@dataclass(frozen=True)
class SolidPreset:
    """A way to show a scan in 3-D.

    Attributes
    ----------
    name : str
        In the menu.
    rendering : str
        napari's name.
    surface : float or None
        Value of the surface that is lit; of an MR, whose values mean nothing alone, None, and found in the scan.
    limits : (float, float) or None
        Values that are drawn black and white; None for the range in which the scan is shown anyway.
    colors : (colors, places) or None
        From dark to bright; None for those of the scan.
    """

    name: str
    rendering: Rendering
    surface: float | None = None
    limits: tuple[float, float] | None = None
    colors: tuple[tuple[str, ...], tuple[float, ...]] | None = None

    def settings(self, values: npt.NDArray[Any], limits: tuple[float, float]) -> dict[str, Any]:
        """Return napari's settings of an image layer.

        Parameters
        ----------
        values : (k, j, i) array
            Of the scan, as many as are drawn.
        limits : (low, high)
            In which it is shown anyway.
        """
        from napari.utils.colormaps import Colormap

        low, high = limits if self.limits is None else self.limits
        found: dict[str, Any] = {"rendering": self.rendering}
        if self.rendering == "iso":
            found["iso_threshold"] = surface_value(values) if self.surface is None else self.surface
            if self.limits is None:
                low, high = min(low, found["iso_threshold"]), max(high, found["iso_threshold"])
        found["contrast_limits"] = (low, high)
        if self.colors is not None:
            names, places = self.colors
            found["colormap"] = Colormap([_rgba(name) for name in names], controls=list(places), name=self.name)
        return found


MIP = SolidPreset("MIP", "mip")
_CT = (
    MIP,
    SolidPreset("CT bone", "iso", 180.0, (-200.0, 1200.0), _BONE),
    SolidPreset("CT soft tissue", "iso", -250.0, (-900.0, 350.0), _SKIN),
)
_MR = (MIP, SolidPreset("MR head", "iso", None, None, _SKIN))


def presets_for(look: Look) -> tuple[SolidPreset, ...]:
    """Return the ways to show a scan of a kind, the first one as it is shown at first."""
    return _CT if look.kind == "CT" else _MR if look.kind == "MR" else (MIP,)


@dataclass(frozen=True)
class SolidLook:
    """What is chosen for the view in 3-D.

    Attributes
    ----------
    preset : str
        Name of one of `presets_for`; another kind of scan is shown by its first.
    clips : frozenset of str
        Planes of the cross-hair that clip, of `CLIPS`.
    is_other_side : bool
        Whether what they leave is taken away instead.
    are_surfaces : bool
        Whether segments are shown as surfaces.
    """

    preset: str = MIP.name
    clips: frozenset[str] = frozenset()
    is_other_side: bool = False
    are_surfaces: bool = False


def surface_value(values: npt.NDArray[Any]) -> float:
    """Return a value between air and tissue: Otsu's threshold, and half of it where the skin is darker than most."""
    from skimage.filters import threshold_otsu

    finite = np.asarray(values, np.float32)[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        return float(finite[0]) if finite.size else 0.0
    low = float(np.percentile(finite, 1))
    return low + (float(threshold_otsu(np.clip(finite, low, np.percentile(finite, 99.5)))) - low) / 2


def smoothed(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return values without the noise that would speckle a surface."""
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(np.nan_to_num(np.asarray(values, np.float32)), _SMOOTH_SCAN))


def clipping_planes(
    clips: frozenset[str], center: _Floats, normals: Mapping[str, _Floats], *, is_other_side: bool
) -> list[dict[str, Any]]:
    """Return napari's clipping planes of any layer in 3-D.

    Parameters
    ----------
    clips : frozenset of str
        Planes that clip.
    center : (3,) array of float
        The point of all views, LPS mm.
    normals : mapping of str to (3,) array of float
        Of each plane, turned or not, LPS, of either sign.
    is_other_side : bool
        Whether the part before, above or left of it stays.

    Returns
    -------
    list of dict
        ``position`` and ``normal`` in napari's world; what the normal points to stays.

    Notes
    -----
    napari 0.9 and 0.10 document them in a layer's own coordinates, but hand them on to vispy 0.17, which takes them for
    those of its scene, the world.
    """
    found = []
    for name in sorted(clips):
        normal = np.asarray(normals[name], float)
        is_inward = (normal @ np.array(CLIPS[name][1]) >= 0) != is_other_side
        toward = to_display(normal if is_inward else -normal)
        position = to_display(center)
        found.append({"position": tuple(position.tolist()), "normal": tuple(toward.tolist()), "enabled": True})
    return found


def surfaces(
    labels: npt.NDArray[Any], spacing: Sequence[float], color_of: Callable[[npt.NDArray[Any]], npt.ArrayLike]
) -> tuple[_Floats, npt.NDArray[np.intp], _Floats] | None:
    """Return the surfaces of all labels in one mesh, lit from the front, above; None where there are none.

    Parameters
    ----------
    labels : (s, p, l) array of integer
        Along the patient's axes; 0 is background.
    spacing : sequence of float
        mm along them.
    color_of : callable
        Returns the colors, (n, 4), of an array of labels; what is transparent is left out.

    Returns
    -------
    vertices : (n, 3) array of float
        In indices of `labels`.
    faces : (m, 3) array of int
    colors : (n, 4) array of float
        Of the vertices. They hold the light: napari lights surfaces from behind where the camera shows (S, P, L)
        unmirrored.
    """
    from scipy import ndimage
    from skimage.measure import marching_cubes

    steps = np.asarray(spacing, float)
    vertices, faces, colors, n_before = [], [], [], 0
    values = np.unique(labels)
    for value in values[values != 0]:
        color = np.asarray(color_of(np.array([value])), float)[0]
        if color[3] == 0:
            continue
        inside = labels == value
        (box,) = ndimage.find_objects(inside.astype(np.uint8))
        padded = np.pad(inside[box].astype(np.float32), _MARGIN)
        soft = ndimage.gaussian_filter(padded, _SMOOTH_LABELS)
        if soft.max() <= 0.5:  # thinner than the smoothing
            soft = padded
        points, triangles, normals, _ = marching_cubes(soft, 0.5, spacing=tuple(steps.tolist()))
        vertices.append(points / steps - _MARGIN + [extent.start for extent in box])
        faces.append(triangles.astype(np.intp) + n_before)
        colors.append(_lit(color, normals))
        n_before += len(points)
    if not vertices:
        return None
    return np.concatenate(vertices), np.concatenate(faces), np.concatenate(colors)


def _lit(color: _Floats, normals: _Floats) -> _Floats:
    """Return the color of each vertex, darker where it is turned away from the light."""
    light = np.asarray(_LIGHT) / np.linalg.norm(_LIGHT)
    found = np.repeat(color[None], len(normals), axis=0)
    found[:, :3] *= (1 - _SHADE * (1 - normals @ light) / 2)[:, None]
    return found


def _rgba(name: str) -> Sequence[float]:
    return [int(name[n : n + 2], 16) / 255 for n in (1, 3, 5)] + [1.0]

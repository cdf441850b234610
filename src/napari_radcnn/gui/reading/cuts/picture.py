"""The layers of a viewer on a plane in any direction, as an image of red, green, blue.

Scans are sampled from their own voxels, also those that lie obliquely and are resampled for napari's views.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import is_volume, volume_from_layer
from napari_radcnn.gui.reading.cuts.places import affine_of, first_of
from napari_radcnn.progress import CancelEvent, checked_cancel
from napari_radcnn.reformatting import Plane, SlabKind, sample, sample_labels

Voxels = tuple[npt.NDArray[Any], Geometry]
_Image = npt.NDArray[np.float32]
#: Shades of a colormap.
_N_SHADES = 1024
#: Of a scan that stays in its store, voxels along an axis, at most.
_MOST = 256
#: Names of the events of layers after which they look otherwise.
LOOK = (
    "contrast_limits",
    "colormap",
    "gamma",
    "opacity",
    "visible",
    "blending",
    "contour",
    "selected_label",
    "show_selected_label",
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
    "data",
    "paint",
    "labels_update",
)


class Sources:
    """The voxels of layers and where they lie, kept while a layer has the same array in the same place."""

    def __init__(self) -> None:
        self._kept: weakref.WeakKeyDictionary[Any, _Kept] = weakref.WeakKeyDictionary()

    def of(self, layer: Any, point: Sequence[float]) -> Voxels | None:
        """Return the voxels that a layer shows, (k, j, i), and their grid; None where it has no volume.

        Parameters
        ----------
        layer : napari layer
            An image or labels.
        point : sequence of float
            napari's world point, which says what is shown of further axes.
        """
        if layer.ndim < 3:
            return None
        first = first_of(layer, point)
        affine, kept = affine_of(layer, first), self._kept.get(layer)
        if (
            kept is None
            or kept.data is not layer.data
            or kept.first != first
            or not np.array_equal(kept.affine, affine)
        ):
            kept = _Kept(layer.data, first, affine, _voxels(layer, first, affine))
            self._kept[layer] = kept
        return kept.voxels


@dataclass(frozen=True, eq=False)
class _Kept:
    data: Any
    first: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    voxels: Voxels | None


@dataclass(frozen=True, eq=False)
class Sheet:
    """A layer as it looked at one moment: what is needed to paint it beside the viewer.

    Attributes
    ----------
    voxels : Voxels
        What is sampled.
    is_labels, is_color : bool
        What they are.
    limits : (low, high)
        Of gray values, shown as the first and the last shade.
    shades : (n, 4) array of float32
        Colors of gray values from `limits`' first to its last.
    colormap : napari colormap
        Of labels.
    only : int or None
        The only label that is shown.
    contour : int
        Width of the border that is shown of labels, pixels; 0 for all of them.
    opacity : float
        From 0 to 1.
    blending : str
        napari's name.
    """

    voxels: Voxels
    is_labels: bool
    is_color: bool
    limits: tuple[float, float]
    shades: _Image
    colormap: Any
    only: int | None
    contour: int
    opacity: float
    blending: str


def sheets_of(layers: Sequence[Any], point: Sequence[float], sources: Sources) -> list[Sheet]:
    """Return the visible images and labels as they are now; called in the viewer's thread.

    Parameters
    ----------
    layers : sequence of napari layers
        The lowest first; others than images and labels are left out.
    point : sequence of float
        napari's world point that is shown.
    sources : Sources
        Of the layers' voxels.
    """
    from napari.layers import Image, Labels

    sheets = []
    for layer in layers:
        if not layer.visible or not isinstance(layer, Image | Labels):
            continue
        voxels = sources.of(layer, point)
        if voxels is None:
            continue
        is_labels = isinstance(layer, Labels)
        shades = np.linspace(0, 1, 0 if is_labels or layer.rgb else _N_SHADES)
        sheets.append(
            Sheet(
                voxels,
                is_labels,
                not is_labels and bool(layer.rgb),
                (0.0, 1.0) if is_labels else (float(layer.contrast_limits[0]), float(layer.contrast_limits[1])),
                np.asarray(layer.colormap.map(shades ** float(layer.gamma)), np.float32)
                if shades.size
                else np.zeros((0, 4), np.float32),
                layer.colormap if is_labels else None,
                int(layer.selected_label) if is_labels and layer.show_selected_label else None,
                int(layer.contour) if is_labels else 0,
                float(layer.opacity),
                str(layer.blending),
            )
        )
    return sheets


def paint(
    sheets: Sequence[Sheet],
    plane: Plane,
    thickness: float,
    kind: SlabKind,
    *,
    is_coarse: bool = False,
    cancel: CancelEvent | None = None,
) -> npt.NDArray[np.uint8]:
    """Return images and labels on a plane or slab, over black; in any thread.

    Parameters
    ----------
    sheets : sequence of Sheet
        The lowest first.
    plane : Plane
        What is seen; of a slab the middle. Labels are those of this plane.
    thickness, kind, is_coarse, cancel
        Of the slab; see `reformatting.sample`.

    Returns
    -------
    (rows, columns, 4) array of uint8
        Red, green, blue, and 255.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    picture = np.zeros((*plane.shape, 3), np.float32)
    for sheet in sheets:
        if sheet.is_labels:
            found = _label_colors(sheet, sample_labels(*sheet.voxels, plane))
        else:
            values = sample(*sheet.voxels, plane, thickness=thickness, kind=kind, is_coarse=is_coarse, cancel=cancel)
            found = _image_colors(sheet, values)
        _blend(picture, *found, sheet.blending)
        checked_cancel(cancel)
    whole = np.full((*plane.shape, 4), 255, np.uint8)
    whole[..., :3] = np.rint(picture * 255)
    return whole


def value_at(
    layer: Any, sources: Sources, point: Sequence[float], plane: Plane, thickness: float, kind: SlabKind
) -> float | None:
    """Return the value of an image layer in a plane of one pixel; None outside of it, and of colors."""
    voxels = None if getattr(layer, "rgb", False) else sources.of(layer, point)
    if voxels is None:
        return None
    found = float(sample(*voxels, plane, thickness=thickness, kind=kind)[0, 0])
    return None if np.isnan(found) else found


def _image_colors(sheet: Sheet, values: npt.NDArray[np.float32]) -> tuple[_Image, _Image]:
    """Return the colors of an image, 0 to 1, and how much it covers."""
    if sheet.is_color:
        seen = ~np.isnan(values).any(-1)
        return np.asarray(np.nan_to_num(values) / 255, np.float32), np.asarray(seen * sheet.opacity, np.float32)
    low, high = sheet.limits
    seen = ~np.isnan(values)
    shade = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-12), 0, 1)
    colors = sheet.shades[np.rint(shade * (_N_SHADES - 1)).astype(np.intp)]
    return colors[..., :3], (colors[..., 3] * seen * sheet.opacity).astype(np.float32)


def _label_colors(sheet: Sheet, labels: npt.NDArray[Any]) -> tuple[_Image, _Image]:
    present, where = np.unique(labels, return_inverse=True)
    table = np.asarray(sheet.colormap.map(present), np.float32)
    table[present == 0, 3] = 0
    if sheet.only is not None:
        table[present != sheet.only, 3] = 0
    colors = table[where.reshape(labels.shape)]
    cover = (colors[..., 3] * sheet.opacity).astype(np.float32)
    if sheet.contour > 0:
        cover[~_is_border(labels, sheet.contour)] = 0
    return colors[..., :3], cover


def _is_border(labels: npt.NDArray[Any], width: int) -> npt.NDArray[np.bool_]:
    """Return which pixels lie within `width` of one with another label."""
    from scipy import ndimage

    size = 2 * width + 1
    return np.asarray(ndimage.maximum_filter(labels, size) != ndimage.minimum_filter(labels, size))


def _blend(picture: _Image, colors: _Image, cover: _Image, blending: str) -> None:
    """Lay a layer over a picture, as napari does."""
    part = cover[..., None]
    if blending == "additive":
        np.minimum(picture + colors * part, 1, out=picture)
    elif blending == "minimum":
        np.copyto(picture, np.minimum(picture, colors), where=part > 0)
    elif blending == "multiplicative":
        picture *= 1 - part + colors * part
    elif blending == "opaque":
        np.copyto(picture, colors, where=part > 0)
    else:
        picture += (colors - picture) * part


def _voxels(layer: Any, first: tuple[int, ...], affine: npt.NDArray[np.float64]) -> Voxels | None:
    """Return the voxels of a layer, (k, j, i), and their grid."""
    from napari.layers import Image

    if isinstance(layer, Image) and is_volume(layer):
        try:
            volume = volume_from_layer(layer, first[0] if first else None)
        except RadcnnError:  # several resolutions of another program, or colors that are no bytes
            volume = None
        if volume is not None and volume.is_loaded:
            return volume.array, volume.geometry
    data, ratio = layer.data, np.ones(3)
    if layer.multiscale:
        n_before = layer.ndim - 3
        full = np.array(data[0].shape[n_before : n_before + 3], float)
        data = next((each for each in data if max(each.shape[n_before : n_before + 3]) <= _MOST), data[-1])
        ratio = full / np.array(data.shape[n_before : n_before + 3])
    array = np.asarray(data[first] if first else data[:])
    if array.ndim not in (3, 4) or array.dtype.kind not in "biuf":
        return None
    coarse = np.eye(4)
    coarse[:3, :3], coarse[:3, 3] = np.diag(ratio), (ratio - 1) / 2
    shape = (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))
    return array, Geometry(shape, affine @ coarse)

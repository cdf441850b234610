"""Labels and findings of one scan over the picture of another: outlines and rings, painted at their place there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtGui import QImage

from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.beside.spaces import Link
from napari_radcnn.gui.reading.corners import Picture, Ring

#: Smaller circles are not seen as such, pixels.
_LEAST_RADIUS = 2.0


def is_drawn(layer: Any) -> bool:
    """Whether a layer can be seen in another scan: labels in memory, and findings or landmarks."""
    from napari.layers import Labels, Points

    if isinstance(layer, Labels):
        return not layer.multiscale and layer.ndim == 3
    return isinstance(layer, Points) and layer.ndim == 3


def picture_of(layer: Any, view: Any, point: npt.ArrayLike, link: Link) -> Picture | None:
    """Return the outlines of labels in the upright plane that a view shows of another scan.

    Parameters
    ----------
    layer : napari.layers.Labels
        With three axes.
    view : ViewerModel
        In 2-D.
    point : (n,) array of float
        napari's world point that the view shows.
    link : Link
        From positions of the scan of the labels to those of the scan in the view.

    Returns
    -------
    Picture or None
        None where the plane lies beside the labels, or none is in it.
    """
    extra = view.dims.ndim - 3
    down, right = (axis - extra for axis in view.dims.displayed)
    if view.dims.ndisplay != 2 or min(down, right) < 0:
        return None
    deep = 3 - down - right
    away = to_display(link.offset)
    scale, start = np.array(layer.scale, float), np.array(layer.translate, float) + away
    index = round((float(np.asarray(point, float)[-3:][deep]) - start[deep]) / scale[deep])
    if not 0 <= index < layer.data.shape[deep]:
        return None
    cut = np.asarray(layer.data.take(index, axis=deep))
    cut = cut if down < right else cut.T
    colors = _colored(layer, outline(cut))
    if colors is None:
        return None
    corner = np.zeros(view.dims.ndim)
    corner[extra:] = start - scale / 2
    left, top = planes.offset_of(view, corner)
    corner[extra:] += np.array(layer.data.shape) * scale
    end, bottom = planes.offset_of(view, corner)
    image = _image_of(colors[:: 1 if bottom > top else -1, :: 1 if end > left else -1])
    return Picture(image, min(left, end), min(top, bottom), abs(end - left), abs(bottom - top))


def rings_of(layer: Any, view: Any, point: npt.ArrayLike, link: Link) -> list[Ring]:
    """Return the circles in which the plane of a view of another scan cuts the spheres of findings; see `picture_of`.

    Parameters
    ----------
    layer : napari.layers.Points
        Of three axes.
    view, point, link
        As of `picture_of`.
    """
    if view.dims.ndisplay != 2 or not len(layer.data) or view.dims.ndim < 3:
        return []
    extra = view.dims.ndim - 3
    deep = next(axis - extra for axis in view.dims.not_displayed if axis >= extra)
    scale = np.array(layer.scale, float)
    places = np.asarray(layer.data, float) * scale + np.array(layer.translate, float) + to_display(link.offset)
    radii = np.asarray(layer.size, float).reshape(len(places)) * scale[0] / 2
    apart = places[:, deep] - float(np.asarray(point, float)[-3:][deep])
    numbers = layer.features["number"] if "number" in layer.features else [""] * len(places)
    found = []
    for n in np.flatnonzero(np.asarray(layer.shown, bool) & (np.abs(apart) < radii)):
        at = np.zeros(view.dims.ndim)
        at[extra:] = places[n]
        x, y = planes.offset_of(view, at)
        radius = float(np.sqrt(radii[n] ** 2 - apart[n] ** 2)) * float(view.scene.camera.zoom)
        red, green, blue = (round(255 * float(part)) for part in layer.border_color[n][:3])
        found.append(Ring(x, y, max(radius, _LEAST_RADIUS), (red, green, blue), str(numbers[n])))
    return found


def outline(cut: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the labels of a slice where a neighbor, up, down, left or right, has another one; 0 elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> outline(np.full((3, 4), 7))
    array([[7, 7, 7, 7],
           [7, 0, 0, 7],
           [7, 7, 7, 7]])
    """
    padded = np.pad(cut, 1)
    middle = padded[1:-1, 1:-1]
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.where(np.any([other != middle for other in around], axis=0), middle, 0)


def _colored(layer: Any, cut: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
    """Return red, green, blue and opacity of each pixel of a slice; None where it holds no label."""
    drawn = cut != 0
    if not drawn.any():
        return None
    values, where = np.unique(cut[drawn], return_inverse=True)
    table = np.rint(255 * np.asarray(layer.colormap.map(values), float))
    found = np.zeros((*cut.shape, 4), np.uint8)
    found[drawn] = table[where].astype(np.uint8)
    return found


def _image_of(colors: npt.NDArray[np.uint8]) -> QImage:
    colors = np.ascontiguousarray(colors)
    height, width = colors.shape[:2]
    return QImage(colors.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()

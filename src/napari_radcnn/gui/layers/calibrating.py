"""The size of a picture's pixels, typed by the user: its layer and what lies on it get another scale, in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.belonging import is_made_of, is_scan, made_for, scan_of
from napari_radcnn.gui.layers.layers import METADATA_KEY, POINTS, Place, is_ours, points_of
from napari_radcnn.gui.layers.time_points import TimePoints
from napari_radcnn.io.pixel_size import can_be_typed, said_of_typed, with_pixel_size
from napari_radcnn.volume import Volume


def film_of(layer: Any | None, layers: Any) -> Any | None:
    """Return the layer of the picture that a layer is, or was made of, whose pixel size can be typed; else None."""
    scan = scan_of(layer, layers)
    if scan is None or not is_ours(scan):
        return None
    volume: Volume | None = scan.metadata[METADATA_KEY].get("volume")
    return scan if volume is not None and volume.shape[0] == 1 and can_be_typed(volume) else None


def set_pixel_size(viewer: Any, film: Any, mm: float) -> None:
    """Give a picture the size of its pixels; its labels and maps go along, and stay the layers that they are.

    Parameters
    ----------
    viewer : napari.Viewer
        Where it is.
    film : napari layer
        As `film_of` returns it.
    mm : float
        Width and height of a pixel.

    Raises
    ------
    OptionError
        If the size is none, or something was made of the picture whose places are in pixels.
    """
    before: Volume = film.metadata[METADATA_KEY]["volume"]
    sized = with_pixel_size(before, mm)
    moved = [film]
    for layer in viewer.layers:
        if layer is film or not (is_made_of(layer, film) or (is_ours(layer) and _lies_on(layer, film))):
            continue
        kept = layer.metadata.get(METADATA_KEY)
        if not is_ours(layer) or kept.get("is_session", False) or not ("volume" in kept or "labels" in kept):
            raise OptionError(
                f"'{layer.name}' was made while the pixel size was not known, and lies in pixels: end its session or "
                "remove it, then type the size."
            )
        moved.append(layer)
    place = Place.of(sized.geometry)
    for layer in moved:
        _move(layer, place, sized.geometry, mm)
    viewer.layers.events.reordered(value=viewer.layers)  # whoever shows something of the scan looks again
    viewer.reset_view()


def _lies_on(layer: Any, film: Any) -> bool:
    """Return whether labels that do not say of which scan they were made lie on the grid of a picture."""
    if is_scan(layer) or made_for(layer) is not None:
        return False
    one, two = (each.metadata[METADATA_KEY]["place"].native for each in (layer, film))
    return bool(one.is_close(two))


def _move(layer: Any, place: Place, geometry: Geometry, mm: float) -> None:
    kept = dict(layer.metadata[METADATA_KEY])
    for name in ("volume", "labels"):
        found = kept.get(name)
        if found is not None:
            about = replace(found.metadata, is_calibrated=True, is_size_typed=True)
            said = said_of_typed(found.warnings, mm)
            kept[name] = replace(found, geometry=geometry, metadata=about, warnings=said)
    points = points_of(layer)
    if points is not None:
        sized = [with_pixel_size(volume, mm) for volume in points.volumes]
        kept[POINTS] = TimePoints(sized, points.labels, points.axis).at(points.shown)
        kept["volume"] = kept[POINTS].volume
    kept["place"], kept["warnings"] = place, said_of_typed(kept.get("warnings", ()), mm)
    layer.metadata = {**layer.metadata, METADATA_KEY: kept}
    time = layer.ndim - 3
    layer.scale = (*layer.scale[:time], *place.layer_arguments["scale"])
    layer.translate = (*layer.translate[:time], *place.layer_arguments["translate"])

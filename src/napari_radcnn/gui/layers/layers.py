"""From volumes and label maps to napari's layers and back; the only file that knows napari's axis order.

napari's world axes are ``(z, y, x)`` in LPS mm here, and layers have ``scale`` and ``translate`` only, because napari
slices only axis-aligned grids rightly (napari #2616, #7310). A scan is permuted and flipped towards (S, P, L) without
a copy; an oblique or sheared one is resampled for display and its own grid kept. On the way back every result lies on
the scan's own grid again.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import CancelledError, RadcnnError
from napari_radcnn.geometry import AxisMap, Geometry
from napari_radcnn.gui.layers.colors import colormap_of, label_colormap
from napari_radcnn.gui.layers.label_values import feature_names, names_of, unsigned
from napari_radcnn.gui.layers.look import Look, look_of, look_of_points
from napari_radcnn.gui.layers.multiscale import finest_that_fits, shown_levels
from napari_radcnn.gui.layers.time_points import TimePoints, least_finite, shown_points
from napari_radcnn.preprocessing import Interpolation, resample
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

#: What napari calls the three world axes: each by the letter it runs towards.
AXIS_LABELS = ("S", "P", "L")
#: Where a layer keeps what the scan knows and the screen does not.
METADATA_KEY = "radcnn"
#: Below that key: whether labels were told from a scan by their voxels alone.
RECOGNIZED = "is_recognized"
#: Below that key: the time points of a scan with a fourth axis.
POINTS = "points"
#: What a layer of a single time point takes over from one with all of them.
_OF_STILLS = ("rgb", "contrast_limits", "colormap", "gamma", "opacity", "visible", "blending", "interpolation2d")
LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class Place:
    """How a layer's array relates to the scan's own.

    Attributes
    ----------
    native : Geometry
        The scan's own grid.
    shown : Geometry
        The upright (S, P, L) grid of the layer's array.
    axis_map : AxisMap or None
        From the scan's array to the layer's; None where the layer's was resampled.
    """

    native: Geometry
    shown: Geometry
    axis_map: AxisMap | None

    @classmethod
    def of(cls, geometry: Geometry) -> Place:
        """Return how a scan on `geometry` is shown."""
        if not geometry.is_axis_aligned:
            return cls(geometry, geometry.axis_aligned(), None)
        axis_map = geometry.axis_map("SPL")
        upright = geometry.reoriented(axis_map)
        # Rounding in the cosines is removed about the middle of the grid, where it does least harm.
        middle = upright.to_world((np.array(upright.shape) - 1) / 2)
        origin = middle - ((np.array(upright.shape) - 1) / 2 * upright.spacing)[::-1]
        return cls(geometry, Geometry.from_parts(upright.shape, upright.spacing, origin.tolist()), axis_map)

    @property
    def layer_arguments(self) -> dict[str, Any]:
        """The layer's ``scale``, ``translate``, ``units`` and ``axis_labels``."""
        return {
            "scale": self.shown.spacing,
            "translate": self.shown.origin[::-1],
            "units": "mm",
            "axis_labels": AXIS_LABELS,
        }


# -- to layers ----------------------------------------------------------------------------------------------------


def layer_data(
    scan: Volume | LabelMap, *, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> LayerData:
    """Return napari's ``(data, arguments, type)`` for a volume or a label map.

    An aligned scan shares its voxels with the layer; one that is in a store stays there, and its layer is multiscale.
    `progress` and `cancel` serve the loading and resampling of an oblique one.

    Raises
    ------
    RadcnnError
        If a volume is marked as labels but holds values that are none, or is damaged, or must be loaded, as labels
        and oblique scans must, and has no resolution that fits into the memory.
    CancelledError
        If `cancel` was set.
    """
    if isinstance(scan, Volume) and scan.metadata.is_label:
        scan = _as_label_map(finest_that_fits(scan, progress, cancel))
    if isinstance(scan, LabelMap):
        return _labels_layer(scan, progress, cancel)
    return _image_layer(scan, progress, cancel)


def _image_layer(volume: Volume, progress: Progress | None, cancel: CancelEvent | None) -> LayerData:
    place = Place.of(volume.geometry)
    warnings, shown_data = volume.warnings, None
    data: Any
    if place.axis_map is None:
        displayed = finest_that_fits(volume, progress, cancel)
        warnings = displayed.warnings
        place = replace(place, shown=displayed.geometry.axis_aligned())
        padding = volume.metadata.padding_value
        fill = least_finite(displayed.array) if padding is None else padding
        data = _resampled(displayed.array, displayed.geometry, place.shown, "linear", fill, progress, cancel)
        data.setflags(write=False)  # a change here would be lost: the scan's own voxels are the ones that count
        shown_data = data
    elif volume.source is not None and not volume.is_loaded:
        data = shown_levels(volume.source, volume.geometry, place.axis_map)
        shown_data = data[0]
    else:
        data = place.axis_map.apply(volume.array)
        data = data.astype(np.uint8) if data.dtype == bool else data
    arguments = _image_arguments(volume, place, shown_data, warnings)
    if not volume.is_color:
        _add_look(arguments, look_of(volume))
    if isinstance(data, list):
        arguments["multiscale"] = True
    return data, arguments, "image"


def points_data(points: TimePoints, name: str) -> LayerData:
    """Return napari's ``(data, arguments, type)`` for time points on one grid: one layer with a fourth axis, the first.

    Nothing is copied or loaded; oblique volumes are resampled slice by slice when they are seen.

    Parameters
    ----------
    points : TimePoints
        Shown as they stand.
    name : str
        Of the layer.
    """
    first = points.volumes[0]
    place = Place.of(first.geometry)
    levels = shown_points(points.volumes, place.axis_map, place.shown)
    warnings = tuple(dict.fromkeys(line for volume in points.volumes for line in volume.warnings))
    arguments = _image_arguments(points.volume, place, levels[0], warnings) | {"name": name}
    arguments["metadata"][METADATA_KEY][POINTS] = points
    arguments |= {
        "scale": (1.0, *arguments["scale"]),
        "translate": (0.0, *arguments["translate"]),
        "units": ("pixel", "mm", "mm", "mm"),
        "axis_labels": (points.axis, *AXIS_LABELS),
    }
    if not first.is_color:
        _add_look(arguments, look_of_points(points.volumes))
    if len(levels) > 1:
        return levels, arguments | {"multiscale": True}, "image"
    return levels[0], arguments, "image"


def _image_arguments(volume: Volume, place: Place, shown_data: Any, warnings: tuple[str, ...]) -> dict[str, Any]:
    return place.layer_arguments | {
        "name": volume.name,
        "rgb": volume.is_color,
        "metadata": {
            METADATA_KEY: {
                "place": place,
                "volume": volume,
                "shown_data": shown_data,
                "warnings": warnings,
                "suvbw_factor": volume.suvbw_factor,
                "provenance": dict(volume.metadata.provenance),
            }
        },
    }


def _add_look(arguments: dict[str, Any], look: Look) -> None:
    arguments["contrast_limits"] = look.window.limits
    arguments["colormap"] = colormap_of(look.window, is_inverted=look.is_inverted)
    arguments["metadata"][METADATA_KEY]["look"] = look


def _labels_layer(label_map: LabelMap, progress: Progress | None, cancel: CancelEvent | None) -> LayerData:
    place = Place.of(label_map.geometry)
    if place.axis_map is not None:
        array = place.axis_map.apply(np.require(label_map.array, requirements="W"))
    else:
        array = _resampled(label_map.array, place.native, place.shown, "nearest", 0.0, progress, cancel)
    names = {0: "background", **{value: label.name for value, label in label_map.labels.items()}}
    arguments = place.layer_arguments | {
        "name": label_map.name,
        "features": {"index": list(names), "name": list(names.values())},
        "metadata": {
            METADATA_KEY: {
                "place": place,
                "labels": label_map,
                "checksum": _checksum(array),
                "warnings": label_map.warnings,
                "provenance": dict(label_map.provenance),
            }
        },
    }
    colormap = label_colormap(label_map.labels)
    if colormap is not None:
        arguments["colormap"] = colormap
    return array, arguments, "labels"


def _resampled(
    array: npt.NDArray[Any],
    source: Geometry,
    target: Geometry,
    interpolation: Interpolation,
    fill: float = 0.0,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> npt.NDArray[Any]:
    """Return `array` on another grid for display; not smoothed, since what is seen is to be what was scanned."""

    def each_slab(done: int, total: int) -> None:
        if cancel is not None and cancel.is_set():
            raise CancelledError("Preparing the display")
        if progress is not None:
            progress(done, total, "Preparing the display")

    each_slab(0, target.shape[0])
    return resample(array, source, target, interpolation=interpolation, fill=fill, antialias=False, each_slab=each_slab)


def _as_label_map(volume: Volume) -> LabelMap:
    """Return the label map that a file holds."""
    array = unsigned(volume.array, volume.name)
    return LabelMap(
        array,
        volume.geometry,
        names_of(array, volume.labels),
        volume.name,
        dict(volume.metadata.provenance),
        volume.warnings,
        volume.metadata,
    )


# -- from layers --------------------------------------------------------------------------------------------------


def is_ours(layer: Any) -> bool:
    """Whether a layer came from this package and still knows its scan."""
    kept = layer.metadata.get(METADATA_KEY)
    return isinstance(kept, dict) and isinstance(kept.get("place"), Place)


def points_of(layer: Any) -> TimePoints | None:
    """Return the time points of a layer with a fourth axis; None of one without, and once its array is another one."""
    found = layer.metadata[METADATA_KEY].get(POINTS) if is_ours(layer) else None
    return found if isinstance(found, TimePoints) and _shows_scan(layer) else None


def show_point(layer: Any, number: int) -> None:
    """Let a layer with time points stand for one of them: models, sessions and export take that one."""
    points = points_of(layer)
    if points is not None and number != points.shown:
        kept = layer.metadata[METADATA_KEY]
        points.shown = number
        kept["volume"] = points.volume
        kept["suvbw_factor"] = points.volume.suvbw_factor


def is_volume(layer: Any) -> bool:
    """Whether a layer has the three axes of a volume, or those of a scan with time points."""
    return bool(layer.ndim == 3) or points_of(layer) is not None


def volume_shape(layer: Any) -> tuple[int, ...]:
    """Return the shape of the volume that a layer shows, along S, P, L, without the axis of time and colors."""
    shape = tuple(int(n) for n in (layer.data[0] if layer.multiscale else layer.data).shape)
    return shape[1:4] if points_of(layer) is not None else shape[:3]


def name_of(layer: Any, point: int | None = None) -> str:
    """Return what a layer is called, and of time points which one is shown, or another one: ``"scan · 12"``."""
    points = points_of(layer)
    if points is None:
        return str(layer.name)
    return f"{layer.name} · {points.labels[points.shown if point is None else point]}"


def scan_from_layer(layer: Any) -> Volume | LabelMap:
    """Return `volume_from_layer` or, for a Labels layer, `label_map_from_layer`."""
    from napari.layers import Labels

    return label_map_from_layer(layer) if isinstance(layer, Labels) else volume_from_layer(layer)


def snapshot(layer: Any) -> Any:
    """Return a layer that painting in `layer`, and going to another time point, does not change any more.

    Scans are not painted in and not copied.
    """
    from napari.layers import Labels, Layer

    points = points_of(layer)
    if points is not None:
        return Layer.create(*still_of(layer))
    if not isinstance(layer, Labels) or layer.multiscale:
        return layer
    data, arguments, kind = layer.as_layer_data_tuple()
    return Layer.create(np.array(data), arguments, kind)


def still_of(layer: Any) -> LayerData:
    """Return the data of a layer with the shown time point alone, whatever the layer shows later."""
    points = cast(TimePoints, points_of(layer))
    data, state, kind = layer.as_layer_data_tuple()
    kept = state["metadata"][METADATA_KEY]
    still = {**kept, "shown_data": None, "volume": volume_from_layer(layer)}
    still.pop(POINTS)
    levels = [level.still(points.shown) for level in (data if layer.multiscale else [data])]
    still["shown_data"] = levels[0]
    own = {name: state[name] for name in _OF_STILLS if name in state}
    own |= {name: state[name][1:] for name in ("scale", "translate", "units", "axis_labels")}
    own |= {"name": name_of(layer), "metadata": {**state["metadata"], METADATA_KEY: still}}
    if layer.multiscale:
        return levels, own | {"multiscale": True}, kind
    return levels[0], own, kind


def volume_from_layer(layer: Any, point: int | None = None) -> Volume:
    """Return the scan that an Image layer shows, on the scan's own grid; of time points the shown one, or `point`.

    For a layer from elsewhere the grid is built from the layer's transforms. A layer that was moved since it was
    loaded is taken where it is now.

    Raises
    ------
    RadcnnError
        If the layer is no image with three axes.
    """
    _check_kind(layer, "image")
    kept = _kept(layer)
    if kept is not None and _shows_scan(layer):
        points = points_of(layer)
        scan: Volume = kept["volume"] if points is None or point is None else points.volumes[point]
        native, warnings = _native_geometry(layer, kept["place"])
        metadata = replace(scan.metadata, name=name_of(layer, point))
        return replace(scan, geometry=native, metadata=metadata, warnings=(*scan.warnings, *warnings))
    array = np.asarray(layer.data)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if kept is None:
        geometry, warnings = _present_geometry(layer)
        return Volume(array, geometry, VolumeMetadata(name=layer.name), warnings)
    place: Place = kept["place"]
    native, warnings = _native_geometry(layer, place)
    volume: Volume | None = kept.get("volume")
    metadata = replace(volume.metadata, name=layer.name) if volume is not None else VolumeMetadata(name=layer.name)
    known = (*(volume.warnings if volume is not None else ()), *warnings)
    factor = volume.suvbw_factor if volume is not None else None
    if place.axis_map is not None:
        return Volume(place.axis_map.invert(array), native, metadata, known, factor)
    geometry, _ = _present_geometry(layer)
    return Volume(array, geometry, metadata, (*known, f"Layer '{layer.name}' is used on its upright grid."), factor)


def label_map_from_layer(layer: Any) -> LabelMap:
    """Return the labels of a Labels layer, on the grid of the scan they belong to.

    On an oblique scan, only the voxels that were edited on the upright grid are changed on the scan's own.

    Raises
    ------
    RadcnnError
        If the layer is no labels layer with three axes, or holds negative labels.
    """
    _check_kind(layer, "labels")
    shown = unsigned(np.asarray(layer.data), layer.name)
    kept = _kept(layer)
    if kept is None:
        geometry, warnings = _present_geometry(layer)
        return LabelMap(shown, geometry, names_of(shown, feature_names(layer)), layer.name, {}, warnings)
    place: Place = kept["place"]
    native, warnings = _native_geometry(layer, place)
    source: LabelMap | None = kept.get("labels")
    is_edited = _checksum(np.asarray(layer.data)) != kept.get("checksum")
    if place.axis_map is not None:
        array = place.axis_map.invert(shown)
    elif source is None:
        array = _resampled(shown, place.shown, place.native, "nearest")
    else:
        array = _edited_on_native(source.array, shown, place) if is_edited else source.array
    array = np.ascontiguousarray(array)
    if source is None:
        return LabelMap(array, native, names_of(array, feature_names(layer)), layer.name, {}, warnings)
    provenance = dict(source.provenance)
    if provenance and is_edited:
        provenance["edited_by_hand"] = True
    return replace(
        source,
        array=array,
        geometry=native,
        labels=names_of(array, source.labels),
        name=layer.name,
        provenance=provenance,
        warnings=(*source.warnings, *warnings),
    )


def _edited_on_native(before: npt.NDArray[Any], shown: npt.NDArray[Any], place: Place) -> npt.NDArray[Any]:
    """Return `before`, on the scan's own grid, with the changes that `shown`, on the upright grid, has."""
    unedited = _resampled(before, place.native, place.shown, "nearest")
    changed = _resampled((unedited != shown).astype(np.uint8), place.shown, place.native, "nearest").astype(bool)
    edited = _resampled(shown, place.shown, place.native, "nearest")
    return np.where(changed, edited, before)


def _check_kind(layer: Any, kind: str) -> None:
    """Raise unless `layer` is a plain 3-D layer of the kind ``"image"`` or ``"labels"``."""
    from napari.layers import Image, Labels

    if not isinstance(layer, Image if kind == "image" else Labels):
        found = type(layer).__name__.lower()
        raise RadcnnError(f"Layer '{layer.name}' is a layer of type {found}; choose a layer of type {kind}.")
    if getattr(layer, "multiscale", False) and not _shows_scan(layer):
        raise RadcnnError(f"Layer '{layer.name}' is multiscale; add one of its resolutions as a separate layer.")
    if not is_volume(layer):
        raise RadcnnError(
            f"Layer '{layer.name}' has {layer.ndim} axes; a volume has three: slices, rows and columns. "
            "Split or stack it first (right-click on the layer)."
        )
    if getattr(layer, "rgb", False) and (layer.data.shape[-1] != 3 or layer.data.dtype != np.uint8):
        raise RadcnnError(f"The colors of layer '{layer.name}' are not 8-bit red, green and blue.")


def _kept(layer: Any) -> dict[str, Any] | None:
    """Return what the layer keeps of its scan; None for a foreign layer, or when its array has another grid now."""
    if not is_ours(layer):
        return None
    kept: dict[str, Any] = layer.metadata[METADATA_KEY]
    return kept if volume_shape(layer) == kept["place"].shown.shape else None


def _shows_scan(layer: Any) -> bool:
    """Whether the layer's array is still the read-only one that was made from its scan, which then stands for it."""
    shown = layer.metadata[METADATA_KEY].get("shown_data") if is_ours(layer) else None
    return shown is not None and shown is (layer.data[0] if layer.multiscale else layer.data)


def _native_geometry(layer: Any, place: Place) -> tuple[Geometry, tuple[str, ...]]:
    """Return the scan's own grid, moved along if the layer was moved."""
    present, warnings = _present_geometry(layer)
    if present.is_close(place.shown, tolerance=1e-3):
        return place.native, ()
    moved = present.affine @ np.linalg.inv(place.shown.affine)
    warning = f"Layer '{layer.name}' was moved after it was loaded; its current position is used."
    return Geometry(place.native.shape, moved @ place.native.affine), (*warnings, warning)


@lru_cache
def _in_mm(unit: Any) -> float | None:
    """Return how long a unit of pint's is, mm; None for no length. Kept: pint takes 1 ms at each move of a layer."""
    return float((1.0 * unit).to("mm").magnitude) if unit.is_compatible_with("mm") else None


def _present_geometry(layer: Any) -> tuple[Geometry, tuple[str, ...]]:
    """Return the grid of the layer's array in LPS mm from all of its transforms, and what was assumed for it."""
    time = (0.0,) * (layer.ndim - 3)  # a step through time does not move the patient
    origin = np.array(layer.data_to_world((*time, 0.0, 0.0, 0.0)), float)[-3:]
    steps = [np.array(layer.data_to_world((*time, *row)), float)[-3:] - origin for row in np.eye(3)]
    units = [_in_mm(unit) for unit in tuple(layer.units)[-3:]]
    is_length = None not in units
    to_mm = np.array(units, float) if is_length else np.ones(3)
    affine = np.eye(4)
    affine[:3, :3] = (np.array(steps).T * to_mm[:, None])[::-1]
    affine[:3, 3] = (origin * to_mm)[::-1]
    warning = f"Layer '{layer.name}' has no unit of length; its scale is assumed to be in mm."
    shape = volume_shape(layer)
    return Geometry((shape[0], shape[1], shape[2]), affine), () if is_length else (warning,)


def to_patient(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return LPS mm positions ``(..., 3)`` of napari's world points ``(..., n)``, ``n >= 3``: its last three axes."""
    return np.asarray(points, float)[..., :-4:-1]


def to_display(positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return napari's world points ``(..., 3)`` of LPS mm positions ``(..., 3)``."""
    return np.asarray(positions, float)[..., ::-1]


def _checksum(array: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)

"""From volumes and label maps to napari's layers and back; the only file that knows napari's axis order.

napari's world axes are ``(z, y, x)`` in LPS mm here, and layers have ``scale`` and ``translate`` only, because napari
slices only axis-aligned grids rightly (napari #2616, #7310). A scan is permuted and flipped towards (S, P, L) without
a copy; an oblique or sheared one is resampled for display and its own grid kept. On the way back every result lies on
the scan's own grid again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import CancelledError, RadcnnError
from napari_radcnn.geometry import AxisMap, Geometry
from napari_radcnn.gui.layers.colors import colormap_of, label_colormap
from napari_radcnn.gui.layers.look import look_of
from napari_radcnn.gui.layers.multiscale import finest_that_fits, shown_levels
from napari_radcnn.preprocessing import Interpolation, resample
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

#: What napari calls the three world axes: each by the letter it runs towards.
AXIS_LABELS = ("S", "P", "L")
#: Where a layer keeps what the scan knows and the screen does not.
METADATA_KEY = "radcnn"
#: Below that key: whether labels were told from a scan by their voxels alone.
RECOGNIZED = "is_recognized"
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
        fill = _minimum(displayed.array) if padding is None else padding
        data = _resampled(displayed.array, displayed.geometry, place.shown, "linear", fill, progress, cancel)
        data.setflags(write=False)  # a change here would be lost: the scan's own voxels are the ones that count
        shown_data = data
    elif volume.source is not None and not volume.is_loaded:
        data = shown_levels(volume.source, volume.geometry, place.axis_map)
        shown_data = data[0]
    else:
        data = place.axis_map.apply(volume.array)
        data = data.astype(np.uint8) if data.dtype == bool else data
    arguments = place.layer_arguments | {
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
    if not volume.is_color:
        look = look_of(volume)
        arguments["contrast_limits"] = look.window.limits
        arguments["colormap"] = colormap_of(look.window, is_inverted=look.is_inverted)
        arguments["metadata"][METADATA_KEY]["look"] = look
    if isinstance(data, list):
        arguments["multiscale"] = True
    return data, arguments, "image"


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
    array = _unsigned(volume.array, volume.name)
    return LabelMap(
        array,
        volume.geometry,
        _names_of(array, volume.labels),
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


def scan_from_layer(layer: Any) -> Volume | LabelMap:
    """Return `volume_from_layer` or, for a Labels layer, `label_map_from_layer`."""
    from napari.layers import Labels

    return label_map_from_layer(layer) if isinstance(layer, Labels) else volume_from_layer(layer)


def snapshot(layer: Any) -> Any:
    """Return a layer that painting in `layer` does not change any more; scans are not painted in and not copied."""
    from napari.layers import Labels, Layer

    if not isinstance(layer, Labels) or layer.multiscale:
        return layer
    data, arguments, kind = layer.as_layer_data_tuple()
    return Layer.create(np.array(data), arguments, kind)


def volume_from_layer(layer: Any) -> Volume:
    """Return the scan that an Image layer shows, on the scan's own grid.

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
        scan: Volume = kept["volume"]
        native, warnings = _native_geometry(layer, kept["place"])
        metadata = replace(scan.metadata, name=layer.name)
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
    shown = _unsigned(np.asarray(layer.data), layer.name)
    kept = _kept(layer)
    if kept is None:
        geometry, warnings = _present_geometry(layer)
        return LabelMap(shown, geometry, _names_of(shown, _feature_names(layer)), layer.name, {}, warnings)
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
        return LabelMap(array, native, _names_of(array, _feature_names(layer)), layer.name, {}, warnings)
    provenance = dict(source.provenance)
    if provenance and is_edited:
        provenance["edited_by_hand"] = True
    return replace(
        source,
        array=array,
        geometry=native,
        labels=_names_of(array, source.labels),
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
    if layer.ndim != 3:
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
    return kept if tuple(layer.data.shape[:3]) == kept["place"].shown.shape else None


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


def _present_geometry(layer: Any) -> tuple[Geometry, tuple[str, ...]]:
    """Return the grid of the layer's array in LPS mm from all of its transforms, and what was assumed for it."""
    origin = np.array(layer.data_to_world((0.0, 0.0, 0.0)), float)
    steps = [np.array(layer.data_to_world(tuple(row)), float) - origin for row in np.eye(3)]
    units = tuple(layer.units)
    is_length = all(unit.is_compatible_with("mm") for unit in units)
    to_mm = np.array([float((1.0 * unit).to("mm").magnitude) if is_length else 1.0 for unit in units])
    affine = np.eye(4)
    affine[:3, :3] = (np.array(steps).T * to_mm[:, None])[::-1]
    affine[:3, 3] = (origin * to_mm)[::-1]
    warning = f"Layer '{layer.name}' has no unit of length; its scale is assumed to be in mm."
    shape = tuple(int(n) for n in layer.data.shape[:3])
    return Geometry((shape[0], shape[1], shape[2]), affine), () if is_length else (warning,)


# -- positions ----------------------------------------------------------------------------------------------------


def to_patient(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return LPS mm positions ``(..., 3)`` of napari's world points ``(..., n)``, ``n >= 3``: its last three axes."""
    return np.asarray(points, float)[..., :-4:-1]


def to_display(positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return napari's world points ``(..., 3)`` of LPS mm positions ``(..., 3)``."""
    return np.asarray(positions, float)[..., ::-1]


# -- labels -------------------------------------------------------------------------------------------------------


def _unsigned(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return `array` as the smallest fitting unsigned integers; without a copy where it has such a type already."""
    if array.dtype in (np.uint8, np.uint16, np.uint32):
        return array
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise RadcnnError(f"'{name}' contains values from {low:g} to {high:g}; labels must be 0 to 4294967295.")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise RadcnnError(f"'{name}' contains fractions; labels must be whole numbers.")
    return array.astype(np.min_scalar_type(int(high)))


def _names_of(array: npt.NDArray[Any], known: Mapping[int, Label]) -> dict[int, Label]:
    """Return `known` and a label for each further value in `array`."""
    is_small = array.dtype.itemsize <= 2
    present = np.flatnonzero(np.bincount(array.ravel())) if is_small else np.unique(array)
    found = {int(value): Label(f"label {value}") for value in present if value != 0}
    return dict(sorted({**found, **known}.items()))


def _feature_names(layer: Any) -> dict[int, Label]:
    """Return the names that a Labels layer's feature table gives, if it has columns ``index`` and ``name``."""
    table = layer.features
    if "index" not in table or "name" not in table:
        return {}
    pairs = zip(table["index"], table["name"], strict=True)
    return {int(value): Label(str(name)) for value, name in pairs if int(value) > 0}


def _minimum(array: npt.NDArray[Any]) -> float:
    """Return the smallest finite value."""
    finite = array if array.dtype.kind in "iub" else array[np.isfinite(array)]
    return float(finite.min()) if finite.size else 0.0


def _checksum(array: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)

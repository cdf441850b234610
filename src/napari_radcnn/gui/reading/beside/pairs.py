"""What is to be known of two scans that are looked at side by side: whose they are, what they show, and where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.belonging import is_scan, scan_of
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours, is_volume
from napari_radcnn.gui.reading import windowing
from napari_radcnn.gui.reading.beside.spaces import Link
from napari_radcnn.gui.reading.captions import volume_of
from napari_radcnn.volume import Volume


def scans_of(layers: Iterable[Any]) -> list[Any]:
    """Return the layers of scans of ours, in their order."""
    return [layer for layer in layers if is_ours(layer) and is_scan(layer) and is_volume(layer) and volume_of(layer)]


def chosen_scan(viewer: Any) -> Any | None:
    """Return the layer of the scan that a viewer's own canvas shows: the uppermost visible one; None without one."""
    return next((layer for layer in reversed(scans_of(viewer.layers)) if layer.visible), None)


def owner_of(layer: Any, layers: Iterable[Any]) -> Any | None:
    """Return the layer of the scan that a layer of ours is or belongs to; None of layers of others."""
    return scan_of(layer, layers) if METADATA_KEY in layer.metadata else None


def partners_of(scan: Any, layers: Iterable[Any]) -> list[Any]:
    """Return the other scans that may be looked at beside one, those first that most likely are.

    The same kind of scan comes first, then the same patient, then another visit with the same description; else they
    stay in their order.
    """
    own = _volume(scan)

    def rank(layer: Any) -> tuple[bool, bool, bool, bool]:
        other = _volume(layer)
        studies = {own.metadata.study_uid, other.metadata.study_uid}
        is_other_visit = len(studies) > 1 and "" not in studies
        return (
            own.modality != other.modality,
            are_two_patients(own, other),
            not is_other_visit,
            own.metadata.description != other.metadata.description,
        )

    return sorted((layer for layer in scans_of(layers) if layer is not scan), key=rank)


def are_two_patients(one: Volume, two: Volume) -> bool:
    """Whether two scans say that they are of different patients; by their IDs, without these by their names."""
    ids = [each.metadata.patient_id.strip() for each in (one, two)]
    names = [" ".join(each.metadata.patient_name.replace("^", " ").split()).casefold() for each in (one, two)]
    found = ids if all(ids) else names
    return all(found) and found[0] != found[1]


def same_unit(one: Any, two: Any) -> bool:
    """Whether a window of the image of one layer means the same in another: one modality, and one known unit."""
    if one.rgb or two.rgb:
        return False
    first, second = windowing.look_for(one), windowing.look_for(two)
    return bool(first.unit) and first.unit == second.unit and first.kind == second.kind


def same_scale(one: Any, two: Any) -> bool:
    """Whether lengths on the screen can be compared: the size of the pixels is known of both scans, or of neither."""
    return _volume(one).metadata.is_calibrated == _volume(two).metadata.is_calibrated


def why_no_window(one: Any, two: Any) -> str:
    """Return why windows are not linked; empty where they can be."""
    if same_unit(one, two):
        return ""
    kinds = [each.modality or "a scan of unknown kind" for each in (_volume(one), _volume(two))]
    return f"{kinds[0]} beside {kinds[1]}" if kinds[0] != kinds[1] else "values without a common unit"


def overlap(one: Any, two: Any, link: Link) -> bool:
    """Whether two linked scans show any common part of the patient, by the boxes around them along the body's axes."""
    first, second = link.to_second(native_of(one).corners), native_of(two).corners
    return bool((first.max(0) >= second.min(0)).all() and (second.max(0) >= first.min(0)).all())


def native_of(layer: Any) -> Geometry:
    """Return the grid of the scan that a layer of ours shows, where it lies now."""
    found: Geometry = layer.metadata[METADATA_KEY]["place"].native
    return found


def extent_of(layer: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lowest and the highest point of the voxels of a layer, along S, P, L, mm: their outer edges."""
    shown = layer.metadata[METADATA_KEY]["place"].shown
    low = np.array(shown.origin[::-1], float) - np.array(shown.spacing) / 2
    return low, low + np.array(shown.shape[:3]) * np.array(shown.spacing)


def start_in(scan: Any, place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a place along S, P, L, mm, where it lies in a scan, else the middle of the scan."""
    low, high = extent_of(scan)
    return place.copy() if ((place >= low) & (place <= high)).all() else (low + high) / 2


def _volume(layer: Any) -> Volume:
    found = volume_of(layer)
    if found is None:
        raise ValueError(f"'{layer.name}' is the layer of no scan")
    return found

"""One scan on the screen at a time: the others stay open and are hidden; and a layer as labels or as a scan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from napari_radcnn.gui.layers.belonging import HIDDEN, lies_on
from napari_radcnn.gui.layers.layers import (
    METADATA_KEY,
    RECOGNIZED,
    LayerData,
    is_ours,
    label_map_from_layer,
    layer_data,
    volume_from_layer,
)
from napari_radcnn.volume import Volume

#: Held while units are listed. The seconds for which another thread may list them: it takes one or two.
_UNITS, _PATIENCE = Lock(), 60.0


def make_layers(data: Sequence[LayerData]) -> list[Any]:
    """Return napari's layers, made beside the viewer: the first of a program takes longer than a window may stand."""
    from napari.layers import Layer
    from scipy.spatial.transform import Rotation  # noqa: F401  the camera imports it when it is turned

    list_units()
    layers = [Layer.create(*each) for each in data]
    for layer in layers:
        _ = layer.extent  # the viewer asks for it, and then knows it
    return layers


def warm_up() -> None:
    """Make a layer that nobody sees: the first of a program takes a second, for units and parts of SciPy."""
    from napari.layers import Image

    list_units()
    Image(np.zeros((2, 2, 2), np.uint8), units="mm")
    from scipy.spatial.transform import Rotation  # noqa: F401  see `make_layers`; its libraries stop all threads


def list_units() -> None:
    """Have pint list its units, or wait until another thread has: until then a layer of this thread would fail.

    pint fills its list at the first use, such as that of the viewer's scale bar, and whoever else looks into it then
    finds half of it. A whole one is put in its place, unless the filling has begun.
    """
    import pint

    units = pint.get_application_registry()
    with _UNITS:
        if type(units.get()) is pint.registry.LazyRegistry:  # not isinstance: it changes its class when it is used
            filled: Any = pint.UnitRegistry(on_redefinition="raise")
            filled.Unit("mm")
            if type(units.get()) is pint.registry.LazyRegistry:
                pint.set_application_registry(filled)
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                units.Unit("pixel"), units.Unit("mm")
            except (AttributeError, KeyError, RuntimeError):  # half of it is there; also what pint says of no such unit
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return


def show_alone(viewer: Any, layers: Sequence[Any]) -> None:
    """Show the first of the layers of a scan, and hide other scans of ours and what lies on them.

    What was made of the scan, or of another of the same patient on its grid, stays as it is, and so do layers of other
    plugins; what this has hidden before is shown again with its scan. Layers without an image, such as a segmentation,
    lie on the scan that is seen, and hide nothing.

    Parameters
    ----------
    viewer : napari.Viewer
        Where.
    layers : sequence of napari layer
        Of one scan: its volumes, or its labels.
    """
    from napari.layers import Image

    images = [layer for layer in layers if isinstance(layer, Image)]
    if images:
        seen = images[0]
        for other in viewer.layers:
            if METADATA_KEY not in other.metadata or other in layers:
                continue
            if not lies_on(other, seen):
                if other.visible:
                    other.visible = False
                    HIDDEN.add(other)
            elif other in HIDDEN:
                HIDDEN.discard(other)
                other.visible = True
    else:
        seen = layers[0]
    if not seen.visible:  # napari would go through all that is shown anew
        seen.visible = True
    viewer.layers.selection.active = seen
    _look_at(viewer, seen)


def open_places(viewer: Any) -> list[Path]:
    """Return the folders of the DICOM series that are open."""
    volumes = [layer.metadata[METADATA_KEY].get("volume") for layer in viewer.layers if is_ours(layer)]
    found = [one.metadata for one in volumes if one is not None and one.metadata.series_uid]
    return list(dict.fromkeys(about.source for about in found if about.source is not None))


def other_kind(layer: Any) -> str:
    """Return what a layer could be shown as instead: ``"scan"`` or ``"labels"``; empty where that is no question."""
    from napari.layers import Image, Labels

    if layer is None or not is_ours(layer) or layer.ndim != 3 or layer.multiscale:
        return ""
    kept = layer.metadata[METADATA_KEY]
    if isinstance(layer, Labels):
        return "scan" if kept.get(RECOGNIZED) else ""
    volume = kept.get("volume")
    is_whole = isinstance(layer, Image) and not layer.rgb and layer.data.dtype.kind in "iu"
    return "labels" if is_whole and volume is not None and volume.metadata.source_format != "DICOM" else ""


def as_other_kind(layer: Any) -> LayerData:
    """Return what a layer holds as `other_kind` names it; a second time gives back the first.

    Raises
    ------
    RadcnnError
        If its values are no labels.
    """
    if other_kind(layer) == "scan":
        labels = label_map_from_layer(layer)
        metadata = replace(labels.metadata, is_label=False, name=layer.name)
        return layer_data(Volume(labels.array, labels.geometry, metadata, labels.warnings))
    volume = volume_from_layer(layer)
    data, arguments, kind = layer_data(replace(volume, metadata=replace(volume.metadata, is_label=True)))
    arguments["metadata"][METADATA_KEY][RECOGNIZED] = True
    return data, arguments, kind


def replace_layer(viewer: Any, layer: Any, data: LayerData) -> Any:
    """Put another layer in the place of one, and return it."""
    from napari.layers import Layer

    place = viewer.layers.index(layer)
    made = Layer.create(*data)
    viewer.layers.remove(layer)
    viewer.layers.insert(place, made)
    viewer.layers.selection.active = made
    return made


def _look_at(viewer: Any, layer: Any) -> None:
    """Go to the middle of a layer if what is looked at lies outside it, as after another patient."""
    low, high = np.asarray(layer.extent.world, float)[:, -3:]
    n = len(low)  # not through time, which starts with the first point
    point = np.asarray(viewer.dims.point[-n:], float)
    slack = np.asarray(layer.scale, float)[-n:]
    if np.all(point >= low - slack) and np.all(point <= high + slack):
        return
    first = viewer.dims.ndim - n
    viewer.dims.set_point(range(first, viewer.dims.ndim), tuple((low + high) / 2))
    viewer.reset_view()

"""The window of an image layer: which presets it has, which one is shown, and how it is set or dragged."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.layers.colors import colormap_of, is_gray
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours, volume_from_layer
from napari_radcnn.gui.layers.look import Look, Preset, look_of
from napari_radcnn.gui.reading import words
from napari_radcnn.voi import VoiWindow

#: How many windows have a key, besides the first one: Alt+1 to Alt+9. Alt+0 is the first.
N_KEYS = 9
KEY = "Alt+{}"
#: Dragged by this many pixels to the right, a window is twice as wide; up or down, its center moves by its width.
_PIXELS = 200.0
#: A window that is dragged is at least this part of the range of the scan wide, and a narrow one is dragged by that.
_LEAST, _STEP = 1 / 2000, 1 / 20
_LEFT, _RIGHT = 1, 2
_WINDOW = "window"
#: Looks of layers from elsewhere, which keep none.
_LOOKS: weakref.WeakKeyDictionary[Any, Look] = weakref.WeakKeyDictionary()


def window_layer(viewer: Any) -> Any | None:
    """Return the image whose window keys and mouse set: the active one, else the uppermost visible scan of ours.

    Returns
    -------
    napari layer or None
        Of gray values; None where there is none.
    """
    active = viewer.layers.selection.active
    if active is not None and _is_gray_image(active):
        return active
    images = [layer for layer in reversed(viewer.layers) if _is_gray_image(layer) and layer.visible]
    return next((layer for layer in images if is_ours(layer)), images[0] if images else None)


def look_for(layer: Any) -> Look:
    """Return how a layer is shown: what it keeps, or, of one from elsewhere, what its values tell."""
    kept = layer.metadata.get(METADATA_KEY) if is_ours(layer) else None
    look = kept.get("look") if kept else None
    if isinstance(look, Look):
        return look
    if layer not in _LOOKS:
        try:
            _LOOKS[layer] = look_of(volume_from_layer(layer))
        except RadcnnError:  # no volume of three axes: its window can be dragged, and what it is is not known
            low, high = (float(end) for end in layer.contrast_limits_range)
            _LOOKS[layer] = Look(
                presets=(Preset(VoiWindow.of_limits((low, high), "Full range")),), reach=(low, max(high, low + 1e-9))
            )
    return _LOOKS[layer]


def present_window(layer: Any) -> VoiWindow:
    """Return the window that a layer is shown with; without a name where it is that of no preset any more."""
    limits = layer.contrast_limits
    chosen = layer.metadata.get(METADATA_KEY, {}).get(_WINDOW) if is_ours(layer) else None
    if chosen is None and is_ours(layer):
        chosen = look_for(layer).window
    if chosen is None or not is_gray(layer.colormap):
        return VoiWindow.of_limits(limits, "" if chosen is None else _name_if_same(chosen, limits))
    return VoiWindow.of_limits(limits, _name_if_same(chosen, limits), chosen.function, chosen.table)


def choose(layer: Any, preset: Preset) -> None:
    """Show a layer with a window; its voxels stay as they are. A colormap that the user chose is kept."""
    window = preset.window
    if is_gray(layer.colormap):
        layer.colormap = colormap_of(window, is_inverted=look_for(layer).is_inverted)
    if is_ours(layer):
        layer.metadata[METADATA_KEY][_WINDOW] = window
    layer.contrast_limits = window.limits


def take_over(layer: Any, source: Any) -> None:
    """Show the image of one layer with the window of another, both in the unit of the screen."""
    window, factor = present_window(source), look_for(source).factor / look_for(layer).factor
    window = replace(window, center=window.center * factor, width=window.width * factor)
    if window.limits != tuple(layer.contrast_limits):
        choose(layer, Preset(window))


def keyed(layer: Any) -> dict[int, Preset]:
    """Return the windows of a layer that have keys, by their numbers: 0 is the one that it was opened with."""
    look = look_for(layer)
    general = [preset for preset in look.presets if not preset.is_own]
    return {0: look.presets[look.first], **dict(enumerate(general[:N_KEYS], 1))}


def entries(layer: Any) -> list[tuple[str, str, bool, Callable[[], None]]]:
    """Return the entries of a menu of the windows of a layer: text, key, whether it is shown, and what it does."""
    look, present = look_for(layer), present_window(layer)
    keys = {id(preset): KEY.format(n) for n, preset in keyed(layer).items() if n > 0}
    keys.setdefault(id(look.presets[look.first]), KEY.format(0))
    return [
        (
            f"{words.window(look, preset.window)}{' (of the file)' if preset.is_own else ''}",
            keys.get(id(preset), ""),
            preset.window.limits == present.limits and preset.name == present.name,
            partial(choose, layer, preset),
        )
        for preset in look.presets
    ]


def extend_range(layer: Any) -> None:
    """Let the slider of a scan of ours reach as far as its values and its windows do."""
    look = look_for(layer)
    limits = layer.contrast_limits
    ends = (*look.reach, *limits)
    layer.contrast_limits_range = (min(ends), max(ends))
    layer.contrast_limits = limits


def drag(layer: Any, event: Any) -> Iterator[None]:
    """Change center and width with the mouse: right for wider, up for brighter. A generator, as napari wants it."""
    event.handled = True  # else the camera moves along
    start = np.array(event.pos, float)
    begun = present_window(layer)
    low, high = look_for(layer).reach
    extent = max(high - low, begun.width)
    step = max(begun.width, extent * _STEP) / _PIXELS
    yield
    while event.type == "mouse_move":
        event.handled = True
        right, down = np.array(event.pos, float) - start
        width = max(begun.width + float(right) * step, extent * _LEAST)
        window = VoiWindow(begun.center + float(down) * step, width, "", begun.function, begun.table)
        layer.contrast_limits = window.limits
        yield
    event.handled = True


def is_window_drag(active: Any | None, event: Any) -> bool:
    """Whether a button that goes down begins a drag of the window: Shift and left, or right while no tool has it.

    Parameters
    ----------
    active : napari layer or None
        The one that napari's own tools work on.
    event : mouse event of napari
        Of the button.
    """
    if event.handled:
        return False
    modifiers = modifier_names(event)
    if event.button == _LEFT:
        return modifiers == {"Shift"}
    return event.button == _RIGHT and not modifiers and is_idle(active)


def is_idle(active: Any | None) -> bool:
    """Whether no tool of napari's works on the active layer."""
    return active is None or str(active.mode).lower() in ("pan_zoom", "mode.pan_zoom")


def modifier_names(event: Any) -> set[str]:
    """Return the names of the keys that are held while something is done with the mouse: ``{"Shift"}``."""
    return {str(getattr(one, "name", one)) for one in event.modifiers}


def _name_if_same(window: VoiWindow, limits: Any) -> str:
    low, high = window.limits
    return window.name if np.allclose(limits, (low, high), atol=1e-6 * (high - low)) else ""


def _is_gray_image(layer: Any) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image) and not layer.rgb

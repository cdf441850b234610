"""How a patient is looked at: right side on screen left, head up, letters at the edges, a scale in mm.

napari turns world axes to the screen by its camera alone, and its defaults mirror a patient in 3-D; these functions set
the camera for the plane that is shown and keep setting it when the plane changes. World axes are (S, P, L), as
`napari_radcnn.gui.layers.layers` makes them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from napari_radcnn.gui.layers.hanging import Hanging, seen_hanging
from napari_radcnn.gui.layers.layers import is_ours
from napari_radcnn.gui.layers.save_dialog import prefer_our_writers
from napari_radcnn.gui.layers.save_guard import guard_saving
from napari_radcnn.gui.layers.time_axis import follow_time

_CAPTION = "radcnn_caption"
_OVERLAYS = {
    "top": "top_center",
    "bottom": "bottom_center",
    "left": "middle_left",
    "right": "middle_right",
}
#: What a letter is drawn as before there is one: vispy makes what draws a text when it first draws any of it.
_BLANK = " "
_SAGITTAL_OR_CORONAL = ("up", "right")
_AXIAL = ("down", "right")
#: Seen from the front: the eye looks towards posterior, the head is up. In (S, P, L).
_FRONT_VIEW, _FRONT_UP = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
#: Viewers that `apply_radiological_view` has been called for.
_UPRIGHT: list[weakref.ref[Any]] = []


def watch(viewer: Any) -> None:
    """Set the radiological view as soon as `viewer` holds the first layer of ours; at once if it does already."""
    prefer_our_writers()
    guard_saving(viewer)
    if any(is_ours(layer) for layer in viewer.layers):
        apply_radiological_view(viewer)
        return

    def on_inserted(event: Any) -> None:
        if is_ours(event.value):
            viewer_now = reference()
            if viewer_now is not None:
                viewer_now.layers.events.inserted.disconnect(on_inserted)
                apply_radiological_view(viewer_now)

    reference = weakref.ref(viewer)
    viewer.layers.events.inserted.connect(on_inserted, position="last")  # once the viewer has its axes


def letter_steps(viewer: Any) -> list[Callable[[], None]]:
    """Return what adds the letters and the caption that are not there yet, blank: each takes vispy a moment."""
    from napari.components.overlays import TextOverlay

    overlays = viewer.canvas.overlays
    places = {_overlay_name(edge): (place, 14) for edge, place in _OVERLAYS.items()}
    places[_CAPTION] = ("top_left", 8)

    def add(name: str) -> None:
        place, font_size = places[name]
        overlays[name] = TextOverlay(text=_BLANK, position=place, visible=True, font_size=font_size)

    return [partial(add, name) for name in places if name not in overlays]


def overlay_steps(viewer: Any) -> list[Callable[[], None]]:
    """Return what `letter_steps` does, and what shows the scale bar."""

    def show_scale() -> None:
        viewer.canvas.overlays["scale_bar"].visible = True

    return [*letter_steps(viewer), show_scale]


def lift_boxes(viewer: Any) -> list[Callable[[], None]]:
    """Take away the dark boxes behind letters and scale, and return what puts each of them back.

    napari makes what draws a box anew whenever its text may have moved, as it may each time that the canvas gets
    another size or layer: while a viewer gets its first scan, that is half the time that its pictures take.
    """

    def put_back(overlay: Any) -> None:
        overlay.box = True

    overlays = viewer.canvas.overlays
    boxed = [overlays[name] for name in (*map(_overlay_name, _OVERLAYS), "scale_bar") if name in overlays]
    boxed = [overlay for overlay in boxed if overlay.box]
    for overlay in boxed:
        overlay.box = False
    return [partial(put_back, overlay) for overlay in boxed]


def apply_radiological_view(viewer: Any) -> None:
    """Orient the camera for the plane that is shown, now and whenever it changes; show letters and a scale bar.

    A radiograph is hung, and its letters are shown, by what its header states; see `napari_radcnn.gui.layers.hanging`.

    Calling it again for the same viewer changes nothing. The viewer is not kept alive by it.
    """
    reference = weakref.ref(getattr(viewer, "__wrapped__", viewer))
    if any(known() is reference() for known in _UPRIGHT):
        return
    _UPRIGHT[:] = [*(known for known in _UPRIGHT if known() is not None), reference]
    for add in overlay_steps(viewer):
        add()
    keep_upright(viewer)
    follow_time(viewer)


def keep_upright(viewer: Any) -> None:
    """Orient the camera for the plane that is shown, now and whenever it changes, and the letters that there are."""
    reference = weakref.ref(viewer)

    def on_plane(_event: Any = None) -> None:
        viewer_now = reference()
        if viewer_now is not None:
            _orient(viewer_now)
            _update_letters(viewer_now)

    def on_camera(_event: Any = None) -> None:
        viewer_now = reference()
        if viewer_now is not None:
            _update_letters(viewer_now)

    def on_reset(_event: Any = None) -> None:
        viewer_now = reference()
        if viewer_now is not None and viewer_now.dims.ndisplay == 3:
            camera = viewer_now.scene.camera
            if tuple(camera.angles) == (0.0, 0.0, 0.0):  # napari's reset looks from the feet
                _orient(viewer_now)

    _follow_layers(viewer)
    viewer.dims.events.order.connect(on_plane)
    viewer.events.reset_view.connect(on_reset)
    viewer.dims.events.ndisplay.connect(on_plane)
    viewer.scene.camera.events.angles.connect(on_camera)
    viewer.scene.camera.events.orientation.connect(on_camera)
    on_plane()


def _follow_layers(viewer: Any) -> None:
    """Hang the scan that is seen, now and whenever another is."""
    reference = weakref.ref(viewer)
    hung = Hanging()

    def on_layers(event: Any = None) -> None:
        nonlocal hung
        viewer_now = reference()
        if viewer_now is None:
            return
        if event is not None and event.type == "inserted":
            event.value.events.visible.connect(on_layers)
        before, hung = hung, seen_hanging(viewer_now)
        if hung != before:
            _hang(viewer_now, hung, before)
        if hung.is_calibrated != before.is_calibrated:  # a bar in mm would be wrong
            viewer_now.canvas.overlays["scale_bar"].visible = hung.is_calibrated
        _update_letters(viewer_now)

    for layer in viewer.layers:
        layer.events.visible.connect(on_layers)
    events = viewer.layers.events
    for changed in (events.inserted, events.removed, events.reordered):
        changed.connect(on_layers, position="last")  # once the viewer has its axes
    on_layers()


def letters(viewer: Any) -> dict[str, str]:
    """Return the letter of the patient's side at the ``"top"``, ``"bottom"``, ``"left"``, ``"right"`` of the canvas.

    Empty where it is not known: a radiograph has the letters that its header states.
    """
    camera, hung = viewer.scene.camera, seen_hanging(viewer)
    axes = world_axes(viewer, viewer.dims.ndisplay)
    if viewer.dims.ndisplay == 2:
        vertical, horizontal = (str(side) for side in camera.orientation[1:])
        up, down = hung.opposite(axes[0]), hung.letter(axes[0])
        left, right = hung.opposite(axes[1]), hung.letter(axes[1])
        up, down = (up, down) if vertical == "down" else (down, up)
        left, right = (left, right) if horizontal == "right" else (right, left)
        return {"top": up, "bottom": down, "left": left, "right": right}
    up_direction = np.array(camera.up_direction)
    rightwards = np.cross(np.array(camera.view_direction), up_direction)
    if _is_left_handed(camera.orientation):
        rightwards = -rightwards
    return {
        "top": _letter_of_direction(up_direction, axes, hung),
        "bottom": _letter_of_direction(-up_direction, axes, hung),
        "left": _letter_of_direction(-rightwards, axes, hung),
        "right": _letter_of_direction(rightwards, axes, hung),
    }


def _hang(viewer: Any, hung: Hanging, before: Hanging) -> None:
    """Turn the axes and the camera for another scan that is seen."""
    extra = viewer.dims.ndim - 3
    if extra >= 0 and not (hung.is_placed and before.axes == hung.axes):
        order = (*range(extra + 1), *(extra + axis for axis in hung.axes))
        if tuple(viewer.dims.order) != order:
            viewer.dims.order = order
            viewer.reset_view()
    _orient(viewer)


def _orient(viewer: Any) -> None:
    """Turn the camera for the world axes that are displayed."""
    camera = viewer.scene.camera
    axes = world_axes(viewer, viewer.dims.ndisplay)
    if viewer.dims.ndisplay == 2:
        if None in axes:
            return
        hung = seen_hanging(viewer)
        if not hung.is_placed and tuple(axes) == hung.axes:
            camera.orientation2d = (hung.vertical, hung.horizontal)
            return
        # The first displayed axis runs down the screen: P in an axial plane, and S, which is to run up, elsewhere.
        camera.orientation2d = _SAGITTAL_OR_CORONAL if axes[0] == 0 else _AXIAL
        return
    shown = [axis for axis in axes if axis is not None]
    if len(shown) < 3:
        return
    order = [shown.index(axis) for axis in range(3)]
    # (S, P, L) is left-handed, and so is every even permutation of it: "away" then shows it unmirrored.
    is_even = bool(np.linalg.det(np.eye(3)[:, order]) > 0)
    camera.orientation = ("away" if is_even else "towards", "down", "right")
    camera.set_view_direction(
        view_direction=tuple(_FRONT_VIEW[axis] for axis in shown),
        up_direction=tuple(_FRONT_UP[axis] for axis in shown),
    )


def _update_letters(viewer: Any) -> None:
    overlays = viewer.canvas.overlays
    for edge, letter in letters(viewer).items():
        if _overlay_name(edge) in overlays:
            overlays[_overlay_name(edge)].text = letter
    if _CAPTION in overlays:
        caption = seen_hanging(viewer).caption
        overlays[_CAPTION].text, overlays[_CAPTION].box = caption, bool(caption)


def world_axes(viewer: Any, ndisplay: int) -> list[int | None]:
    """Return the displayed axes, 0 S, 1 P, 2 L, slowest first; None for an axis that is none of the patient's."""
    extra = viewer.dims.ndim - 3
    if extra < 0:  # the last volume was removed
        return [None] * ndisplay
    return [axis - extra if axis >= extra else None for axis in viewer.dims.order[-ndisplay:]]


def _letter_of_direction(direction: Any, axes: Sequence[int | None], hung: Hanging) -> str:
    """Return the letters of a direction in the displayed axes, the strongest first: ``"L"`` or, between, ``"LA"``."""
    strength = np.abs(direction)
    found = ""
    for n in np.argsort(-strength):
        if strength[n] > 0.4:
            found += hung.letter(axes[n]) if direction[n] > 0 else hung.opposite(axes[n])
    return found[:2]


def _is_left_handed(orientation: Sequence[Any]) -> bool:
    """Whether the camera shows the displayed axes as a left-handed frame."""
    depth, vertical, horizontal = (str(side) for side in orientation)
    return (depth == "away") ^ (vertical == "up") ^ (horizontal == "left")


def _overlay_name(edge: str) -> str:
    return f"radcnn_letter_{edge}"

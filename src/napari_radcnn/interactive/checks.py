"""What a session refuses before anything changes, and how it calls what it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from napari_radcnn.errors import SessionError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.colors import Color
from napari_radcnn.interactive.history import SegmentedObject
from napari_radcnn.interactive.prompts import Prompt, check_reach
from napari_radcnn.interactive.rasterize import is_inside
from napari_radcnn.interactive.tools.base import Tool
from napari_radcnn.volume import Volume


def check_volume(volume: Volume) -> None:
    """Raise if a scan cannot be segmented interactively.

    Raises
    ------
    SessionError
        If it is a color picture.
    """
    if volume.is_color:
        raise SessionError(f"'{volume.name}' is a color image; interactive segmentation needs one value per voxel.")


def check_same_scan(header: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise if a kept session was made on another scan.

    Raises
    ------
    SessionError
        If grid or voxels differ, or the header says neither.
    """
    made_on = header.get("input")
    if not isinstance(made_on, Mapping) or not made_on.get("sha256"):
        raise SessionError("This session does not record its scan; it cannot be resumed.")
    if made_on["sha256"] != identity["sha256"]:
        raise SessionError(
            f"This session belongs to another scan: expected '{made_on.get('name')}' of shape "
            f"{made_on.get('shape')}, got '{identity['name']}' of shape {identity['shape']} with different voxels or "
            "position."
        )


def check_prompt(prompt: Prompt, volume: Volume) -> None:
    """Raise if a prompt is not about a scan.

    Raises
    ------
    OptionError
        If a point of it lies far away from the scan; see `check_reach`.
    SessionError
        If both name their patient space and these differ, or the prompt covers no voxel of the scan.
    """
    check_reach(prompt.kind, prompt.points, volume.geometry)
    own, other = volume.metadata.frame_of_reference_uid, prompt.frame_of_reference_uid
    if own and other and own != other:
        raise SessionError(
            f"The {prompt.kind} and the scan have different frames of reference ({other} and {own}), so their "
            "positions do not correspond. Draw it again on this scan."
        )
    if not is_inside(prompt, volume.geometry):
        x, y, z = prompt.points[0]
        low, high = volume.geometry.corners.min(axis=0), volume.geometry.corners.max(axis=0)
        extent = ", ".join(f"{axis} {a:.1f} to {b:.1f}" for axis, a, b in zip("xyz", low, high, strict=True))
        raise SessionError(
            f"The {prompt.kind} at ({x:.1f}, {y:.1f}, {z:.1f}) mm lies outside the scan, which covers {extent} mm."
        )


def check_box(box: Box, shape: tuple[int, ...]) -> None:
    """Raise if a box does not lie in a volume.

    Raises
    ------
    SessionError
        If it does not: an engine or a tool made a mistake, or a kept session is of another scan.
    """
    fits = (0 <= extent.start <= extent.stop <= n for extent, n in zip(box, shape, strict=True))
    if not all(fits) or any(extent.step not in (None, 1) for extent in box):
        raise SessionError(f"The box {box} of a step does not lie in a scan of {shape} voxels; please report it.")


def checked_color(color: Iterable[float]) -> Color:
    """Return red, green, blue in 0..1.

    Raises
    ------
    SessionError
        If they are not.
    """
    try:
        red, green, blue = (float(part) for part in color)
    except (TypeError, ValueError) as error:
        raise SessionError(f"A color must be red, green, blue from 0 to 1, got {color!r}.") from error
    if not all(math.isfinite(part) and 0 <= part <= 1 for part in (red, green, blue)):
        raise SessionError(f"A color must be red, green, blue from 0 to 1, got {[red, green, blue]}.")
    return red, green, blue


def step_title(what: Prompt | Tool, item: SegmentedObject) -> str:
    """Return what the history calls a prompt or a tool."""
    if not isinstance(what, Prompt):
        return what.title if what.is_of_all else f"{what.title}: {item.name}"
    where = "outside" if not what.positive else "around" if what.kind == "box" else "in"
    return f"{what.kind.capitalize()} {where} {item.name}"

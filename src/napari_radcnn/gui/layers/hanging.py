"""How the scan that is seen is hung: towards what its axes run, and how a picture without a place lies on the screen.

A scan that lies in the patient has its letters from its place. A radiograph has none: its letters are those that its
header states, or there are none. It is turned by the camera and the order of the axes alone, so that whatever else lies
on its grid turns with it, and no voxel moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from napari_radcnn.gui.layers.layers import AXIS_LABELS, METADATA_KEY, is_ours
from napari_radcnn.sides import opposite
from napari_radcnn.volume import VolumeMetadata

#: Views that are hung as if the patient stood before the reader.
_HUNG_VIEWS = ("PA", "AP")
_LATERALITY = {"R": "right", "L": "left", "B": "both sides"}
_UNKNOWN = ("", "", "")


@dataclass(frozen=True)
class Hanging:
    """How a scan is to be shown.

    Attributes
    ----------
    towards : tuple of str
        The letters towards which the three world axes run; empty where that is not known.
    is_placed : bool
        Whether the scan lies in the patient; the camera is then that of the plane.
    axes : tuple of int
        Of a picture without a place: the world axis that runs down or up the screen, and the one across.
    vertical, horizontal : str
        Where on the screen the two run, in napari's words.
    caption : str
        What is shown in the corner.
    is_calibrated : bool
        Whether the size of its pixels is known, so that there is a scale.
    """

    towards: tuple[str, str, str] = AXIS_LABELS
    is_placed: bool = True
    axes: tuple[int, int] = (1, 2)
    vertical: Literal["down", "up"] = "down"
    horizontal: Literal["right", "left"] = "right"
    caption: str = ""
    is_calibrated: bool = True

    def letter(self, axis: int | None) -> str:
        """Return towards what a world axis runs; nothing for an axis that is none of the scan's."""
        return "" if axis is None else self.towards[axis]

    def opposite(self, axis: int | None) -> str:
        """Return from where a world axis comes."""
        return opposite(self.letter(axis))


def hanging_of(metadata: VolumeMetadata) -> Hanging:
    """Return how a scan is hung by what is known of it."""
    size = "" if metadata.is_calibrated else "pixel size not known"
    if metadata.is_placed:
        return Hanging(caption=size, is_calibrated=metadata.is_calibrated)
    sides, view = metadata.sides, metadata.acquisition.get("view", "")
    laterality = _LATERALITY.get(metadata.acquisition.get("laterality", ""), "")
    caption = " · ".join(filter(None, (view, laterality, "" if sides is not None else "sides not stated", size)))
    if sides is None:
        return Hanging(_UNKNOWN, False, caption=caption, is_calibrated=metadata.is_calibrated)
    towards = ("", sides.column, sides.row)
    stored = Hanging(towards, False, caption=caption, is_calibrated=metadata.is_calibrated)
    if view not in _HUNG_VIEWS or not sides.is_frontal:
        return stored
    axes = (1, 2) if sides.column[0] in "SI" else (2, 1)
    return replace(
        stored,
        axes=axes,
        vertical="down" if stored.towards[axes[0]][0] == "I" else "up",
        horizontal="right" if stored.towards[axes[1]][0] == "L" else "left",
    )


def seen_hanging(viewer: Any) -> Hanging:
    """Return how the uppermost visible scan is hung; without letters where another visible one has other sides."""
    ours = [layer for layer in reversed(viewer.layers) if is_ours(layer)]
    visible = [layer for layer in ours if layer.visible]
    for layers in (visible, ours):
        for name in ("volume", "labels"):
            scans = [layer.metadata[METADATA_KEY].get(name) for layer in layers]
            found = [hanging_of(scan.metadata) for scan in scans if scan is not None]
            if found and all(one.towards == found[0].towards for one in found):
                return found[0]
            if found:
                return replace(found[0], towards=_UNKNOWN, caption="no letters: visible scans have different sides")
    return Hanging()

"""Correction tools: what mends an object without an engine.

A tool is a frozen dataclass; `apply` says what becomes of the object and touches nothing. All distances are in mm of
the patient, so that a tool does the same on every grid. Who applies the answer keeps it off locked objects.

Examples
--------
>>> tool_from_dict({"name": "grow", "distance_mm": 2})
Grow(distance=2.0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_radcnn.errors import OptionError
from napari_radcnn.interactive.tools.base import FormTool, Tool, ToolState
from napari_radcnn.interactive.tools.between import FillBetweenSlices
from napari_radcnn.interactive.tools.contours import Scissors, TraceLevel
from napari_radcnn.interactive.tools.distance import Grow, Shrink
from napari_radcnn.interactive.tools.islands import KeepIsland, KeepLargest, RemoveIsland
from napari_radcnn.interactive.tools.objects import Clear, Combine, CopyLabel
from napari_radcnn.interactive.tools.paint import Paint
from napari_radcnn.interactive.tools.seeds import GrowFromSeeds
from napari_radcnn.interactive.tools.shape import FillHoles, Smooth
from napari_radcnn.interactive.tools.smart import similar_range
from napari_radcnn.interactive.tools.threshold import Margin, Threshold
from napari_radcnn.results import LabelMap

__all__ = [
    "TOOLS",
    "Clear",
    "Combine",
    "CopyLabel",
    "FillBetweenSlices",
    "FillHoles",
    "FormTool",
    "Grow",
    "GrowFromSeeds",
    "KeepIsland",
    "KeepLargest",
    "Margin",
    "Paint",
    "RemoveIsland",
    "Scissors",
    "Shrink",
    "Smooth",
    "Threshold",
    "Tool",
    "ToolState",
    "TraceLevel",
    "similar_range",
    "tool_from_dict",
]

_ALL: tuple[type[Tool], ...] = (
    Paint,
    FillBetweenSlices,
    Grow,
    Shrink,
    FillHoles,
    Smooth,
    KeepLargest,
    KeepIsland,
    RemoveIsland,
    Combine,
    CopyLabel,
    Clear,
    Threshold,
    Margin,
    TraceLevel,
    Scissors,
    GrowFromSeeds,
)
#: All tools by name.
TOOLS: Mapping[str, type[Tool]] = {tool.name: tool for tool in _ALL}


def tool_from_dict(plain: Mapping[str, Any], label_maps: Sequence[LabelMap] = ()) -> Tool:
    """Return the tool that a `to_dict` wrote.

    Parameters
    ----------
    plain : mapping
        With its ``"name"``, as from JSON.
    label_maps : sequence of LabelMap
        What a `CopyLabel` may have copied from; it is recognized by its voxels.

    Raises
    ------
    OptionError
        If there is no such tool, a key is missing or unknown, or a value is out of range.
    """
    name = plain.get("name") if isinstance(plain, Mapping) else None
    if not isinstance(name, str) or name not in TOOLS:
        raise OptionError(f"'{name}' is not a tool; choose from {', '.join(TOOLS)}.")
    if name == CopyLabel.name:
        return CopyLabel.from_label_maps(plain, tuple(label_maps))
    return TOOLS[name].from_dict(plain)

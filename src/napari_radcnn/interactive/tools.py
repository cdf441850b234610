"""Correction tools: brush and eraser, grow and shrink, and what else mends an object without an engine.

A tool is a frozen dataclass; `apply` says what becomes of the object and touches nothing. All distances are in mm of
the patient, so that a tool does the same on every grid.

Examples
--------
>>> tool_from_dict({"name": "grow", "distance_mm": 2})
Grow(distance=2.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_radcnn.errors import OptionError
from napari_radcnn.interactive.tools_base import Tool, ToolState
from napari_radcnn.interactive.tools_distance import Grow, Shrink
from napari_radcnn.interactive.tools_objects import Clear
from napari_radcnn.interactive.tools_paint import Paint

__all__ = ["TOOLS", "Clear", "Grow", "Paint", "Shrink", "Tool", "ToolState", "tool_from_dict"]

#: All tools by name.
TOOLS: Mapping[str, type[Tool]] = {tool.name: tool for tool in (Paint, Grow, Shrink, Clear)}


def tool_from_dict(plain: Mapping[str, Any]) -> Tool:
    """Return the tool that a `to_dict` wrote.

    Raises
    ------
    OptionError
        If there is no such tool, a key is missing or unknown, or a value is out of range.
    """
    name = plain.get("name") if isinstance(plain, Mapping) else None
    if not isinstance(name, str) or name not in TOOLS:
        raise OptionError(f"'{name}' is no tool; there are {', '.join(TOOLS)}.")
    return TOOLS[name].from_dict(plain)

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_radcnn.errors import OptionError, RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import (
    TOOLS,
    Clear,
    Combine,
    FillBetweenSlices,
    FillHoles,
    FormTool,
    Grow,
    GrowFromSeeds,
    KeepIsland,
    KeepLargest,
    Margin,
    Paint,
    RemoveIsland,
    Scissors,
    Shrink,
    Smooth,
    Threshold,
    TraceLevel,
    tool_from_dict,
)
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.options import describe
from tool_states import GRIDS, SHAPE, one_voxel, state_of

#: Every tool but a copied label, whose voxels no dictionary holds.
ALL = {
    Paint(((1, 2, 3), (4, 5, 6.5)), 2.5): {
        "name": "paint",
        "points_mm": [[1, 2, 3], [4, 5, 6.5]],
        "radius_mm": 2.5,
        "erase": False,
        "is_flat": True,
    },
    FillBetweenSlices("j"): {"name": "fill_between_slices", "axis": "j"},
    Grow(2): {"name": "grow", "distance_mm": 2},
    Shrink(0.5): {"name": "shrink", "distance_mm": 0.5},
    FillHoles("i"): {"name": "fill_holes", "axis": "i"},
    Smooth(1.5): {"name": "smooth", "distance_mm": 1.5},
    KeepLargest(): {"name": "keep_largest"},
    KeepIsland((-1, 2, 3)): {"name": "keep_island", "position_mm": [-1, 2, 3]},
    RemoveIsland((-1, 2, 3)): {"name": "remove_island", "position_mm": [-1, 2, 3]},
    Combine(2, "difference", 3.0): {"name": "combine", "other": 2, "operation": "difference", "margin_mm": 3.0},
    Clear(): {"name": "clear"},
    Threshold(-200, 300.5, "add", 2, "j", (-31, 26.5, 48)): {
        "name": "threshold",
        "operation": "add",
        "low": -200,
        "high": 300.5,
        "within": 2,
        "axis": "j",
        "position_mm": [-31, 26.5, 48],
    },
    GrowFromSeeds(2, 12.5, 3, True): {
        "name": "grow_from_seeds",
        "background": 2,
        "margin_mm": 12.5,
        "spread": 3,
        "is_coarse": True,
    },
    Margin(3.5, -5, None): {"name": "margin", "distance_mm": 3.5, "low": -5},
    TraceLevel((-31, 26.5, 48), "i", True): {
        "name": "trace_level",
        "position_mm": [-31, 26.5, 48],
        "axis": "i",
        "erase": True,
    },
    Scissors(((-31, 17, 40), (-31, 30, 40), (-28, 25, 60)), "erase_outside", False, (1, 0, 0.5)): {
        "name": "scissors",
        "points_mm": [[-31, 17, 40], [-31, 30, 40], [-28, 25, 60]],
        "operation": "erase_outside",
        "is_through": False,
        "normal": [1, 0, 0.5],
    },
}
tools = pytest.mark.parametrize("tool", ALL, ids=lambda tool: tool.name)


def test_every_tool_is_on_the_list():
    assert set(TOOLS) == {tool.name for tool in ALL} | {"copy_label"}
    assert all(name == kind.name for name, kind in TOOLS.items())


@tools
def test_a_tool_survives_json(tool):
    assert tool.to_dict() == ALL[tool]
    assert tool_from_dict(json.loads(json.dumps(tool.to_dict()))) == tool


@tools
def test_an_unknown_setting_is_refused(tool):
    with pytest.raises(OptionError, match=f"'distance' is not a setting of '{tool.name}'"):
        tool_from_dict(tool.to_dict() | {"distance": 2})


@tools
def test_titles_differ_and_are_short(tool):
    others = [other.title for other in ALL if other is not tool]
    assert tool.title not in others
    assert 0 < len(tool.title) < 60
    assert tool.title[0].isupper()


@pytest.mark.parametrize("plain", [{}, {"name": "dilate"}, {"name": 3}, {"distance_mm": 2}, "grow", None, [1]])
def test_what_is_no_tool_is_refused(plain):
    with pytest.raises(OptionError, match="is not a tool; choose from paint"):
        tool_from_dict(plain)


@pytest.mark.parametrize(
    "plain",
    [
        {"name": "grow", "distance_mm": "2"},
        {"name": "grow", "distance_mm": -2},
        {"name": "grow", "distance_mm": None},
        {"name": "smooth", "distance_mm": 0},
        {"name": "keep_island"},
        {"name": "remove_island", "position_mm": [1, 2]},
        {"name": "combine", "other": "2"},
        {"name": "paint", "points_mm": [[1, 2, 3]], "radius_mm": 1, "erase": "yes"},
        {"name": "paint", "points_mm": {"0": [1, 2, 3]}, "radius_mm": 1},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(plain):
    with pytest.raises(OptionError):
        tool_from_dict(plain)


@pytest.mark.parametrize("kind", [kind for kind in TOOLS.values() if issubclass(kind, FormTool)])
def test_a_form_can_be_made_of_the_simple_tools(kind):
    for entry in describe(kind):
        assert entry.title
        assert entry.help
        assert not entry.help.endswith(".")
        entry.check(entry.default)


@tools
def test_a_tool_touches_nothing(tool):
    """The labels are read-only, and the state that a viewer shows must not change before the answer is taken over."""
    labels = one_voxel()
    labels[3:6, 9:14, 9:16] = 1
    labels[4, 10, 11] = 0
    labels[7] = 2
    grid = GRIDS["oblique"]
    if isinstance(tool, KeepIsland | RemoveIsland):
        tool = type(tool)(grid.to_world((4, 11, 12)))
    state = state_of(labels, grid, array=np.indices(SHAPE, np.int16).sum(axis=0))
    before = tool.apply(state, Monitor(1))
    np.testing.assert_array_equal(state.labels, labels)
    after = tool.apply(state, Monitor(1))
    assert (before is None) == (after is None)
    if before is not None:
        assert before.box == after.box
        for name in ("labels",) if tool.is_of_all else ("mask",):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        assert all(0 <= e.start < e.stop <= n for e, n in zip(before.box, SHAPE, strict=True))


ODD = {
    "uint8": np.zeros((2, 9, 11), np.uint8),
    "fractions": np.linspace(0, 1, 198).reshape(2, 9, 11),
    "not finite": np.full((2, 9, 11), np.nan, np.float32),
    "inverted": -np.indices((2, 9, 11), np.int16).sum(axis=0),
    "infinite": np.where(np.indices((2, 9, 11)).sum(axis=0) % 2, np.inf, 3.0),
}


@pytest.mark.parametrize("step", [0.05, 20.0])
@pytest.mark.parametrize("kind", ODD)
def test_tools_that_ask_for_values_answer_on_odd_scans(kind, step):
    """An answer, or an error that is ours; and never an object that is the whole scan by accident."""
    grid = Geometry.from_parts((2, 9, 11), (step, step * 0.7, step * 1.3), (-3.0, 5.0, 1.0))
    labels = np.zeros(grid.shape, np.uint16)
    labels[0, 2:4, 2:4], labels[1, 6, 8] = 1, 2
    state = state_of(labels, grid, array=ODD[kind])
    at = tuple(grid.to_world((1, 4, 5)))
    corners = [tuple(grid.to_world((1, *corner))) for corner in ((1, 1), (1, 6), (6, 3))]
    for tool in (
        Threshold(0.2, 0.7),
        Threshold(-1e12, None, "keep", axis="i", position=at),
        Margin(3 * step, 0.1, 1e6),
        GrowFromSeeds(),
        GrowFromSeeds(2),
        TraceLevel(at),
        Scissors(corners),
        Paint([at], 2 * step, low=0, high=1, is_connected=True),
    ):
        try:
            update = tool.apply(state, Monitor(1))
        except RadcnnError:
            continue
        if update is not None:
            changed = update.labels == 1 if tool.is_of_all else update.mask
            assert np.count_nonzero(changed) < 0.95 * labels.size, tool

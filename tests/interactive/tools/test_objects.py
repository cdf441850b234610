from __future__ import annotations

import json
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

from napari_radcnn.errors import CancelledError, GeometryError, OptionError, SessionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import Combine, CopyLabel, tool_from_dict
from napari_radcnn.phantom import rotation
from napari_radcnn.progress import Monitor
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import VolumeMetadata
from tool_states import GRIDS, SHAPE, applied, ball_labels, near_by_trying_all, one_voxel, positions, state_of

GRID = GRIDS["oblique"]


def _two():
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:6, 4:12, 5:13] = 1
    labels[3:8, 12:17, 8:20] = 2
    labels[0, 0, 0] = 3
    return labels


# -- two objects of a session ---------------------------------------------------------------------------------------


def test_a_union_takes_the_other_object_over():
    labels = _two()
    state = state_of(labels, GRID)
    np.testing.assert_array_equal(applied(Combine(2, "union"), state), (labels == 1) | (labels == 2))
    update = Combine(2, "union").apply(state, Monitor(1))
    assert update.box == (slice(3, 8), slice(12, 17), slice(8, 20))


def test_without_a_margin_objects_share_nothing():
    state = state_of(_two(), GRID)
    assert Combine(2, "difference").apply(state, Monitor(1)) is None
    assert not applied(Combine(2, "intersection"), state).any()


@pytest.mark.parametrize("name", ["axial", "oblique", "sheared"])
@pytest.mark.parametrize("margin", [0.0, 0.8, 2.6])
def test_combinations_are_those_of_sets(name, margin):
    labels, grid = _two(), GRIDS[name]
    one, two = labels == 1, labels == 2
    other = near_by_trying_all(two, grid, margin) if margin else two
    state = state_of(labels, grid)
    np.testing.assert_array_equal(applied(Combine(2, "union", margin), state), one | other)
    np.testing.assert_array_equal(applied(Combine(2, "intersection", margin), state), one & other)
    np.testing.assert_array_equal(applied(Combine(2, "difference", margin), state), one & ~other)


def test_with_an_empty_object_a_union_takes_all_and_nothing_else_changes():
    state = state_of(_two(), GRID, value=9)
    np.testing.assert_array_equal(applied(Combine(2, "union"), state), _two() == 2)
    assert Combine(2, "intersection").apply(state, Monitor(1)) is None
    assert Combine(2, "difference", 1.0).apply(state, Monitor(1)) is None


def test_the_other_object_may_be_empty():
    labels = _two()
    labels[labels == 2] = 0
    state = state_of(labels, GRID)  # object 2 is there, but holds no voxel
    assert Combine(2, "union", 1.0).apply(state, Monitor(1)) is None
    assert Combine(2, "difference", 1.0).apply(state, Monitor(1)) is None
    assert not applied(Combine(2, "intersection", 1.0), state).any()


def test_an_object_is_not_combined_with_itself_or_with_none():
    state = state_of(_two(), GRID)
    with pytest.raises(OptionError, match="itself"):
        Combine(1, "union").apply(state, Monitor(1))
    with pytest.raises(SessionError, match="no object 7"):
        Combine(7, "union").apply(state, Monitor(1))


@pytest.mark.parametrize("values", [(2, "xor"), (2, "union", -1.0), ("2",), (2.0,), (-1,), (2, "union", float("nan"))])
def test_a_combination_that_makes_no_sense_is_refused(values):
    with pytest.raises(OptionError):
        Combine(*values)


def test_combining_can_be_stopped():
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        Combine(2, "union").apply(state_of(_two(), GRID), Monitor(1, None, stop))


# -- a label of a label map -----------------------------------------------------------------------------------------


def _result(geometry, array, frame=""):
    metadata = VolumeMetadata(frame_of_reference_uid=frame)
    return LabelMap(array, geometry, {1: Label("liver"), 2: Label("spleen")}, "CT 3 · organs", metadata=metadata)


def _organs():
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 2:20, 3:22] = 1
    array[5:8, 6:13, 2:9] = 2
    return array


@pytest.mark.parametrize("operation", ["replace", "union", "intersection", "difference"])
@pytest.mark.parametrize("label", [1, 2])
def test_a_label_is_copied_on_the_same_grid(operation, label):
    labels, array = _two(), _organs()
    one, copy = labels == 1, array == label
    expected = {"replace": copy, "union": one | copy, "intersection": one & copy, "difference": one & ~copy}
    tool = CopyLabel(_result(GRID, array), label, operation)
    np.testing.assert_array_equal(applied(tool, state_of(labels, GRID)), expected[operation])
    assert tool.apply(state_of(expected["replace"], GRID), Monitor(1)) is None or operation == "difference"


def test_a_label_is_copied_into_an_empty_object():
    for operation, expected in {"replace": _organs() == 2, "union": _organs() == 2}.items():
        tool = CopyLabel(_result(GRID, _organs()), 2, operation)
        np.testing.assert_array_equal(applied(tool, state_of(np.zeros(SHAPE), GRID)), expected)
    for operation in ("intersection", "difference"):
        tool = CopyLabel(_result(GRID, _organs()), 2, operation)
        assert tool.apply(state_of(np.zeros(SHAPE), GRID), Monitor(1)) is None


def _other_grids():
    """Finer and turned; coarser and on the left; a reoriented view; shifted by part of a voxel."""
    center = GRID.to_world((4, 11, 12.5))
    direction = rotation(25.0, 10.0, -30.0) @ np.eye(3)[:, ::-1]
    fine = Geometry.from_parts((40, 44, 46), (0.9, 0.6, 0.5), (0, 0, 0), direction)
    affine = fine.affine.copy()
    affine[:3, 3] = center - fine.affine[:3, :3] @ (19.5, 21.5, 22.5)
    coarse = GRID.cropped((slice(0, 9), slice(0, 23), slice(0, 13))).with_spacing((5.0, 1.9, 1.7))
    moved = GRID.affine.copy()
    moved[:3, 3] += GRID.affine[:3, :3] @ (0.3, -0.4, 0.2)
    return {
        "fine": Geometry((40, 44, 46), affine),
        "coarse": coarse,
        "reoriented": GRID.reoriented(GRID.axis_map("RAS")),
        "moved": Geometry(SHAPE, moved),
    }


@pytest.mark.parametrize("name", _other_grids())
def test_on_another_grid_every_voxel_gets_what_lies_at_its_center(name):
    source = _other_grids()[name]
    center = GRID.to_world((4.2, 10.7, 8.1))
    array = (np.linalg.norm(positions(source) - center, axis=-1) <= 5.0).astype(np.uint8) * 2
    array[0, 0, 0] = 1
    index = source.to_index(positions(GRID))
    nearest = np.rint(index).astype(int)
    inside = ((nearest >= 0) & (nearest < source.shape)).all(axis=-1)
    expected = np.zeros(SHAPE, bool)
    expected[inside] = array[tuple(nearest[inside].T)] == 2
    copied = applied(CopyLabel(_result(source, array), 2), state_of(one_voxel(), GRID))
    between = (np.abs(index - np.floor(index) - 0.5) < 1e-6).any(axis=-1)  # right between two voxels: either
    assert np.count_nonzero(expected) > 100
    np.testing.assert_array_equal(copied[~between], expected[~between])


def test_a_label_at_the_border_is_not_cut_short():
    """The outer half of a border voxel belongs to it."""
    source = GRID.cropped((slice(2, 6), slice(3, 9), slice(4, 10)))
    array = np.full(source.shape, 2, np.uint8)
    wide = GRID.with_shape((18, 46, 52))
    copied = applied(CopyLabel(_result(source, array), 2), state_of(np.zeros(wide.shape), wide))
    expected = np.zeros(wide.shape, bool)
    expected[4:12, 6:18, 8:20] = True
    np.testing.assert_array_equal(copied, expected)


def test_known_different_patient_spaces_are_refused_and_unknown_ones_are_not():
    state = state_of(one_voxel(), GRID, metadata=VolumeMetadata(frame_of_reference_uid="1.2.3"))
    with pytest.raises(GeometryError, match="frames of reference"):
        CopyLabel(_result(GRID, _organs(), "1.2.4"), 1).apply(state, Monitor(1))
    for frame in ("1.2.3", ""):
        assert CopyLabel(_result(GRID, _organs(), frame), 1).apply(state, Monitor(1)) is not None


def test_a_label_outside_the_scan_is_refused():
    affine = GRID.affine.copy()
    affine[:3, 3] += 500.0
    with pytest.raises(GeometryError, match="outside the scan"):
        CopyLabel(_result(Geometry(SHAPE, affine), _organs()), 1).apply(state_of(one_voxel(), GRID), Monitor(1))


@pytest.mark.parametrize("values", [(3,), (0,), (-1,), (True,), (1.0,), (1, "xor")])
def test_a_label_that_is_not_there_is_refused(values):
    with pytest.raises(OptionError):
        CopyLabel(_result(GRID, _organs()), *values)


def test_a_copy_is_known_by_its_voxels():
    result = _result(GRID, _organs())
    tool = CopyLabel(result, 2, "union")
    plain = json.loads(json.dumps(tool.to_dict()))
    assert {key: plain[key] for key in ("name", "label_map", "label", "label_name", "operation")} == {
        "name": "copy_label",
        "label_map": "CT 3 · organs",
        "label": 2,
        "label_name": "spleen",
        "operation": "union",
    }
    changed = _organs()
    changed[5, 6, 2] = 0
    wider = replace(result, array=_organs().astype(np.uint16), name="the same from a file")
    again = tool_from_dict(plain, (_result(GRID, changed), _result(GRIDS["sheared"], _organs()), wider))
    assert again.label_map is wider
    assert again.to_dict()["sha256"] == plain["sha256"]
    with pytest.raises(OptionError, match="none of the label maps provided"):
        tool_from_dict(plain, (_result(GRID, changed),))
    with pytest.raises(OptionError, match=r"needs the label map 'CT 3 · organs'"):
        tool_from_dict(plain)
    with pytest.raises(OptionError, match="array"):
        tool_from_dict(plain | {"array": []}, (result,))
    with pytest.raises(OptionError, match="sha256"):
        tool_from_dict({"name": "copy_label", "label_map": "x", "label": 1}, (result,))


@pytest.mark.parametrize("label", ["1", 1.0, True, None, 0])
def test_a_label_that_is_no_number_is_refused_when_read(label):
    plain = CopyLabel(_result(GRID, _organs()), 1).to_dict() | {"label": label}
    with pytest.raises(OptionError, match="whole number"):
        tool_from_dict(plain, (_result(GRID, _organs()),))


def test_a_label_map_without_the_label_is_passed_over():
    empty = _result(GRID, np.zeros(SHAPE, np.uint8))
    plain = CopyLabel(_result(GRID, _organs()), 2).to_dict()
    assert tool_from_dict(plain, (empty, _result(GRID, _organs()))).label == 2


def test_titles_say_what_was_done():
    result = _result(GRID, _organs())
    assert CopyLabel(result, 1).title == "Copy of liver"
    assert CopyLabel(result, 1, "difference").title == "Difference with liver"
    unnamed = replace(result, labels={})
    assert CopyLabel(unnamed, 1).title == "Copy of label 1"
    assert Combine(2, "difference", 3.0).title == "Difference with object 2 grown by 3 mm"


def test_copying_does_not_touch_the_label_map():
    array = ball_labels(GRID, (4, 11, 12), 4.0).astype(np.uint8)
    before = array.copy()
    CopyLabel(_result(GRID, array), 1, "difference").apply(state_of(_two(), GRID), Monitor(1))
    np.testing.assert_array_equal(array, before)

"""Rulers against closed forms on awkward grids, and RECIST against worked examples."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.errors import OptionError, ReadError, WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.measure import Ruler, follow_up, read_rulers, write_rulers
from napari_radcnn.measure.ruler_table import value_text
from napari_radcnn.phantom import rotation
from napari_radcnn.volume import Volume, VolumeMetadata
from solids import center_of, grids, positions

GRIDS = grids()
TURN = rotation(20.0, -35.0, 50.0)


def placed(*flat, turn=TURN, at=(10.0, -20.0, 30.0)):
    """Return points that were given in a plane, somewhere in the patient."""
    return tuple(tuple(point) for point in (np.array(at) + np.array([(*p, 0.0) for p in flat]) @ turn.T).tolist())


def test_sizes_in_any_plane():
    assert Ruler("distance", placed((0, 0), (3, 4))).sizes == {"length_mm": pytest.approx(5)}
    assert Ruler("angle", placed((2, 0), (0, 0), (-3, 3 * np.sqrt(3)))).sizes == {"angle_deg": pytest.approx(120)}
    assert Ruler("angle", placed((2, 0), (0, 0), (2, 1e-9))).sizes["angle_deg"] == pytest.approx(0, abs=1e-6)
    # a Cobb angle is that of lines: 150 degrees between the directions are 30 between the lines
    tilted = (np.cos(np.radians(150)), np.sin(np.radians(150)))
    cobb = Ruler("cobb", placed((0, 0), (7, 0), (1, 20), (1 + 9 * tilted[0], 20 + 9 * tilted[1])))
    assert cobb.sizes == {"angle_deg": pytest.approx(30)}
    two = Ruler("bidirectional", placed((0, 0), (6, 0), (3, -4), (3, 5)))
    assert two.sizes == {"long_axis_mm": pytest.approx(9), "short_axis_mm": pytest.approx(6)}
    assert two.diameter == pytest.approx(9)
    assert Ruler("bidirectional", two.points, is_node=True).diameter == pytest.approx(6)
    ellipse = Ruler("ellipse", placed((-5, 0), (5, 0), (0, -3), (0, 3)))
    assert ellipse.sizes["area_mm2"] == pytest.approx(np.pi * 15)
    assert Ruler("rectangle", placed((0, 0), (6, 0), (6, 2.5), (0, 2.5))).sizes == {"area_mm2": pytest.approx(15)}
    # an L, which is not convex
    corners = ((0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (0, 3))
    assert Ruler("freehand", placed(*corners)).sizes == {"area_mm2": pytest.approx(6)}
    ball = Ruler("sphere", placed((0, 0), (0, 10)))
    assert ball.sizes == {"diameter_mm": pytest.approx(20), "volume_ml": pytest.approx(4.18879, abs=1e-4)}


@pytest.mark.parametrize("name", GRIDS)
def test_values_of_a_linear_field(name):
    """The mean of a symmetric region of a linear field is the value at its center."""
    grid = GRIDS[name]
    field = positions(grid) @ (3.0, 5.0, 7.0)
    scan = Volume(field, grid, VolumeMetadata(units="HU"))
    index = np.array(grid.shape) // 2
    center = grid.to_world(index)
    down, right = grid.direction[:, 1], grid.direction[:, 2]

    def at(a, b):
        return tuple((center + a * down + b * right).tolist())

    ellipse = Ruler("ellipse", (at(-12.1, 0), at(12.1, 0), at(0, -7.3), at(0, 7.3)))
    found = ellipse.measure(scan)
    assert found["mean"] == pytest.approx(center @ (3.0, 5.0, 7.0))
    assert found["voxels"] * 0.8 * 0.7 == pytest.approx(np.pi * 12.1 * 7.3, rel=0.02)
    box = Ruler("rectangle", (at(-4.2, -3.1), at(-4.2, 3.1), at(4.2, 3.1), at(4.2, -3.1)))
    part = field[index[0], index[1] - 5 : index[1] + 6, index[2] - 4 : index[2] + 5]
    assert box.measure(scan) == {
        "area_mm2": pytest.approx(8.4 * 6.2),
        "voxels": part.size,
        "mean": pytest.approx(part.mean()),
        "sd": pytest.approx(part.std()),
        "min": pytest.approx(part.min()),
        "max": pytest.approx(part.max()),
    }
    ball = Ruler("sphere", (tuple(center.tolist()), at(0, 11.0)))
    found = ball.measure(scan)
    assert found["mean"] == pytest.approx(center @ (3.0, 5.0, 7.0))
    assert found["voxels"] * grid.voxel_volume / 1000 == pytest.approx(found["volume_ml"], rel=0.03)


@pytest.mark.parametrize("kind", ["sphere", "ellipse"])
def test_values_of_a_region_that_is_gone_through_in_parts(kind, monkeypatch):
    """A sheared grid, padding and what is no number, by masks of the whole scan."""
    affine = np.eye(4)
    affine[:3, :3] = TURN @ np.array([[0.1, 0.05, 0.7], [0.3, 0.8, 0.02], [2.5, 0.0, 0.1]])
    grid = Geometry((30, 80, 90), affine)
    array = np.random.default_rng(2).normal(40, 90, grid.shape)
    array[10:14, 30:40, 35:50], array[15, 38:44, 40:50] = -2000, np.nan
    scan = Volume(array, grid, VolumeMetadata(padding_value=-2000.0))
    place, center = positions(grid), grid.to_world((14.0, 41.0, 44.0))
    if kind == "sphere":
        ruler = Ruler(kind, (tuple(center), tuple(center + np.array((0.0, 11.3, 0.0)))))
        is_inside = np.linalg.norm(place - center, axis=-1) <= 11.3
    else:
        ends = ((-20.2, 0), (20.2, 0), (0, -9.1), (0, 9.1))
        ruler = Ruler(kind, placed(*ends, at=center))
        local = (place - center) @ TURN
        half = np.abs(TURN[:, 2] @ affine[:3, :3]).max() / 2
        away = np.sqrt((local[..., 0] / 20.2) ** 2 + (local[..., 1] / 9.1) ** 2)
        is_inside = (away <= 1) & (np.abs(local[..., 2]) <= half)
    values = array[is_inside & np.isfinite(array) & (array != -2000)]
    monkeypatch.setattr("napari_radcnn.measure.rulers._VOXELS", 1000)
    found = ruler.measure(scan)
    tolerance = 0 if kind == "sphere" else 0.01 * len(values)  # an ellipse is drawn with 128 corners
    assert found["voxels"] == pytest.approx(len(values), abs=tolerance)
    assert found["mean"] == pytest.approx(values.mean(), abs=0.02 * values.std() * bool(tolerance) + 1e-9)
    assert found["sd"] == pytest.approx(values.std(), rel=0.02 * bool(tolerance) + 1e-9)
    if not tolerance:
        assert (found["min"], found["max"]) == (values.min(), values.max())
    monkeypatch.undo()
    whole = ruler.measure(scan)
    assert found == {key: pytest.approx(value) for key, value in whole.items()}


def test_an_oblique_plane_and_a_region_outside():
    grid = GRIDS["axial"]
    center = center_of(grid)
    scan = Volume(positions(grid) @ (3.0, 5.0, 7.0), grid)
    points = [(-14, -14), (14, -14), (14, 14), (-14, 14)]
    found = Ruler("freehand", placed(*points, at=center)).measure(scan)
    assert found["mean"] == pytest.approx(center @ (3.0, 5.0, 7.0), rel=0.02)
    outside = Ruler("sphere", (tuple(center + 500), tuple(center + 510)))
    assert outside.measure(scan) == {**outside.sizes, "voxels": 0, "mean": None, "sd": None, "min": None, "max": None}
    assert Ruler("distance", placed((0, 0), (900, 0))).measure(scan) == {"length_mm": pytest.approx(900)}
    empty = Ruler("freehand", placed((0, 0), (5, 0), (9, 0), at=center))
    assert empty.measure(scan)["voxels"] == 0
    nothing = Volume(np.full(grid.shape, np.nan), grid)
    assert Ruler("sphere", (tuple(center), tuple(center + 5))).measure(nothing)["mean"] is None


def test_large_values_are_written_out():
    """A PET in Bq/ml has values of five digits."""
    found = {"area_mm2": 47.13, "voxels": 105072, "mean": 12345.6, "sd": 1234.5, "min": -0.5, "max": 99999.7}
    assert value_text(found, "Bq/ml") == "47 mm² · 12346 ± 1234 Bq/ml"
    assert value_text({**found, "mean": 801.26, "sd": 9.128}, "HU") == "47 mm² · 801.3 ± 9.13 HU"


def test_what_is_no_ruler_is_refused():
    for kind, points, message in (
        ("line", placed((0, 0), (1, 1)), "is no ruler"),
        ("distance", placed((0, 0)), "has 2 points, not 1"),
        ("freehand", placed((0, 0), (1, 0)), "at least 3"),
        ("distance", ((0.0, 0.0, 0.0), (np.nan, 0.0, 0.0)), "finite"),
    ):
        with pytest.raises(OptionError, match=message):
            Ruler(kind, points)


def test_rulers_are_read_as_they_were_written(tmp_path):
    rulers = [
        Ruler("distance", placed((0, 0), (3, 4)), "liver; 1, left", "2026-01-05", True, False, "1.2.3"),
        Ruler("freehand", placed((0, 0), (4, 0), (4, 1)), 'a "node"', "", False, True),
    ]
    path = write_rulers(rulers, tmp_path / "r.csv", [rulers[0].measure(), {**rulers[1].sizes, "mean": 3.5}], "HU")
    assert read_rulers(path) == rulers
    assert "HU" in path.read_text().splitlines()[2]
    path.write_text(path.read_text().replace("freehand", "circle"))
    with pytest.raises(ReadError, match=r"line 3.*'circle' is no ruler"):
        read_rulers(path)
    (tmp_path / "other.csv").write_text("case,score\n1,2\n")
    with pytest.raises(ReadError, match="line 2: no ruler"):
        read_rulers(tmp_path / "other.csv")


def test_a_table_is_not_written_under_the_name_of_a_report(tmp_path):
    with pytest.raises(WriteError, match="write_ruler_report"):
        write_rulers([Ruler("distance", placed((0, 0), (3, 4)))], tmp_path / "r.sr.dcm")
    assert not list(tmp_path.iterdir())


def targets(visit, **sizes):
    return [
        Ruler(
            "bidirectional", placed((0, 0), (size, 0), (0, 0), (0, size / 2)), name, visit, True, name.startswith("n")
        )
        for name, size in sizes.items()
    ]


def test_recist_over_visits():
    """Sums 80, 50, 61, 0: partial response at -37.5 %, progression at +22 % and 11 mm over the nadir, complete."""
    rulers = [
        *targets("2026-01", a=50, b=20, n=20),
        *targets("2026-03", a=30, b=14, n=12),
        *targets("2026-05", a=41, b=14, n=12),
        *targets("2026-07", a=0, b=0, n=18),
        Ruler("distance", placed((0, 0), (99, 0)), "no target", "2026-05"),
    ]
    visits, told = follow_up(rulers[::-1])
    assert [visit.total for visit in visits] == pytest.approx([80, 50, 61, 9])
    assert [visit.response for visit in visits] == ["", "PR", "PD", "CR"]  # the node of 9 mm is normal
    assert visits[1].from_baseline == pytest.approx(-37.5)
    assert visits[2].from_nadir == pytest.approx(22)
    assert told == []


def test_visits_are_in_the_order_of_their_numbers():
    rulers = [*targets("week 12", a=30), *targets("week 4", a=20), *targets("baseline", a=40)]
    visits, _ = follow_up(rulers)
    assert [visit.name for visit in visits] == ["baseline", "week 4", "week 12"]
    assert [visit.from_baseline for visit in visits[1:]] == pytest.approx([-50, -25])
    assert visits[2].from_nadir == pytest.approx(50)  # of 20 mm
    assert [visit.response for visit in visits] == ["", "PR", "PD"]


def test_a_region_of_another_patient_space_has_no_values():
    grid = GRIDS["axial"]
    scan = Volume(np.ones(grid.shape), grid, VolumeMetadata(frame_of_reference_uid="1.2"))
    points = (tuple(center_of(grid)), tuple(center_of(grid) + 5))
    for space, is_measured in (("1.2", True), ("", True), ("1.3", False)):
        ball = Ruler("sphere", points, frame_of_reference_uid=space)
        assert ball.is_in_space_of(scan) == is_measured
        assert ("mean" in ball.measure(scan)) == is_measured


def test_recist_at_its_limits():
    # 20 % over the nadir is not enough below 5 mm
    visits, _ = follow_up([*targets("1", a=20), *targets("2", a=24)])
    assert visits[1].response == "SD"
    visits, _ = follow_up([*targets("1", a=25), *targets("2", a=30)])
    assert visits[1].response == "PD"
    visits, _ = follow_up([*targets("1", a=100), *targets("2", a=70)])
    assert visits[1].response == "PR"
    visits, told = follow_up([*targets("1", a=40, b=40), *targets("2", a=39), *targets("3", a=40, b=50, c=11)])
    assert [visit.response for visit in visits] == ["", "NE", "SD"]
    assert visits[2].total == pytest.approx(90)
    assert "new lesion is progressive disease" in told[0]
    with pytest.raises(OptionError, match="measured twice at visit '1'"):
        follow_up([*targets("1", a=40), *targets("1", a=41)])
    with pytest.raises(OptionError, match="no diameter"):
        follow_up([Ruler("rectangle", placed((0, 0), (1, 0), (1, 1), (0, 1)), "a", "1", True)])
    many = {f"t{n}": 20 for n in range(6)}
    assert "at most 5" in follow_up(targets("1", **many))[1][0]

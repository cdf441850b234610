"""Contours (RTSTRUCT) become label volumes: area, holes, overlaps, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from contour_files import box, write_contours
from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io import list_series
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.volume import Volume

SHAPE = (3, 12, 15)


@pytest.fixture
def scan(tmp_path: Path) -> Volume:
    grid = oblique_geometry(SHAPE)
    write_dicom_series(tmp_path / "scan", world_field(grid), modality="CT")
    (volume,) = radcnn.read(tmp_path / "scan")
    return volume


def test_voxels_with_their_center_inside_belong_to_a_region(scan: Volume, tmp_path: Path) -> None:
    g = scan.geometry
    regions = {
        "Liver": [
            box(g, 0, (1.5, 2.5), (7.5, 11.5)),
            box(g, 0, (3.5, 4.5), (5.5, 8.5)),
            box(g, 2, (-3, -3), (1.5, 2.5)),
        ],
        "Spleen": [box(g, 1, (2.5, 3.5), (4.5, 5.5))],
    }
    write_contours(tmp_path / "rs.dcm", scan, regions)
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[0, 2:8, 3:12] = 1
    wanted[0, 4:6, 5:9] = 0  # a contour inside another is a hole
    wanted[2, 0:2, 0:3] = 1
    wanted[1, 3:5, 4:6] = 2
    np.testing.assert_array_equal(found.array, wanted)
    assert found.geometry.is_close(g)
    assert found.metadata.is_label
    assert found.metadata.label_names == {1: "Liver", 2: "Spleen"}
    assert found.name == "RTSTRUCT 9"


def test_a_folder_gives_the_scan_and_its_contours(scan: Volume, tmp_path: Path) -> None:
    write_contours(tmp_path / "rs.dcm", scan, {"a": [box(scan.geometry, 1, (2.5, 2.5), (5.5, 5.5))]})
    image, labels = radcnn.read(tmp_path)
    assert (image.modality, labels.modality, int((labels.array == 1).sum())) == ("CT", "RTSTRUCT", 9)
    assert {info.modality: info.problem for info in list_series(tmp_path)} == {"CT": None, "RTSTRUCT": None}


def test_contours_can_be_written_as_a_segmentation(scan: Volume, tmp_path: Path) -> None:
    write_contours(tmp_path / "rs.dcm", scan, {"Liver": [box(scan.geometry, 1, (2.5, 2.5), (5.5, 5.5))]})
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    radcnn.write(found, tmp_path / "x.seg.dcm")
    (back,) = radcnn.read(tmp_path / "x.seg.dcm")
    np.testing.assert_array_equal(back.array, found.array)
    assert back.metadata.label_names == {1: "Liver"}


def test_overlapping_regions_become_several_volumes(scan: Volume, tmp_path: Path) -> None:
    g = scan.geometry
    regions = {"a": [box(g, 1, (1.5, 1.5), (6.5, 6.5))], "b": [box(g, 1, (4.5, 4.5), (8.5, 8.5))]}
    write_contours(tmp_path / "rs.dcm", scan, regions)
    first, second = radcnn.read(tmp_path / "rs.dcm")
    assert (int((first.array == 1).sum()), int((second.array == 2).sum())) == (25, 16)
    assert any("overlap" in text for text in first.warnings)


def mask(low: tuple[int, int], high: tuple[int, int]) -> np.ndarray:
    """Return the voxels of a slice that `box` with half a voxel more on each side encloses."""
    found = np.zeros(SHAPE[1:], bool)
    found[low[0] : high[0], low[1] : high[1]] = True
    return found


OUTER, INNER, CORE = ((0.5, 0.5), (9.5, 12.5)), ((2.5, 2.5), (7.5, 9.5)), ((3.5, 4.5), (5.5, 6.5))
BESIDE = ((5.5, 8.5), (11.5, 14.5))
IN_OUTER, IN_INNER, IN_CORE = mask((1, 1), (10, 13)), mask((3, 3), (8, 10)), mask((4, 5), (6, 7))
IN_BESIDE = mask((6, 9), (12, 15))


@pytest.mark.parametrize(
    ("drawn", "wanted", "said"),
    [
        ([OUTER, OUTER], IN_OUTER, "1 contours of 'Liver' are duplicates"),
        ([OUTER, OUTER, OUTER], IN_OUTER, "2 contours of 'Liver' are duplicates"),
        ([INNER, OUTER, INNER, OUTER], IN_OUTER & ~IN_INNER, "2 contours of 'Liver' are duplicates"),
        ([OUTER, BESIDE], IN_OUTER | IN_BESIDE, "overlap on 1 slices"),
        ([BESIDE, INNER, OUTER], (IN_OUTER | IN_BESIDE) & ~IN_INNER, "overlap on 1 slices"),
        ([CORE, OUTER, INNER], (IN_OUTER & ~IN_INNER) | IN_CORE, ""),
        ([INNER, OUTER], IN_OUTER & ~IN_INNER, ""),
    ],
    ids=["twice", "three times", "hole twice", "crossing", "crossing with a hole", "part in a hole", "hole"],
)
def test_no_contour_erases_what_another_encloses(drawn, wanted, said: str, scan: Volume, tmp_path: Path) -> None:
    contours = [box(scan.geometry, 1, *corners) for corners in drawn]
    contours[-1] = np.roll(contours[-1], 1, axis=0)[::-1]  # the same outline, begun elsewhere and run the other way
    write_contours(tmp_path / "rs.dcm", scan, {"Liver": contours})
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    np.testing.assert_array_equal(found.array[1] == 1, wanted)
    assert not found.array[[0, 2]].any()
    assert [said in line for line in found.warnings] == [True] * bool(said)


@pytest.mark.parametrize(
    ("drawn", "wanted", "said"),
    [
        ([OUTER, BESIDE], IN_OUTER ^ IN_BESIDE, []),
        ([OUTER, INNER], IN_OUTER & ~IN_INNER, []),
        ([OUTER, OUTER], IN_OUTER & False, ["cancel each other", "does not enclose the center of any voxel"]),
        ([INNER, OUTER, INNER], IN_OUTER, ["cancel each other"]),
    ],
    ids=["crossing", "hole", "twice", "hole twice"],
)
def test_exclusive_or_is_kept_to_and_told_where_it_erases(drawn, wanted, said, scan: Volume, tmp_path: Path) -> None:
    contours = [box(scan.geometry, 1, *corners) for corners in drawn]
    write_contours(tmp_path / "rs.dcm", scan, {"Liver": contours}, kind="CLOSEDPLANAR_XOR")
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    np.testing.assert_array_equal(found.array[1] == 1, wanted)
    assert [word in line for word, line in zip(said, found.warnings, strict=True)] == [True] * len(said)


def test_a_contour_between_the_centers_of_voxels_is_told(scan: Volume, tmp_path: Path) -> None:
    small = box(scan.geometry, 1, (2.2, 2.2), (2.8, 2.8))
    whole = box(scan.geometry, 1, *INNER)
    write_contours(tmp_path / "rs.dcm", scan, {"Nerve": [small], "Liver": [whole, small]})
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    np.testing.assert_array_equal(found.array[1], IN_INNER * 2)
    assert found.warnings == ("'Nerve' does not enclose the center of any voxel: it is not shown.",)


def test_a_hole_that_touches_the_edge_stays_a_hole_and_a_second_outline_is_none(scan: Volume, tmp_path: Path) -> None:
    g = scan.geometry
    #: One voxel of the hole, (5, 13), lies outside of the outline; the second outline has a voxel more, and one less.
    hole = [(2.5, 5.5), (2.5, 12.5), (4.5, 12.5), (4.5, 13.5), (5.5, 13.5), (5.5, 12.5), (7.5, 12.5), (7.5, 5.5)]
    again = [(0.5, 0.5), (0.5, 11.5), (1.5, 11.5), (1.5, 12.5), (8.5, 12.5), (8.5, 13.5), (9.5, 13.5), (9.5, 0.5)]
    outer = box(g, 1, *OUTER)
    regions = {
        "Wall": [outer, g.to_world([(1, *corner) for corner in hole])],
        "Organ": [g.to_world([(1, *corner) for corner in again]), outer],
    }
    write_contours(tmp_path / "rs.dcm", scan, regions)
    wall, organ = radcnn.read(tmp_path / "rs.dcm")
    np.testing.assert_array_equal(wall.array[1] == 1, IN_OUTER & ~mask((3, 6), (8, 13)))
    np.testing.assert_array_equal(organ.array[1] == 2, IN_OUTER | mask((9, 13), (10, 14)))
    assert [f"'{name}' overlap on 1 slices" in line for name, line in zip(regions, wall.warnings, strict=False)] == [
        True,
        True,
    ]


def test_a_region_in_several_items_is_one(scan: Volume, tmp_path: Path) -> None:
    contours = [[box(scan.geometry, k, *OUTER)] for k in (1, 1, 2)]
    write_contours(tmp_path / "rs.dcm", scan, dict(zip(("Liver", "b", "c"), contours, strict=True)))
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    for item in dataset.ROIContourSequence:
        item.ReferencedROINumber = dataset.StructureSetROISequence[0].ROINumber
    dataset.save_as(tmp_path / "rs.dcm")
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    np.testing.assert_array_equal(found.array, np.stack([IN_OUTER & False, IN_OUTER, IN_OUTER]))
    assert found.labels == {1: radcnn.Label("Liver")}
    assert ["are duplicate" in line for line in found.warnings] == [True]


@pytest.mark.parametrize(("first", "values"), [(4, [4, 5]), (300, [300, 301]), (0, [1, 2]), (70_000, [1, 2])])
def test_regions_keep_their_numbers_where_labels_can_have_them(first, values, scan: Volume, tmp_path: Path) -> None:
    drawn = {name: [box(scan.geometry, 1, *corners)] for name, corners in (("a", CORE), ("b", BESIDE))}
    write_contours(tmp_path / "rs.dcm", scan, drawn, first=first)
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    np.testing.assert_array_equal(found.array[1], IN_CORE * values[0] + IN_BESIDE * values[1])
    assert {value: label.name for value, label in found.labels.items()} == dict(zip(values, "ab", strict=True))


def test_regions_without_a_number_are_not_one(scan: Volume, tmp_path: Path) -> None:
    drawn = {name: [box(scan.geometry, 1, *corners)] for name, corners in (("a", CORE), ("b", BESIDE))}
    write_contours(tmp_path / "rs.dcm", scan, drawn)
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    for item in dataset.ROIContourSequence:
        del item.ReferencedROINumber
    dataset.save_as(tmp_path / "rs.dcm")
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    np.testing.assert_array_equal(found.array[1], IN_CORE + IN_BESIDE * 2)


def test_many_contours_are_those_of_even_and_odd_where_none_cross(scan: Volume, tmp_path: Path) -> None:
    nested = [((n + 0.5, n + 0.5), (11.5 - n, 14.5 - n)) for n in range(5)]
    write_contours(tmp_path / "rs.dcm", scan, {"Rings": [box(scan.geometry, 2, *corners) for corners in nested]})
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    rings = [mask((n + 1, n + 1), (12 - n, 15 - n)) for n in range(5)]
    np.testing.assert_array_equal(found.array[2], np.logical_xor.reduce(rings))
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("stored", "color"),
    [([255, 0, 51], (1.0, 0.0, 0.2)), ([0, 0, 0], (0.0, 0.0, 0.0)), ([1, 2], None), ([300, 0, 0], None), (None, None)],
)
def test_the_color_of_a_region_is_read(stored, color, scan: Volume, tmp_path: Path) -> None:
    write_contours(tmp_path / "rs.dcm", scan, {"Liver": [box(scan.geometry, 1, *INNER)]})
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    if stored is not None:
        dataset.ROIContourSequence[0].ROIDisplayColor = stored
    dataset.save_as(tmp_path / "rs.dcm")
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    assert found.labels == {1: radcnn.Label("Liver", color)}


def test_contours_beside_the_slices_are_told(scan: Volume, tmp_path: Path) -> None:
    g = scan.geometry
    good = box(g, 1, (2.5, 2.5), (5.5, 5.5))
    regions = {"a": [good, box(g, 7, (2.5, 2.5), (5.5, 5.5))], "b": [box(g, 1.3, (6.5, 2.5), (8.5, 5.5))]}
    write_contours(tmp_path / "rs.dcm", scan, regions)
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    assert [int((found.array[1] == label).sum()) for label in (1, 2)] == [9, 6]
    assert any("1 contours do not lie in a slice" in text for text in found.warnings)
    assert any("1 contours lie between slices" in text for text in found.warnings)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("where", ["in the same region", "in a region before", "in a region behind"])
def test_a_contour_without_an_area_costs_itself_alone(count: int, where: str, scan: Volume, tmp_path: Path) -> None:
    good = box(scan.geometry, 1, (2.5, 2.5), (5.5, 5.5))
    short = box(scan.geometry, 2, (2.5, 2.5), (5.5, 5.5))[:count]
    regions = {
        "in the same region": {"a": [good, short]},
        "in a region before": {"b": [short], "a": [good]},
        "in a region behind": {"a": [good], "b": [short]},
    }[where]
    write_contours(tmp_path / "rs.dcm", scan, regions)
    (found,) = radcnn.read(tmp_path / "rs.dcm")
    assert int((found.array > 0).sum()) == 9
    number = 2 if where == "in a region behind" else 1
    assert any(f"fewer than 3 points and enclose nothing (ROINumber {number})" in text for text in found.warnings)


def test_contours_without_their_series_or_without_an_area_are_refused(scan: Volume, tmp_path: Path) -> None:
    contour = box(scan.geometry, 1, (2.5, 2.5), (5.5, 5.5))
    (tmp_path / "away").mkdir()
    write_contours(tmp_path / "away" / "rs.dcm", scan, {"a": [contour]})
    with pytest.raises(ReadError, match=r"rs\.dcm: a set of contours \(RTSTRUCT\), not an image: the series"):
        radcnn.read(tmp_path / "away" / "rs.dcm")
    write_contours(tmp_path / "points.dcm", scan, {"a": [contour]}, kind="POINT")
    with pytest.raises(ReadError, match=r"points\.dcm: .* without a closed contour"):
        radcnn.read(tmp_path / "points.dcm")


def test_a_contour_of_no_triples_is_damaged(scan: Volume, tmp_path: Path) -> None:
    contour = box(scan.geometry, 1, (2.5, 2.5), (5.5, 5.5))
    write_contours(tmp_path / "rs.dcm", scan, {"a": [contour.ravel()[:-1]]})
    with pytest.raises(ReadError, match=r"rs\.dcm: a contour is not a list of finite"):
        radcnn.read(tmp_path / "rs.dcm")


@pytest.mark.parametrize("name", ["x.rtstruct.dcm", "X.RTSS.dcm", "x.rtss", "x.rtstruct"])
def test_contours_are_not_written_and_no_segmentation_is_called_so(name: str, scan: Volume, tmp_path: Path) -> None:
    labels = radcnn.LabelMap(np.ones(SHAPE, np.uint8), scan.geometry, {1: radcnn.Label("a")}, metadata=scan.metadata)
    for what in (labels, scan):
        with pytest.raises(WriteError, match=r"contours \(RTSTRUCT\) .* not written, .*\.seg\.dcm"):
            radcnn.write(what, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]

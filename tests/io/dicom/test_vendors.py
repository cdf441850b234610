"""Series of several volumes as each vendor writes them: the right voxels, in the right place and order, and named."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dcm2niix_oracle import are_the_same, converted, same_voxels
from dicom_factory import write_dicom_series
from enhanced_layouts import enhanced_table
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.phantom import oblique_geometry, rotation
from napari_radcnn.volume import Volume
from vendor_grids import GRIDS, SHAPE
from vendor_layouts import LAYOUTS, at_random, table
from vendor_series import Layout, PrivateTag, no_private, values, write_layout

#: Each layout on the oblique grid, and two on each grid; on all of them in the slow tests.
CASES = [
    pytest.param(layout, grid, marks=[] if n < 2 or grid == "oblique" else pytest.mark.slow, id=f"{layout}-{grid}")
    for n, layout in enumerate(LAYOUTS)
    for grid in GRIDS
]


@pytest.mark.parametrize(("layout", "grid"), CASES)
def test_volumes_are_those_of_the_scanner(tmp_path: Path, layout: Layout, grid: str) -> None:
    syntax = ImplicitVRLittleEndian if grid == "oblique" else ExplicitVRLittleEndian
    write_layout(tmp_path / "in", layout, GRIDS[grid], syntax=syntax)
    volumes = read(tmp_path / "in")
    names = layout.names or tuple(str(n + 1) for n in range(layout.volumes))
    assert [volume.name.partition(" · ")[2] for volume in volumes] == list(names)
    truth = {int(values(SHAPE, n)[0, 0, 0]): n for n in range(layout.volumes)}
    for order, volume in enumerate(volumes):
        aligned = np.asarray(volume.array)
        if not np.allclose(volume.geometry.affine[:3, 3], GRIDS[grid].affine[:3, 3], atol=1e-3):
            aligned = aligned[::-1]  # the slices were stored from the other end
        n = truth[int(aligned[0, 0, 0])]
        assert np.array_equal(aligned, values(SHAPE, n))
        if not layout.names:
            assert n == order
    assert "contradict" not in said(volumes)
    if layout.is_read_by_dcm2niix:
        assert are_the_same(volumes, converted(tmp_path / "in", tmp_path / "out"))


FMRI = next(layout for layout in LAYOUTS if layout.kind == "fMRI (epiRT)")
PHILIPS = next(layout for layout in LAYOUTS if str(layout) == "Philips fMRI")


def order_of(volumes: list[Volume]) -> list[int]:
    """Return the numbers of the volumes that were written; every one must be whole and true."""
    numbers = []
    for volume in volumes:
        n = int(np.asarray(volume.array)[0, 0, 0]) // 1000 - 1
        assert np.array_equal(volume.array, values(SHAPE, n))
        numbers.append(n)
    return numbers


def said(volumes: list[Volume]) -> str:
    return " ".join(line for volume in volumes for line in volume.warnings)


def test_of_contradicting_tags_most_count(tmp_path: Path) -> None:
    def swapped(n: int, k: int) -> int:
        return {(0, 3): 2, (1, 3): 1}.get((n, k), n + 1)

    write_layout(
        tmp_path,
        PHILIPS,
        GRIDS["axial"],
        TemporalPositionIdentifier=swapped,
        AcquisitionTime=lambda n, k: f"1015{10 * n + k:02d}",
    )
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 1, 2, 3]
    assert "contradict each other" in said(volumes)
    assert "not those of time point" in said(volumes)


def test_kinds_that_numbers_contradict_are_told(tmp_path: Path) -> None:
    layout = next(layout for layout in LAYOUTS if layout.kind == "magnitude and phase")

    def swapped(n: int, k: int) -> list[str]:
        return ["ORIGINAL", "PRIMARY", "MP"[1 - n if k == 2 else n], "ND"]

    write_layout(tmp_path, layout, GRIDS["axial"], ImageType=swapped)
    assert "contradict each other" in said(read(tmp_path))


@pytest.mark.parametrize(
    ("layout", "changes"),
    [
        ("GE cardiac CT", {"NominalPercentageOfCardiacPhase": lambda n, k: 5.0 + 30 * _exchanged(n, k)}),
        ("Siemens cardiac CT", {"ScanOptions": lambda n, k: f"TP{100 * _exchanged(n, k):04d}MS"}),
        ("Siemens dual-energy CT (two tubes)", {"KVP": lambda n, k: (100, 140)[_exchanged(n, k)]}),
        ("Toshiba perfusion CT (dynamic volume)", {"AcquisitionNumber": lambda n, k: _exchanged(n, k) + 1}),
    ],
)
def test_one_tag_against_another_is_told(tmp_path: Path, layout: str, changes: dict[str, Any]) -> None:
    """The value of one slice says that it is another volume's, and its number does not."""
    made = next(each for each in LAYOUTS if str(each) == layout)
    write_layout(tmp_path, replace(made, private=no_private), GRIDS["oblique"], **changes)
    assert "contradict each other" in said(read(tmp_path))


def _exchanged(n: int, k: int) -> int:
    return {(0, 2): 1, (1, 2): 0}.get((n, k), n)


@pytest.mark.parametrize("layout", ["GE cardiac CT", "Toshiba cardiac CT", "Siemens cardiac CT"])
def test_phases_of_the_heart_are_told_apart_and_ordered_without_numbers(tmp_path: Path, layout: str) -> None:
    made = next(each for each in LAYOUTS if str(each) == layout)
    changes = {
        "InstanceNumber": lambda n, k: at_random(n, k, 4, SHAPE[0]),
        "NominalPercentageOfCardiacPhase": lambda n, k: None,
    }
    if "Siemens" in layout:
        changes["ScanOptions"] = lambda n, k: f"TP{50 * n}MS"
    write_layout(tmp_path, made, GRIDS["sagittal"], **changes)
    volumes = read(tmp_path)
    found = [np.asarray(volume.array)[::-1] for volume in volumes]  # the slices were stored from the other end
    assert [int(array[0, 0, 0]) // 1000 for array in found] == [1, 2, 3, 4]
    assert all(np.array_equal(array, values(SHAPE, n)) for n, array in enumerate(found))


def test_times_that_run_backwards_are_told(tmp_path: Path) -> None:
    write_layout(tmp_path, FMRI, GRIDS["axial"], AcquisitionTime=lambda n, k: f"1015{59 - 10 * n - k:02d}")
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 1, 2, 3]
    assert "run in another order" in said(volumes)


def test_times_through_midnight_are_in_order(tmp_path: Path) -> None:
    moments = ["235940", "235950", "000000", "000010"]
    write_layout(
        tmp_path,
        FMRI,
        GRIDS["axial"],
        InstanceNumber=lambda n, k: 1,
        AcquisitionDate=lambda n, k: None,
        AcquisitionTime=lambda n, k: f"{int(moments[n]) + k:06d}",
    )
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 1, 2, 3]
    assert "order" not in said(volumes)


@pytest.mark.parametrize("lost", [1, 3, 4])
@pytest.mark.parametrize("layout", [FMRI, PHILIPS], ids=str)
def test_an_aborted_last_volume_is_left_out_and_told(tmp_path: Path, layout: Layout, lost: int) -> None:
    files = write_layout(tmp_path, layout, GRIDS["axial"])
    for path in files[3][SHAPE[0] - lost :]:
        path.unlink()
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 1, 2]
    by = "InstanceNumber" if layout is FMRI else "time point"
    assert f"Left out: the last of 4 volumes (distinguished by {by}) is incomplete" in said(volumes)
    assert f"{SHAPE[0] - lost} of 5 slices" in said(volumes)
    assert files[3][0].name in said(volumes)


@pytest.mark.parametrize("layout", [FMRI, PHILIPS], ids=str)
def test_a_lost_slice_in_the_middle_costs_its_volume(tmp_path: Path, layout: Layout) -> None:
    files = write_layout(tmp_path, layout, GRIDS["axial"])
    files[1][2].unlink()
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 2, 3]
    assert "Left out: number 2 of 4 volumes" in said(volumes)


def test_a_scan_that_stopped_while_it_went_place_by_place_loses_a_place(tmp_path: Path) -> None:
    layout = next(layout for layout in LAYOUTS if str(layout) == "GE cine")
    files = write_layout(tmp_path, layout, GRIDS["axial"])
    for n in (2, 3):
        files[n][4].unlink()
    volumes = read(tmp_path)
    assert [int(volume.array[0, 0, 0]) // 1000 for volume in volumes] == [1, 2, 3, 4]
    assert all(
        np.array_equal(volume.array[:4], values(SHAPE, n)[:4]) and len(volume.array) == 4
        for n, volume in enumerate(volumes)
    )
    assert "the last position has images of 2 of 4 volumes" in said(volumes)
    assert files[0][4].name in said(volumes)


def test_whole_volumes_of_an_aborted_scan_keep_their_order(tmp_path: Path) -> None:
    layout = next(layout for layout in LAYOUTS if str(layout) == "GE DTI")
    files = write_layout(tmp_path, layout, GRIDS["axial"])
    for path in files[3][2:]:
        path.unlink()
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 1, 2]
    assert "Left out: the last of 4 volumes" in said(volumes)


def test_pet_frames_are_numbered_by_their_time(tmp_path: Path) -> None:
    layout = next(layout for layout in LAYOUTS if layout.kind == "dynamic PET")
    backwards = {
        "FrameReferenceTime": lambda n, k: 30000 * (3 - n) + 15000,
        "AcquisitionTime": lambda n, k: f"10{20 - n}00",
    }
    write_layout(tmp_path, layout, GRIDS["axial"], **backwards)
    volumes = read(tmp_path)
    assert order_of(volumes) == [3, 2, 1, 0]
    assert "order" not in said(volumes)


def test_slices_with_the_value_of_another_volume_are_named(tmp_path: Path) -> None:
    def swapped(n: int, k: int) -> list[PrivateTag]:
        return layout.private({(0, 2): 1, (1, 2): 0}.get((n, k), n), k)

    layout = next(layout for layout in LAYOUTS if str(layout) == "Philips ASL")
    files = write_layout(tmp_path, replace(layout, private=swapped), GRIDS["axial"])
    told = said(read(tmp_path))
    assert f"{files[0][2].name}, {files[1][2].name} have the labeling of another volume" in told


def test_one_slice_of_another_echo_is_named(tmp_path: Path) -> None:
    files = write_layout(tmp_path, FMRI, GRIDS["axial"], EchoTime=lambda n, k: 30.5 if (n, k) == (2, 4) else 30)
    assert f"differ in their echo ({files[2][4].name})" in said(read(tmp_path))


def test_times_that_run_otherwise_in_one_volume_tell_of_swapped_positions(tmp_path: Path) -> None:
    grid = GRIDS["oblique"]

    def position(n: int, k: int) -> list[str]:
        return [f"{v:.6f}" for v in grid.to_world(({1: 3, 3: 1}.get(k, k) if n == 2 else k, 0, 0))]

    layout = next(layout for layout in LAYOUTS if str(layout) == "any perfusion MR")
    write_layout(tmp_path / "sound", layout, grid)
    assert "ContentTime runs" not in said(read(tmp_path / "sound"))
    write_layout(tmp_path / "swapped", layout, grid, ImagePositionPatient=position)
    assert "ContentTime runs through the slices of volume 3 otherwise" in said(read(tmp_path / "swapped"))


@pytest.mark.parametrize("numbers", [(4, 2, 8, 6, 3, 1, 7, 5), (6, 8, 4, 3, 2, 7, 1, 5)])
def test_few_numbers_that_fit_by_accident_divide_nothing(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    layout = next(layout for layout in LAYOUTS if str(layout) == "GE field map")
    grid = Geometry.from_parts((4, 5, 6), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
    files = write_layout(
        tmp_path, layout, grid, InstanceNumber=lambda n, k: numbers[4 * n + k], AcquisitionTime=no_time
    )
    with pytest.raises(ReadError, match="does not divide") as caught:
        read(tmp_path)
    assert files[0][0].name in str(caught.value)


def no_time(n: int, k: int) -> None:
    return None


def test_series_of_one_slice_each_of_other_vendors_stay_apart(tmp_path: Path) -> None:
    layout = next(layout for layout in LAYOUTS if str(layout) == "Canon fMRI, a series for each slice")
    write_layout(tmp_path / "canon", layout, GRIDS["axial"])
    assert "stored as a series of its own" in said(read(tmp_path / "canon"))
    write_layout(tmp_path / "other", replace(layout, manufacturer="GE MEDICAL SYSTEMS"), GRIDS["axial"])
    assert {volume.array.shape for volume in read(tmp_path / "other")} == {(1, *SHAPE[1:])}


def test_numbers_without_any_order_are_no_reason(tmp_path: Path) -> None:
    numbers = np.random.default_rng(5).permutation(20) + 1
    files = write_layout(tmp_path, FMRI, GRIDS["axial"], InstanceNumber=lambda n, k: int(numbers[5 * n + k]))
    with pytest.raises(ReadError, match="InstanceNumber, which differs among them, does not divide") as caught:
        read(tmp_path)
    assert files[0][0].name in str(caught.value)


def test_private_elements_of_another_vendor_say_nothing(tmp_path: Path) -> None:
    def other(n: int, k: int) -> list[PrivateTag]:
        return [(0x0043, "ACME 1.0", 0x39, "IS", [(n + k) % 4, 0]), (0x0043, "ACME 1.0", 0x2F, "SS", (n + k) % 4)]

    write_layout(tmp_path, replace(FMRI, private=other), GRIDS["axial"])
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 1, 2, 3]
    assert "contradict" not in said(volumes)


def test_two_series_in_one_folder_stay_apart(tmp_path: Path) -> None:
    for _ in range(2):
        files = write_layout(tmp_path / "one", FMRI, GRIDS["axial"])
        for n, paths in enumerate(files):
            for k, path in enumerate(paths):
                path.rename(tmp_path / f"IM{5 * n + k:03d}_{path.stat().st_ino}.dcm")
    volumes = read(tmp_path)
    assert order_of(volumes) == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len({volume.metadata.series_uid for volume in volumes}) == 2


@pytest.mark.slow
def test_a_thousand_volumes(tmp_path: Path) -> None:
    grid = Geometry.from_parts((2, 3, 4), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
    files = write_layout(tmp_path, replace(FMRI, volumes=30, private=lambda n, k: []), grid)
    template = pydicom.dcmread(files[0][0]), pydicom.dcmread(files[0][1])
    for n in range(30, 1000):
        for k, dataset in enumerate(template):
            dataset.InstanceNumber, dataset.SOPInstanceUID = 2 * n + k + 1, f"1.2.3.{2 * n + k + 1}"
            dataset.PixelData = np.full((3, 4), n, np.int16).tobytes()
            dataset.save_as(tmp_path / f"T{n}_{k}.dcm")
    volumes = read(tmp_path)
    assert len(volumes) == 1000
    assert [int(volume.array[1, 2, 3]) for volume in volumes[30:]] == list(range(30, 1000))


@pytest.mark.parametrize("spacing", [(0.009, 0.009, 0.009), (0.004, 0.012, 0.0035), (0.002, 0.001, 0.001)])
def test_slices_nearer_than_a_hundredth_of_a_millimeter(tmp_path: Path, spacing: tuple[float, float, float]) -> None:
    grid = Geometry.from_parts(SHAPE, spacing, (1.0, -2.0, 0.5), oblique_geometry().direction)
    paths = write_dicom_series(tmp_path, Volume(values(SHAPE, 0), grid))
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, values(SHAPE, 0))
    assert np.allclose(volume.geometry.affine, grid.affine, atol=1e-6)
    paths[2].unlink()
    with pytest.raises(ReadError, match="not evenly spaced"):
        read(tmp_path)


def test_the_documented_tables_are_what_is_tested() -> None:
    lines = (Path(__file__).parents[3] / "docs" / "dicom-series.md").read_text().splitlines()
    starts = [n + 1 for n, line in enumerate(lines) if line == "|---|---|---|---|---|"]
    found = [list(takewhile(lambda line: line.startswith("|"), lines[start:])) for start in starts]
    assert found == [table(), enhanced_table()]


@pytest.mark.parametrize("kind", ["fMRI (epi, multiphase)", "cine", "dual-energy CT"])
def test_positions_swapped_between_slices_are_told(tmp_path: Path, kind: str) -> None:
    layout, grid = next(layout for layout in LAYOUTS if layout.kind == kind), GRIDS["oblique"]

    def swapped(n: int, k: int) -> list[str]:
        return [f"{v:.6f}" for v in grid.to_world(({0: 2, 2: 0}.get(k, k) if n == 1 else k, 0, 0))]

    write_layout(tmp_path, layout, grid, ImagePositionPatient=swapped)
    assert "InstanceNumber" in "".join(
        line for line in said(read(tmp_path)).split("distinguished by") if "Check" in line
    )


def moved(grid: Geometry, n: int, turn_degrees: float = 0.0) -> Geometry:
    """Return where volume n lies after the patient has moved a little."""
    affine = grid.affine.copy()
    affine[:3, 3] += np.array([0.3, -0.2, 0.45]) * n * (-1) ** n
    affine[:3, :3] = rotation(turn_degrees * n, -turn_degrees * n, 0) @ affine[:3, :3]
    return Geometry(grid.shape, affine)


@pytest.mark.parametrize("told_by", ["InstanceNumber", "AcquisitionNumber"])
@pytest.mark.parametrize("grid", GRIDS)
def test_volumes_shifted_by_motion_correction_are_in_order_and_each_in_its_place(
    tmp_path: Path, grid: str, told_by: str
) -> None:
    def position(n: int, k: int) -> list[str]:
        return [f"{v:.6f}" for v in moved(GRIDS[grid], n).to_world((k, 0, 0))]

    changes: dict[str, Any] = {"AcquisitionNumber": lambda n, k: n + 1} if told_by == "AcquisitionNumber" else {}
    write_layout(
        tmp_path / "in", replace(FMRI, private=no_private), GRIDS[grid], ImagePositionPatient=position, **changes
    )
    volumes = read(tmp_path / "in")
    for n, volume in enumerate(volumes):
        way = -1 if grid == "sagittal" else 1  # the slices were stored from the other end
        assert np.array_equal(volume.array[::way], values(SHAPE, n))
        first = volume.geometry.to_world((0 if way == 1 else SHAPE[0] - 1, 0, 0))
        assert np.allclose(first, moved(GRIDS[grid], n).affine[:3, 3], atol=1e-3)
    assert ("shifted against each other by up to 1.73" in said(volumes)) == (told_by == "InstanceNumber")


@pytest.mark.parametrize("grid", GRIDS)
def test_volumes_turned_by_motion_correction_are_those_of_dcm2niix(tmp_path: Path, grid: str) -> None:
    def position(n: int, k: int) -> list[str]:
        return [f"{v:.6f}" for v in moved(GRIDS[grid], n, 0.4).to_world((k, 0, 0))]

    def orientation(n: int, k: int) -> list[str]:
        columns = moved(GRIDS[grid], n, 0.4).direction
        return [f"{v:.8f}" for v in np.concatenate([columns[:, 2], columns[:, 1]])]

    changes = {"ImagePositionPatient": position, "ImageOrientationPatient": orientation}
    write_layout(tmp_path / "in", replace(FMRI, private=no_private), GRIDS[grid], **changes)
    volumes = read(tmp_path / "in")
    assert [int(volume.array.min()) // 1000 for volume in volumes] == [1, 2, 3, 4]
    others = converted(tmp_path / "in", tmp_path / "out")
    assert len(others) == 4
    assert all(any(same_voxels(volume, other) for other in others) for volume in volumes)


def test_a_gap_in_one_volume_does_not_make_two(tmp_path: Path) -> None:
    files = write_layout(tmp_path, replace(FMRI, volumes=1), Geometry.from_parts((7, 3, 4), (2.5, 0.8, 0.7), (1, 2, 3)))
    files[0][3].unlink()
    with pytest.raises(ReadError, match="not evenly spaced"):
        read(tmp_path)


def test_images_shifted_in_their_plane_are_no_volumes(tmp_path: Path) -> None:
    grid = GRIDS["axial"]

    def beside(n: int, k: int) -> list[str]:
        return [f"{v:.6f}" for v in grid.to_world((k, 20 * n, 0))]

    write_layout(tmp_path / "numbers", FMRI, grid, ImagePositionPatient=beside)
    with pytest.raises(ReadError, match=r"shifted against each other by up to 48\.0 mm"):
        read(tmp_path / "numbers")
    write_layout(tmp_path / "stations", PHILIPS, grid, ImagePositionPatient=beside)
    assert order_of(read(tmp_path / "stations")) == [0, 1, 2, 3]

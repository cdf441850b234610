"""Slices that are not evenly spaced: refused unless the user asks for an even grid, or for the even runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series, write_enhanced
from napari_radcnn.errors import OptionError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import list_series, read, read_series
from napari_radcnn.io.dicom.series import find_dicom
from napari_radcnn.phantom import FIELD_COEFFICIENTS, head, oblique_geometry, rotation, world_field
from napari_radcnn.volume import Volume

SHAPE = (12, 9, 11)
SPACING = (2.5, 0.8, 0.7)


def sheared() -> Geometry:
    affine = Geometry.from_parts(SHAPE, SPACING, (-31.0, 17.5, 40.25), rotation(12, -9, 17) @ np.eye(3)[:, ::-1]).affine
    affine = affine.copy()
    affine[:3, 0] += 0.9 * affine[:3, 1]
    return Geometry(SHAPE, affine)


GRIDS = {"oblique": oblique_geometry(SHAPE), "sheared": sheared()}


def off_field(volume: Volume) -> float:
    """Return the largest distance (mm) at which a voxel of a world field may lie from its true place."""
    return float(np.abs(volume.array - world_field(volume.geometry).array).max() / np.linalg.norm(FIELD_COEFFICIENTS))


def keep(paths: list[Path], kept: list[int]) -> list[Path]:
    for k in set(range(len(paths))) - set(kept):
        paths[k].unlink()
    return [paths[k] for k in kept]


def depth(geometry: Geometry, k: float) -> float:
    """Return where slice k lies along the normal of the slices, mm."""
    normal = np.cross(geometry.direction[:, 2], geometry.direction[:, 1])
    return float(geometry.to_world((k, 0, 0)) @ normal)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(
    ("kept", "spacing", "count"),
    [
        ([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11], 2.5, 12),  # one is missing
        ([0, 1, 2, 3, 4, 5, 6, 9, 10, 11], 2.5, 12),  # two neighbors are
        ([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 2.5, 12),  # the second is
        ([0, 1, 2, 3, 4, 6, 8, 10], 2.5, 11),  # thin, then thick: the grid is the thin one
        ([0, 2, 5, 7, 10], 2.5, 11),  # gaps of two and three: the common step
    ],
)
def test_a_linear_field_is_exactly_kept(tmp_path: Path, name: str, kept: list[int], spacing: float, count: int) -> None:
    whole = GRIDS[name]
    keep(write_dicom_series(tmp_path, world_field(whole)), kept)
    (volume,) = read(tmp_path, on_irregular="resample")
    ratio = np.linalg.norm(whole.affine[:3, 0]) / 2.5  # of a sheared grid, the distance along the slanted axis
    assert np.isclose(volume.geometry.spacing[0], spacing * ratio, atol=1e-4)
    assert volume.array.shape == (count, *SHAPE[1:])
    assert off_field(volume) < 0.01
    ends = volume.geometry.to_world([(0, 0, 0), (count - 1, 0, 0)])
    wanted = whole.to_world([(kept[0], 0, 0), (kept[-1], 0, 0)])
    assert np.allclose(sorted(ends.tolist()), sorted(wanted.tolist()), atol=0.01)
    assert any("not evenly spaced" in line for line in volume.warnings)


def test_a_field_shows_when_the_gap_is_ignored(tmp_path: Path) -> None:
    whole = GRIDS["oblique"]
    keep(write_dicom_series(tmp_path, world_field(whole)), [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11])
    (volume,) = read(tmp_path, on_irregular="resample")
    plain = Volume(np.delete(volume.array, 3, axis=0), whole.with_shape((11, *SHAPE[1:])))
    assert off_field(plain) > 1


def test_gaps_without_a_common_step_make_a_grid_of_the_median(tmp_path: Path) -> None:
    whole = GRIDS["oblique"]
    z = np.cumsum([0, 2.5, 2.61, 2.37, 2.44, 2.93, 2.5, 2.5, 2.17, 2.5, 3.01, 2.5]) / 2.5
    pixels = np.concatenate([world_field(_at(whole, k)).array for k in z])
    write_dicom_series(
        tmp_path,
        Volume(pixels, whole),
        ImagePositionPatient=lambda k: [f"{v:.8f}" for v in whole.to_world((z[k], 0, 0))],
    )
    (volume,) = read(tmp_path, on_irregular="resample")
    assert volume.array.shape == SHAPE
    assert off_field(volume) < 0.01
    assert any("No even grid matches all slices" in line for line in volume.warnings)


def _at(geometry: Geometry, k: float) -> Geometry:
    """Return the grid of the one slice at the fractional index k."""
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_world((k, 0, 0))
    return Geometry((1, *geometry.shape[1:]), affine)


def test_scanned_slices_are_kept_to_the_bit_and_the_rest_rounded(tmp_path: Path) -> None:
    scan = head(oblique_geometry(SHAPE))
    write_dicom_series(tmp_path / "whole", scan)
    (reference,) = read(tmp_path / "whole")
    keep(write_dicom_series(tmp_path / "gap", scan), [k for k in range(12) if k not in (4, 5)])
    (volume,) = read(tmp_path / "gap", on_irregular="resample")
    assert volume.array.dtype == reference.array.dtype == np.int16
    assert volume.geometry.is_close(reference.geometry)
    made = [4, 5] if np.array_equal(volume.array[3], reference.array[3]) else [6, 7]
    rest = [k for k in range(12) if k not in made]
    assert np.array_equal(volume.array[rest], reference.array[rest])
    low, high = (reference.array[k].astype(float) for k in (made[0] - 1, made[1] + 1))
    assert np.array_equal(volume.array[made[0]], np.rint(low + (high - low) / 3))
    assert np.array_equal(volume.array[made[1]], np.rint(low + (high - low) * 2 / 3))


def test_the_warning_says_what_was_made_up_and_where(tmp_path: Path) -> None:
    whole = GRIDS["oblique"]
    paths = write_dicom_series(tmp_path, world_field(whole))
    keep(paths, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11])
    (volume,) = read(tmp_path, on_irregular="resample")
    (line,) = (line for line in volume.warnings if "not evenly spaced" in line)
    assert "1 of 12 slices is interpolated linearly" in line
    assert f"at {depth(whole, 3):.2f} mm, in the gap of 5.000 mm" in line
    assert paths[2].name in line
    assert paths[4].name in line
    assert len(volume.warnings) == 1


def test_a_wide_gap_is_told_to_hold_nothing(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, world_field(GRIDS["oblique"]))
    keep(paths, [0, 1, 2, 3, 8, 9, 10, 11])
    (volume,) = read(tmp_path, on_irregular="resample")
    (line,) = (line for line in volume.warnings if "Nothing was scanned" in line)
    assert "wider than 3 times the median gap of 2.500 mm: 12.50 mm between" in line
    assert paths[3].name in line
    assert paths[8].name in line


def test_a_gap_that_would_be_most_of_the_volume_is_refused(tmp_path: Path) -> None:
    def position(k: int) -> list[float]:
        return [0, 0, 2.5 * k + (k > 5) * 5000]

    write_dicom_series(tmp_path, world_field(GRIDS["oblique"]), ImagePositionPatient=position)
    with pytest.raises(ReadError, match=r"2012 slices, of which only 12 were scanned.*split"):
        read(tmp_path, on_irregular="resample")
    assert len(read(tmp_path, on_irregular="split")) == 2


def test_padding_is_not_mixed(tmp_path: Path) -> None:
    values = np.full(SHAPE, 1000, np.int16)
    values[6:, :4] = -2000
    paths = write_dicom_series(
        tmp_path, Volume(values, GRIDS["oblique"]), PixelPaddingValue=-2000, PixelRepresentation=1
    )
    keep(paths, [k for k in range(12) if k not in (5, 6)])
    (volume,) = read(tmp_path, on_irregular="resample")
    assert set(np.unique(volume.array)) == {-2000, 1000}


def test_masks_are_not_mixed(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[6:, 2:5, 3:9] = 7
    keep(
        write_dicom_series(tmp_path, Volume(values, GRIDS["oblique"]), modality="SEG"),
        [k for k in range(12) if k not in (5, 6)],
    )
    (volume,) = read(tmp_path, on_irregular="resample")
    assert set(np.unique(volume.array)) == {0, 7}
    assert any("nearest slice" in line for line in volume.warnings)


@pytest.mark.parametrize(
    ("kept", "parts"),
    [
        ([0, 1, 2, 4, 5, 6], [[0, 1, 2], [4, 5, 6]]),
        ([0, 2, 3, 4, 5], [[0], [2, 3, 4, 5]]),  # the second slice belongs to those behind it
        ([0, 1, 2, 3, 5, 7, 9, 11], [[0, 1, 2], [3, 5, 7, 9, 11]]),  # the longer run has the slice that both could have
        ([0, 1, 2, 3, 4, 9], [[0, 1, 2, 3, 4], [9]]),
    ],
)
def test_split_makes_a_volume_of_every_even_run(tmp_path: Path, kept: list[int], parts: list[list[int]]) -> None:
    whole = GRIDS["oblique"]
    keep(write_dicom_series(tmp_path, world_field(whole)), kept)
    volumes = read(tmp_path, on_irregular="split")
    if depth(whole, 1) < depth(whole, 0):
        parts = [part[::-1] for part in parts[::-1]]
    assert [volume.geometry.shape[0] for volume in volumes] == [len(part) for part in parts]
    assert [volume.name for volume in volumes] == [f"CT 1 · {n + 1}" for n in range(len(parts))]
    for n, (volume, part) in enumerate(zip(volumes, parts, strict=True)):
        assert off_field(volume) < 0.01
        assert np.allclose(volume.geometry.to_world((0, 0, 0)), whole.to_world((part[0], 0, 0)), atol=0.01)
        assert any(f"part {n + 1} of {len(parts)}" in line for line in volume.warnings)


def test_enhanced_frames(tmp_path: Path) -> None:
    field = world_field(oblique_geometry((7, 9, 11)))
    path = write_enhanced(tmp_path / "e.dcm", [field], np.array([5, 0, 6, 3, 1, 2]))
    (volume,) = read(path, on_irregular="resample")
    assert volume.array.shape == (7, 9, 11)
    assert volume.geometry.is_close(field.geometry)
    assert np.abs(volume.array - field.array).max() < 1.01  # values are stored as whole numbers
    assert [v.array.shape[0] for v in read(path, on_irregular="split")] in ([4, 2], [2, 4])


def test_enhanced_frames_of_two_times_are_resampled_each(tmp_path: Path) -> None:
    field = world_field(oblique_geometry((6, 9, 11)))
    times = [field.with_array(field.array + 1000 * n) for n in range(2)]
    order = np.array([0, 1, 3, 4, 5, 6, 7, 9, 10, 11])
    volumes = read(write_enhanced(tmp_path / "e.dcm", times, order), on_irregular="resample")
    assert len(volumes) == 2
    for volume, wanted in zip(volumes, times, strict=True):
        assert np.abs(volume.array - wanted.array).max() < 1.01


@pytest.mark.parametrize("choice", ["resample", "split"])
def test_an_even_series_is_read_as_ever(tmp_path: Path, choice: str) -> None:
    write_dicom_series(tmp_path, world_field(GRIDS["oblique"]))
    (volume,) = read(tmp_path, on_irregular=choice)  # type: ignore[arg-type]
    (wanted,) = read(tmp_path)
    assert np.array_equal(volume.array, wanted.array)
    assert volume.warnings == ()


@pytest.mark.parametrize("choice", ["resample", "split"])
def test_slices_beside_the_line_are_still_refused(tmp_path: Path, choice: str) -> None:
    def bent(k: int) -> list[float]:
        return [3.0 * (k == 3), 0, 2.5 * k + (k > 8)]

    axial = Geometry.from_parts(SHAPE, SPACING, (-31.0, 17.5, 40.25))
    write_dicom_series(tmp_path, world_field(axial), ImagePositionPatient=bent)
    with pytest.raises(ReadError, match="from the straight line"):
        radcnn.read(tmp_path, on_irregular=choice)  # type: ignore[arg-type]


def test_the_refusal_says_what_to_ask_for(tmp_path: Path) -> None:
    keep(write_dicom_series(tmp_path, world_field(GRIDS["oblique"])), [0, 1, 2, 4, 5])
    with pytest.raises(ReadError, match=r"on_irregular='resample' or 'split' \(--on-irregular resample\)"):
        read(tmp_path)
    assert "on_irregular='resample'" in str(list_series(tmp_path)[0].problem)


def test_every_way_to_a_series_takes_the_option(tmp_path: Path) -> None:
    keep(write_dicom_series(tmp_path / "a", world_field(GRIDS["oblique"])), [0, 1, 2, 4, 5])
    archive = Path(shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "a"))
    (info,) = list_series(tmp_path / "a")
    (beside,) = read_series(info, on_irregular="resample")
    for volume in (beside, *read(archive, on_irregular="resample")):
        assert volume.array.shape == (6, *SHAPE[1:])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".ome.zarr"])
def test_other_formats_take_the_option_without_effect(tmp_path: Path, suffix: str) -> None:
    field = world_field(oblique_geometry())
    path = radcnn.write(field, tmp_path / f"a{suffix}")
    (volume,) = read(path, on_irregular="split")
    assert np.array_equal(volume.array, field.array)


@pytest.mark.parametrize("value", ["fill", "", "Resample"])
def test_an_unknown_choice_is_an_option_error(tmp_path: Path, value: str) -> None:
    write_dicom_series(tmp_path, world_field(GRIDS["oblique"]))
    with pytest.raises(OptionError, match=r"on_irregular is .* expected one of 'refuse', 'resample', 'split'"):
        read(tmp_path, on_irregular=value)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="on_irregular"):
        read_series(list_series(tmp_path)[0], on_irregular=value)  # type: ignore[arg-type]


def test_the_stacks_of_each_choice_are_kept_apart_and_no_caller_changes_them(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, head(oblique_geometry((6, 10, 12))))[3].unlink()
    (series,) = find_dicom(tmp_path).series
    for _ in range(2):
        stacks, problems = series.stacks()
        assert (stacks, len(problems)) == ([], 1)
        problems.clear()
        stacks, problems = series.stacks("split")
        assert sorted(stack.geometry.shape[0] for stack in stacks) == [2, 3]
        stacks.clear()
        assert [stack.geometry.shape[0] for stack in series.stacks("resample")[0]] == [6]

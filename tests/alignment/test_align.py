"""Moves that were put on scans are found back, and what cannot be aligned is said."""

from __future__ import annotations

import json
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import napari_radcnn as radcnn
from grids import ALL
from napari_radcnn.alignment.register import _doubts, normalized_mutual_information
from napari_radcnn.alignment.transform import angle_of
from napari_radcnn.cli import main
from napari_radcnn.errors import CancelledError, GeometryError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import world_field
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Label, Volume, VolumeMetadata

GRID = Geometry.from_parts((36, 42, 40), (5.0, 4.5, 4.2), (-80.0, -95.0, -85.0))
MIDDLE = GRID.to_world((np.array(GRID.shape) - 1) / 2)
#: Places, widths and values of the blobs that a scan shows: nothing in it is round.
_DRAWN = np.random.default_rng(11)
_BLOBS = [(MIDDLE + _DRAWN.uniform(-58, 58, 3), _DRAWN.uniform(7, 18), _DRAWN.uniform(40, 200)) for _ in range(45)]


def blobs(geometry=GRID, seed=0):
    """Return a scan of soft blobs with noise, drawn where they are on any grid."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1).astype(float)
    world = geometry.to_world(index)
    array = np.random.default_rng(seed).normal(0, 3, geometry.shape)
    for place, width, value in _BLOBS:
        array += value * np.exp(-((world - place) ** 2).sum(-1) / (2 * width**2))
    return Volume(array.astype(np.float32), geometry, VolumeMetadata(name="blobs", modality="MR"))


HEAD = blobs()


def move(degrees, axis, shift, about=MIDDLE):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()
    matrix[:3, 3] = np.array(about) + shift - matrix[:3, :3] @ about
    return radcnn.Alignment(matrix)


def error(found, put_on):
    """Return how far what was found is from taking back what was put on, mm at the middle and degrees."""
    left = found.matrix @ put_on.matrix
    return float(np.linalg.norm(left[:3, :3] @ MIDDLE + left[:3, 3] - MIDDLE)), angle_of(left)


def other_contrast(volume):
    """Return the scan as another sequence might show it: the same parts, no value like before."""
    values = volume.array.astype(np.float32)
    scaled = (values - values.min()) / np.ptp(values)
    return volume.with_array((np.abs(scaled - 0.35) * 300).astype(np.float32))


MOVES = {
    "near": move(4, (1, 2, -1), (3.0, -5.0, 2.0)),
    "far": move(-20, (1, -0.5, 0.8), (17.0, -17.0, 18.0)),
    "shifted": move(0, (1, 0, 0), (-12.0, 9.0, 25.0)),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_is_found_back(name):
    put_on = MOVES[name]
    moving = put_on.moved(blobs(seed=1))  # other noise
    found = radcnn.align(HEAD, moving)
    millimetres, degrees = error(found, put_on)
    assert millimetres < 1
    assert degrees < 1
    assert found.belongs_together, found.doubts
    assert found.residual_mm < 1
    assert found.rotation_degrees == pytest.approx(put_on.rotation_degrees, abs=1)
    assert moving.array is not HEAD.array


def test_another_contrast_on_another_grid_is_found():
    turn = move(30, (1, 1, 0), (0.7, 0.0, -0.4)).matrix
    plain = Geometry.from_parts((40, 38, 36), (4.7, 4.9, 5.1), tuple(MIDDLE - np.array((90.0, 92.0, 92.0))))
    grid = Geometry(plain.shape, turn @ plain.affine)
    moving = MOVES["far"].moved(other_contrast(blobs(grid)))
    found = radcnn.align(HEAD, moving)
    assert max(error(found, MOVES["far"])) < 1
    assert found.belongs_together


@pytest.mark.parametrize("is_first", [True, False])
def test_a_part_is_found_in_the_whole_either_way_round(is_first):
    box = (slice(8, 30), slice(10, 34), slice(6, 32))
    part = blobs(seed=1)
    part = part.with_array(part.array[box], part.geometry.cropped(box))
    put_on = MOVES["near"]
    found = radcnn.align(put_on.moved(part), HEAD).inverse if is_first else radcnn.align(HEAD, put_on.moved(part))
    assert max(error(found, put_on)) < 1
    assert found.overlap > 0.95


@pytest.mark.parametrize("name", ["left_handed", "oblique", "sheared"])
def test_only_the_grid_of_what_is_moved_changes(name):
    scan = world_field(Geometry((6, 7, 8), ALL[name]().affine))
    put_on = MOVES["far"]
    labels = LabelMap(np.ones(scan.shape, np.uint8), scan.geometry, {1: Label("all")})
    for each in (scan, labels):
        moved = put_on.moved(each)
        assert moved.array is each.array
        index = np.array([[0, 0, 0], [3, 2, 1], [5, 6, 7]], float)
        assert np.allclose(moved.geometry.to_world(index), put_on.to_fixed(each.geometry.to_world(index)))
        assert np.allclose(put_on.inverse.moved(moved).geometry.affine, each.geometry.affine)
    positions = np.random.default_rng(0).normal(size=(5, 3)) * 50
    assert np.allclose(put_on.to_moving(put_on.to_fixed(positions)), positions)
    assert put_on.distance_mm(put_on, positions) == 0
    assert put_on.distance_mm(radcnn.Alignment(np.eye(4)), positions) > 20


def test_a_sheared_scan_is_aligned_too():
    affine = HEAD.geometry.affine.copy()
    affine[1, 0] += 0.4
    sheared = Geometry(HEAD.shape, affine)
    put_on = move(6, (0, 1, 1), (4.0, 6.0, -5.0))
    assert max(error(radcnn.align(HEAD, put_on.moved(blobs(sheared, 1))), put_on)) < 1


def test_angles_are_told_to_the_last_digit():
    for degrees in (0, 1e-6, 0.5, 90, 179.9, 180):
        assert angle_of(move(degrees, (1, 2, 3), (0, 0, 0)).matrix) == pytest.approx(degrees, abs=1e-5)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ((3.0, 1.5, 0.9, 5.0), "do not determine"),
        ((float("inf"), 1.5, 0.9, 5.0), "do not determine"),
        ((0.1, 1.03, 0.9, 5.0), "have little in common"),
        ((0.1, 1.5, 0.1, 5.0), "10% of the smaller scan"),
        ((0.1, 1.5, 0.9, 65.0), "65 degrees"),
    ],
)
def test_each_doubt_has_its_line(found, line):
    (said,) = _doubts(*found)
    assert line in said
    assert _doubts(0.1, 1.2, 0.7, 20.0) == []


def test_normalized_mutual_information():
    rng = np.random.default_rng(2)
    values = rng.uniform(size=20_000)
    assert normalized_mutual_information(values, values) == pytest.approx(2, abs=1e-9)
    assert normalized_mutual_information(values, 1 - values) == pytest.approx(2, abs=0.01)
    assert normalized_mutual_information(values, rng.uniform(size=20_000)) == pytest.approx(1, abs=0.01)
    assert normalized_mutual_information(np.zeros(9), np.zeros(9)) == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda v: v.with_array(np.zeros_like(v.array)), "same value everywhere"),
        (lambda v: v.with_array(v.array[:2], v.geometry.cropped((slice(2), slice(None), slice(None)))), "at least 4"),
        (lambda v: v.with_metadata(is_placed=False), "no place in the patient"),
        (lambda v: Volume(np.zeros((*v.shape, 3), np.uint8), v.geometry), "colors"),
    ],
)
def test_what_cannot_be_aligned_is_refused(change, line):
    for pair in ((HEAD, change(HEAD)), (change(HEAD), HEAD)):
        with pytest.raises(GeometryError, match=line):
            radcnn.align(*pair)


def test_values_that_are_no_numbers_are_passed_over():
    array = blobs(seed=1).array.astype(np.float32)
    array[:4] = np.nan
    array[:, :3] = np.inf
    put_on = MOVES["near"]
    assert max(error(radcnn.align(HEAD, put_on.moved(HEAD.with_array(array))), put_on)) < 1


def test_it_is_cancelled_between_two_steps():
    cancel, told = Event(), []

    def progress(done, total, message):
        told.append((done, total, message))
        if done == 5:
            cancel.set()

    with pytest.raises(CancelledError):
        radcnn.align(HEAD, MOVES["near"].moved(HEAD), progress=progress, cancel=cancel)
    assert told[-1][0] <= 6
    assert told[-1][1] > 10


@pytest.mark.parametrize(
    "matrix",
    [np.diag([1, 1, 1.1, 1]), np.diag([1, 1, -1, 1]), np.full((4, 4), np.nan), np.eye(3), np.eye(4)[[1, 0, 2, 3]]],
)
def test_only_rigid_moves_are_alignments(matrix):
    with pytest.raises(GeometryError):
        radcnn.Alignment(matrix)


def test_an_alignment_is_written_and_read(tmp_path):
    given = replace(
        MOVES["far"],
        residual_mm=0.25,
        similarity=1.3,
        overlap=0.8,
        center=(1.0, 2.0, 3.0),
        doubts=("No.",),
        fixed={"name": "CT 3"},
        moving={"name": "MR 4", "series_uid": "1.2"},
    )
    path = tmp_path / "a.json"
    radcnn.write_alignment(given, path)
    found = radcnn.read_alignment(path)
    assert np.array_equal(found.matrix, given.matrix)
    for name in ("residual_mm", "similarity", "overlap", "center", "doubts", "fixed", "moving"):
        assert getattr(found, name) == getattr(given, name)
    assert found.translation_mm == given.translation_mm
    kept = json.loads(path.read_text())
    for change, line in (
        ({"schema": "radcnn-alignment/9"}, "newer version"),
        ({"schema": "other"}, "no alignment"),
        ({"moving_to_fixed": [[1, 2], [3, 4]]}, "damaged"),
        ({"center_mm": 3}, "damaged"),
        ({"fixed": None}, "damaged"),
    ):
        path.write_text(json.dumps({**kept, **change}))
        with pytest.raises(ReadError, match=line):
            radcnn.read_alignment(path)
    path.write_text("{")
    with pytest.raises(ReadError, match="no JSON"):
        radcnn.read_alignment(path)
    with pytest.raises(ReadError, match="cannot be read"):
        radcnn.read_alignment(tmp_path / "gone.json")


def test_the_shell_aligns(tmp_path, capsys):
    put_on = MOVES["shifted"]
    radcnn.write(HEAD, tmp_path / "fixed.nii.gz")
    radcnn.write(put_on.moved(HEAD), tmp_path / "moving.nii.gz")
    files = [str(tmp_path / "fixed.nii.gz"), str(tmp_path / "moving.nii.gz")]
    assert main(["align", *files, "-o", str(tmp_path / "a.json")]) == 0
    assert "residual" in capsys.readouterr().out
    assert max(error(radcnn.read_alignment(tmp_path / "a.json"), put_on)) < 1
    assert main(["align", *files, "-o", str(tmp_path / "moved.nrrd"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["belongs_together"]
    (moved,) = radcnn.read(tmp_path / "moved.nrrd")
    assert np.array_equal(np.sort(moved.array.ravel()), np.sort(HEAD.array.ravel()))
    assert np.abs(moved.geometry.corners - HEAD.geometry.corners).max() < 1.5
    assert main(["align", *files, "-o", files[0], "--overwrite"]) == 3
    assert main(["align", *files, "-o", str(tmp_path / "a.json")]) == 3
    assert main(["align", *files, "-o", str(tmp_path / "series")]) == 3
    assert "keeps its own place" in capsys.readouterr().err


def test_noise_does_not_belong_to_a_head_and_the_shell_refuses_it(tmp_path, capsys):
    noise = np.random.default_rng(5).normal(size=HEAD.shape).astype(np.float32)
    radcnn.write(HEAD, tmp_path / "fixed.nii.gz")
    radcnn.write(Volume(noise, HEAD.geometry, VolumeMetadata(name="noise")), tmp_path / "moving.nii.gz")
    target = tmp_path / "a.json"
    words = ["align", str(tmp_path / "fixed.nii.gz"), str(tmp_path / "moving.nii.gz"), "-o", str(target)]
    assert main(words) == 3
    assert not target.exists()
    assert "do not seem to belong together" in capsys.readouterr().err
    assert main([*words, "--anyway"]) == 0
    found = radcnn.read_alignment(target)
    assert not found.belongs_together
    assert "do not seem to belong together" in found.summary()

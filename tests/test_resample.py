from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings, strategies as st

import napari_radcnn as radcnn
from grids import ALL
from napari_radcnn.errors import CancelledError, GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import disks, oblique_geometry, rotation, world_field
from napari_radcnn.preprocessing import resample


def _inside(grid: Geometry, of: Geometry) -> np.ndarray:
    """Return which voxels of `grid` have their centers between voxel centers of `of`."""
    index = of.to_index(grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)))
    return ((index >= 0) & (index <= np.array(of.shape) - 1)).all(-1)


@settings(deadline=None, max_examples=40)
@given(
    turn=st.tuples(*[st.floats(-40, 40)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 1.0)] * 3),
    shift=st.tuples(*[st.floats(-4, 4)] * 3),
)
@pytest.mark.parametrize("name", ALL)
def test_a_linear_field_is_itself_on_any_grid(name, turn, spacing, shift):
    shape = (9, 11, 13)
    source = world_field(Geometry(shape, ALL[name]().affine))
    center = source.geometry.to_world((np.array(shape) - 1) / 2) + shift
    target = Geometry.from_parts((5, 6, 7), spacing, (0, 0, 0), rotation(*turn) @ np.eye(3)[:, ::-1])
    origin = center - target.to_world((2, 2.5, 3))
    target = Geometry.from_parts((5, 6, 7), spacing, origin, target.direction)
    found = resample(source.array, source.geometry, target, interpolation="linear", antialias=False)
    inside = _inside(target, source.geometry)
    assert np.abs(found - world_field(target).array)[inside].max(initial=0) < 0.01


def test_it_agrees_with_simpleitk():
    scan, _ = disks(20.0)
    grid = Geometry.from_parts(
        (20, 50, 60), (2.2, 1.0, 0.9), (-25.0, -24.0, -20.0), rotation(7, -5, 11) @ np.eye(3)[:, ::-1]
    )
    image = sitk.GetImageFromArray(scan.array)
    image.SetSpacing(scan.geometry.spacing[::-1])
    image.SetOrigin(scan.geometry.origin)
    reference = sitk.Image(*grid.shape[::-1], sitk.sitkFloat32)
    reference.SetSpacing(grid.spacing[::-1])
    reference.SetOrigin(grid.origin)
    reference.SetDirection(grid.direction[:, ::-1].ravel().tolist())
    theirs = sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear, -2000.0))
    ours = resample(scan.array, scan.geometry, grid, interpolation="linear", fill=-2000.0, antialias=False)
    inside = _inside(grid, scan.geometry)
    assert inside.mean() > 0.5
    assert np.abs(ours - theirs)[inside].max() < 0.05


def test_a_coarser_grid_shows_no_false_structure():
    # Stripes of 1.8 mm on a grid of 1.7 mm: without smoothing they come back as stripes of 30 mm.
    grid = Geometry.from_parts((4, 5, 240), (2.0, 2.0, 0.3), (0.0, 0.0, 0.0))
    x = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))[..., 0]
    stripes = (100 * np.sin(2 * np.pi * x / 1.8)).astype(np.float32)
    coarse = grid.with_spacing((2.0, 2.0, 1.7))
    plain = resample(stripes, grid, coarse, interpolation="linear", antialias=False)[:, :, 3:-3]
    smooth = resample(stripes, grid, coarse, interpolation="linear")[:, :, 3:-3]
    assert plain.std() > 50
    assert smooth.std() < 0.2 * plain.std()


def test_smoothing_keeps_the_mean_and_leaves_a_finer_grid_alone():
    scan, _ = disks(0.0)
    coarse = resample(scan.array, scan.geometry, scan.geometry.with_spacing((4, 4, 4)), interpolation="linear")
    assert coarse.mean() == pytest.approx(scan.array.mean(), abs=8)
    finer = scan.geometry.with_spacing((1.5, 0.7, 0.6))
    kept = [resample(scan.array, scan.geometry, finer, interpolation="linear", antialias=on) for on in (True, False)]
    assert np.array_equal(*kept)


def test_labels_stay_labels():
    grid = oblique_geometry()
    labels = np.zeros(grid.shape, np.uint8)
    labels[3:7, 4:12, 5:15] = 7
    label_map = radcnn.LabelMap(labels, grid, {7: radcnn.Label("lesion")}, "T1 · lesion")
    moved = radcnn.resample_to(label_map, grid.axis_aligned().with_spacing((1.0, 0.5, 0.5)))
    assert set(np.unique(moved.array)) == {0, 7}
    assert moved.labels[7].name == "lesion"
    assert moved.volume_ml(7) == pytest.approx(label_map.volume_ml(7), rel=0.02)
    back = radcnn.resample_to(moved, label_map)
    assert back.geometry.is_close(grid)
    overlap = 2 * ((back.array > 0) & (labels > 0)).sum() / ((back.array > 0).sum() + (labels > 0).sum())
    assert overlap > 0.97


def test_integers_are_rounded_not_cut():
    grid = Geometry.from_parts((1, 1, 2), (1.0, 1.0, 1.0))
    between = Geometry.from_parts((1, 1, 1), (1.0, 1.0, 1.0), (0.9, 0.0, 0.0))
    array = np.array([[[0, 10]]], np.int16)
    assert resample(array, grid, between, interpolation="linear").ravel().tolist() == [9]
    assert resample(-array, grid, between, interpolation="linear").ravel().tolist() == [-9]


def test_color_is_resampled_by_channel():
    grid = oblique_geometry((4, 5, 6))
    color = np.arange(4 * 5 * 6 * 3, dtype=np.uint8).reshape(4, 5, 6, 3)
    same = resample(color, grid, grid, interpolation="linear")
    assert np.array_equal(same, color)


def test_outside_the_field_of_view_is_padding():
    scan, _ = disks(0.0)
    scan = scan.with_array(scan.array, padding_value=-2000.0)
    wider = Geometry.from_parts((30, 80, 90), scan.geometry.spacing, np.array(scan.geometry.origin) - 4)
    assert radcnn.resample_to(scan, wider).array[0, 0, 0] == -2000
    assert radcnn.resample_to(scan.with_array(scan.array, padding_value=None), wider).array[0, 0, 0] == -1000


def test_two_patients_do_not_overlap():
    scan, _ = disks(0.0)
    far = Geometry.from_parts((3, 4, 5), (1, 1, 1), (500.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="do not overlap"):
        radcnn.resample_to(scan, far)


def test_different_frames_of_reference_are_a_warning():
    first, second = disks(0.0)
    first = replace(first, metadata=replace(first.metadata, frame_of_reference_uid="1.2"))
    second = replace(second, metadata=replace(second.metadata, frame_of_reference_uid="1.3"))
    assert any("frames of reference" in text for text in radcnn.resample_to(first, second).warnings)
    assert radcnn.resample_to(first, first).warnings == ()


def test_it_can_be_cancelled():
    scan, _ = disks(0.0)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        radcnn.resample_to(scan, scan, cancel=cancel)

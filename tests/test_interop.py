"""Volumes in nibabel, SimpleITK and PyTorch: every voxel lies where that library says that it lies."""

from __future__ import annotations

from itertools import product

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

import grids
from napari_radcnn.errors import GeometryError, ReadError, WriteError
from napari_radcnn.phantom import FIELD_COEFFICIENTS, world_field
from napari_radcnn.volume import Volume, VolumeMetadata
from sources import CountingSource

EVERY_GRID = pytest.mark.parametrize("grid", grids.ALL.values(), ids=grids.ALL)
AT_RIGHT_ANGLES = [grid for name, grid in grids.ALL.items() if name != "sheared"]
#: ``3x + 5y + 7z`` of LPS, where x and y are those of RAS.
RAS_COEFFICIENTS = np.array([-1, -1, 1]) * FIELD_COEFFICIENTS


def indices(shape):
    return np.array(list(product(*map(range, shape))))


# -- nibabel ----------------------------------------------------------------------------------------------------------


@EVERY_GRID
def test_nibabel_finds_every_voxel_in_its_place(grid):
    image = world_field(grid()).to_nibabel()
    assert image.shape == grids.SHAPE[::-1]
    positions = nibabel.affines.apply_affine(image.affine, indices(image.shape))
    values = np.asarray(image.dataobj)
    assert np.allclose([values[tuple(n)] for n in indices(image.shape)], positions @ RAS_COEFFICIENTS, atol=1e-3)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert nibabel.aff2axcodes(image.affine) == nibabel.aff2axcodes(image.get_sform())


@EVERY_GRID
def test_what_goes_to_nibabel_comes_back(grid):
    field = world_field(grid())
    back = Volume.from_nibabel(field.to_nibabel())
    assert np.array_equal(back.array, field.array)
    assert np.abs(back.geometry.corners - field.geometry.corners).max() < 1e-4
    assert not back.metadata.is_label


def test_an_image_of_nibabel_lies_where_nibabel_says(tmp_path):
    affine = np.array([[-0.6, 0.3, 0.1, 12], [0.2, 0.9, -0.4, -7], [0.1, 0.2, 2.4, 33], [0, 0, 0, 1]])
    shape = (5, 4, 3)
    positions = nibabel.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    nibabel.save(nibabel.Nifti1Image((positions @ RAS_COEFFICIENTS).astype(">f4"), affine), tmp_path / "a.nii")
    volume = Volume.from_nibabel(nibabel.load(tmp_path / "a.nii"))
    assert volume.shape == (3, 4, 5)
    assert volume.dtype == np.dtype("float32")
    assert volume.dtype.isnative
    ours = volume.geometry.to_world(np.moveaxis(np.indices(volume.shape), 0, -1))
    assert np.allclose(volume.array, ours @ FIELD_COEFFICIENTS, atol=1e-3)


def test_scaled_values_and_other_units_of_an_image_of_nibabel(tmp_path):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.diag([0.002, 0.001, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "a.nii.gz")
    volume = Volume.from_nibabel(nibabel.load(tmp_path / "a.nii.gz"))
    assert volume.geometry.spacing == pytest.approx((3, 1, 2))
    assert volume.array[2, 1, 4] == nibabel.load(tmp_path / "a.nii.gz").get_fdata()[4, 1, 2]


def test_labels_and_metadata_go_to_nibabel_and_back():
    labels = Volume(np.arange(60, dtype=np.uint8).reshape(grids.SHAPE), grids.oblique(), VolumeMetadata(is_label=True))
    image = labels.to_nibabel()
    assert image.header.get_intent()[0] == "label"
    assert Volume.from_nibabel(image).metadata == VolumeMetadata(is_label=True)
    assert Volume.from_nibabel(image, VolumeMetadata("mine")).name == "mine"


@pytest.mark.parametrize(("given", "stored"), [(np.bool_, np.uint8), (np.float16, np.float32), (np.int16, np.int16)])
def test_types_that_others_lack_become_the_next_wider_one(given, stored):
    volume = Volume((np.arange(60).reshape(grids.SHAPE) % 2).astype(given), grids.oblique())
    for image, back in ((volume.to_nibabel(), Volume.from_nibabel), (volume.to_simpleitk(), Volume.from_simpleitk)):
        assert back(image).dtype == stored
        assert np.array_equal(back(image).array, volume.array)


def test_colors_go_to_others_and_back():
    colors = Volume(np.arange(180, dtype=np.uint8).reshape(*grids.SHAPE, 3), grids.oblique())
    for back in (
        Volume.from_nibabel(colors.to_nibabel()),
        Volume.from_simpleitk(colors.to_simpleitk()),
        Volume.from_torch(colors.to_torch(), colors.geometry),
    ):
        assert np.array_equal(back.array, colors.array)
        assert back.geometry.is_close(colors.geometry)
    assert colors.to_simpleitk().GetPixel(4, 2, 1) == tuple(colors.array[1, 2, 4].tolist())


@pytest.mark.parametrize(
    ("values", "problem"), [(np.zeros((5, 4, 3, 2), np.float32), "slicer"), (np.zeros((5, 4, 3), np.complex64), "abs")]
)
def test_images_of_nibabel_that_are_no_volume(values, problem):
    with pytest.raises(ReadError, match=problem):
        Volume.from_nibabel(nibabel.Nifti1Image(values, np.eye(4)))


def test_axes_of_length_one_are_no_axes():
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(5, 4, 3, 1), np.diag([2, 3, 4, 1]))
    assert Volume.from_nibabel(image).array[2, 3, 4] == 59
    flat = nibabel.Nifti1Image(np.arange(20, dtype=np.float32).reshape(5, 4), np.diag([2, 3, 4, 1]))
    assert Volume.from_nibabel(flat).shape == (1, 4, 5)


def test_what_nifti_cannot_hold_is_refused():
    with pytest.raises(WriteError, match="8-bit"):
        Volume(np.zeros((*grids.SHAPE, 3)), grids.oblique()).to_nibabel()


# -- SimpleITK --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", AT_RIGHT_ANGLES)
def test_simpleitk_finds_every_voxel_in_its_place(grid):
    image = world_field(grid()).to_simpleitk()
    assert image.GetSize() == grids.SHAPE[::-1]
    for n in indices(image.GetSize()).tolist():
        assert image.GetPixel(n) == pytest.approx(
            float(np.dot(image.TransformIndexToPhysicalPoint(n), FIELD_COEFFICIENTS)), abs=1e-3
        )


@pytest.mark.parametrize("grid", AT_RIGHT_ANGLES)
def test_what_goes_to_simpleitk_comes_back(grid):
    field = world_field(grid())
    back = Volume.from_simpleitk(field.to_simpleitk(), VolumeMetadata("mine"))
    assert np.array_equal(back.array, field.array)
    assert np.abs(back.geometry.corners - field.geometry.corners).max() < 1e-9
    assert back.name == "mine"


def test_an_image_of_simpleitk_lies_where_simpleitk_says():
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5), np.float32))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-31, 17, 40))
    transform = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.15, 0.3)
    image.SetDirection(transform.GetMatrix())
    for n in indices(image.GetSize()).tolist():
        image.SetPixel(n, float(np.dot(image.TransformIndexToPhysicalPoint(n), FIELD_COEFFICIENTS)))
    volume = Volume.from_simpleitk(image)
    ours = volume.geometry.to_world(np.moveaxis(np.indices(volume.shape), 0, -1))
    assert np.allclose(volume.array, ours @ FIELD_COEFFICIENTS, atol=1e-3)


def test_what_simpleitk_cannot_hold_is_refused():
    with pytest.raises(WriteError, match="sheared"):
        world_field(grids.sheared()).to_simpleitk()


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (sitk.Image(5, 4, sitk.sitkFloat32), "2 axes.*JoinSeries"),
        (sitk.Image([5, 4, 3, 2], sitk.sitkFloat32), "4 axes"),
        (sitk.Image([5, 4, 3], sitk.sitkVectorFloat32, 3), "3 values"),
        (sitk.Image([5, 4, 3], sitk.sitkComplexFloat32), "complex"),
    ],
)
def test_images_of_simpleitk_that_are_no_volume(image, problem):
    with pytest.raises(ReadError, match=problem):
        Volume.from_simpleitk(image)


# -- PyTorch ----------------------------------------------------------------------------------------------------------


@EVERY_GRID
def test_a_tensor_has_the_axes_of_the_array(grid):
    field = world_field(grid()).reoriented("RAI")  # strides that no tensor can have
    tensor = field.to_torch()
    assert tuple(tensor.shape) == field.shape
    assert tensor[2, 1, 0].item() == field.array[2, 1, 0]
    back = Volume.from_torch(tensor.requires_grad_(), field.geometry, VolumeMetadata("mine"))
    assert np.array_equal(back.array, field.array)
    assert back.geometry is field.geometry
    assert back.name == "mine"


def test_types_of_tensors():
    big = Volume(np.arange(60, dtype=">i2").reshape(grids.SHAPE), grids.oblique())
    assert big.to_torch().dtype is torch.int16
    assert big.to_torch()[2, 3, 4] == 59
    assert Volume.from_torch(big.to_torch().bfloat16(), big.geometry).dtype == np.float32
    with pytest.raises(WriteError, match="tensor"):
        Volume(np.zeros(grids.SHAPE, np.longdouble), grids.oblique()).to_torch()


def test_a_tensor_with_an_axis_of_channels_is_no_volume():
    field = world_field(grids.oblique())
    with pytest.raises(GeometryError, match=r"\(1, 3, 4, 5\)"):
        Volume.from_torch(field.to_torch()[None], field.geometry)


# -- all --------------------------------------------------------------------------------------------------------------


def test_nobody_writes_into_the_voxels_of_another():
    volume = Volume(np.zeros(grids.SHAPE, np.float32), grids.oblique())
    image, tensor = volume.to_nibabel(), volume.to_torch()
    np.asarray(image.dataobj)[...] = 1
    tensor += 1
    assert not volume.array.any()
    for back in (Volume.from_nibabel(image), Volume.from_torch(tensor, volume.geometry)):
        back.array[...] = 2
    assert np.all(np.asarray(image.dataobj) == 1)
    assert torch.all(tensor == 1)


def test_a_lazy_volume_is_loaded_for_it_once():
    field = world_field(grids.oblique())
    source = CountingSource(field.array)
    lazy = Volume.lazy(source, field.geometry)
    assert np.array_equal(Volume.from_simpleitk(lazy.to_simpleitk()).array, field.array)
    n_reads = len(source.boxes)
    assert np.array_equal(lazy.to_torch().numpy(), field.array)
    assert np.array_equal(Volume.from_nibabel(lazy.to_nibabel()).array, field.array)
    assert len(source.boxes) == n_reads

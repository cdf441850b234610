"""Headers that round, leave out or negate what nifti1.h asks for, against nibabel and ITK."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from napari_radcnn.io import read
from napari_radcnn.volume import Volume

SHAPE, ZOOMS = (4, 3, 2), (1.5, 2.0, 3.0)
#: Where fields lie in a NIfTI-1 header.
_PLACES = {"dim": (40, "8h"), "pixdim": (76, "8f"), "quatern": (256, "3f"), "codes": (252, "2h"), "srow": (280, "12f")}
_QUARTERS = {"x": (0.5**0.5, 0, 0), "y": (0, 0.5**0.5, 0), "z": (0, 0, 0.5**0.5)}


def write_header(path: Path, shape: tuple[int, ...] = SHAPE, **fields: tuple[float, ...]) -> Path:
    """Write an image with a qform alone, and overwrite fields of its header."""
    image = nibabel.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), None)
    image.header.set_qform(np.diag([*ZOOMS, 1]) + np.outer([-10, -20, 30, 0], [0, 0, 0, 1]), code=1)
    image.header["sform_code"] = 0
    nibabel.save(image, path)
    data = bytearray(path.read_bytes())
    for name, values in fields.items():
        place, form = _PLACES[name]
        struct.pack_into("<" + form, data, place, *values)
    path.write_bytes(data)
    return path


def read_one(path: Path) -> Volume:
    (volume,) = read(path)
    return volume


def by_itk(path: Path) -> np.ndarray:
    """Return ITK's affine from (k, j, i) to LPS."""
    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = (np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing())[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return affine


def by_nibabel(path: Path) -> np.ndarray:
    return np.diag([-1.0, -1, 1, 1]) @ nibabel.load(path).affine @ np.eye(4)[[2, 1, 0, 3]]


def said(volume: Volume, word: str) -> bool:
    return any(word in line for line in volume.warnings)


@pytest.mark.parametrize("qfac", [0.0, 0.5, -0.5, -3.0])
@pytest.mark.parametrize("quatern", [(0, 0, 0), (0.1, 0.2, 0.3), (0.5, -0.5, 0.5)])
def test_qfac_that_is_not_one(tmp_path: Path, qfac: float, quatern: tuple[float, ...]) -> None:
    path = write_header(tmp_path / "a.nii", pixdim=(qfac, *ZOOMS, 1, 1, 1, 1), quatern=quatern)
    volume = read_one(path)
    assert np.allclose(volume.geometry.affine, by_itk(path), atol=1e-5)
    assert said(volume, "pixdim[0]")
    if qfac == 0:
        assert np.allclose(volume.geometry.affine, by_nibabel(path), atol=1e-5)


@pytest.mark.parametrize(
    "quatern",
    [(0.70711, 0.70711, 0.001), (0.708, 0.0, 0.708), (0.58, 0.58, -0.58), (1.004, 0, 0), (0.0, -1.0002, 0.01)],
)
def test_rounded_quaternions_are_scaled(tmp_path: Path, quatern: tuple[float, ...]) -> None:
    path = write_header(tmp_path / "a.nii", quatern=quatern)
    volume = read_one(path)
    assert np.allclose(volume.geometry.affine, by_itk(path), atol=1e-5)
    assert said(volume, "long instead of 1")


@pytest.mark.parametrize("quatern", [*_QUARTERS.values(), (0.5, -0.5, 0.5), (1.0, 0.0, 0.0), (0.31, -0.2, 0.83)])
def test_exact_quaternions_say_nothing(tmp_path: Path, quatern: tuple[float, ...]) -> None:
    path = write_header(tmp_path / "a.nii", quatern=quatern)
    volume = read_one(path)
    assert np.allclose(volume.geometry.affine, by_itk(path), atol=1e-5)
    assert np.allclose(volume.geometry.affine, by_nibabel(path), atol=1e-5)
    assert volume.warnings == ()


def test_a_quaternion_that_is_none_is_not_used(tmp_path: Path) -> None:
    volume = read_one(write_header(tmp_path / "a.nii", quatern=(0.9, 0.9, 0.1)))
    assert said(volume, "longer than 1")
    assert said(volume, "orientation is unknown")


@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_negative_sizes_are_sizes(tmp_path: Path, signs: tuple[int, int, int]) -> None:
    sizes = [size * sign for size, sign in zip(ZOOMS, signs, strict=True)]
    path = write_header(tmp_path / "a.nii", pixdim=(1, *sizes, 1, 1, 1, 1))
    volume = read_one(path)
    assert np.allclose(volume.geometry.affine, by_nibabel(path), atol=1e-5)
    assert volume.geometry.spacing == pytest.approx(ZOOMS[::-1])
    assert said(volume, "negative")


@pytest.mark.parametrize(
    ("dim", "codes"),
    [((2, 4, 3, 1, 1, 1, 1, 1), (1, 0)), ((3, 4, 3, 1, 1, 1, 1, 1), (1, 0)), ((2, 4, 3, 1, 1, 1, 1, 1), (0, 0))],
)
def test_a_picture_without_thickness(tmp_path: Path, dim: tuple[int, ...], codes: tuple[int, int]) -> None:
    path = write_header(
        tmp_path / "a.nii",
        (4, 3, 1),
        dim=dim,
        pixdim=(1, 1.5, 2.0, 0, 1, 1, 1, 1),
        quatern=(0.1, 0.2, 0.3),
        codes=codes,
    )
    volume = read_one(path)
    assert volume.geometry.spacing == pytest.approx((1.0, 2.0, 1.5))
    assert said(volume, "a thickness of 1 mm was assumed")
    if codes[0] and dim[0] == 3:
        assert np.allclose(volume.geometry.affine, by_nibabel(path), atol=1e-5)


def test_an_sform_without_thickness(tmp_path: Path) -> None:
    rows: Any = (0, 2.0, 0, -5, 1.5, 0, 0, 7, 0, 0, 0, 11)
    path = write_header(tmp_path / "a.nii", (4, 3, 1), pixdim=(1, 1.5, 2, 0, 1, 1, 1, 1), codes=(0, 2), srow=rows)
    volume = read_one(path)
    assert np.allclose(
        volume.geometry.affine[:3, 1:],
        [[0, 0, 5], [0, 0, 0], [0, 0, 0]] - np.array([[2.0, 0, 0], [0, 1.5, 7], [0, 0, -11]]),
    )
    assert volume.geometry.spacing == pytest.approx((1.0, 2.0, 1.5))
    assert said(volume, "a thickness of 1 mm was assumed")


def test_no_size_of_several_slices_is_invented(tmp_path: Path) -> None:
    from napari_radcnn.errors import ReadError

    path = write_header(tmp_path / "a.nii", pixdim=(1, 1.5, 2.0, 0, 1, 1, 1, 1))
    with pytest.raises(ReadError, match="no positive voxel size"):
        read(path)

"""Whatever the grid, the shape and the order of the slices: every voxel comes back in its place."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read, write
from napari_radcnn.phantom import rotation, world_field
from napari_radcnn.volume import Volume

QUICK = settings(max_examples=25, deadline=None)
_ANGLES = st.floats(-180, 180, allow_subnormal=False)
_MM = st.floats(0.3, 6.0)
_PLACES = st.floats(-400, 400, allow_subnormal=False)


@st.composite
def grids(draw: st.DrawFn, *, sheared: bool = False, slices: int = 2) -> Geometry:
    """Any orientation, with axes permuted and flipped; of unlike sizes mostly."""
    shape = (draw(st.integers(slices, 7)), draw(st.integers(2, 9)), draw(st.integers(2, 9)))
    direction = rotation(draw(_ANGLES), draw(_ANGLES), draw(_ANGLES)) @ np.eye(3)[:, draw(st.permutations([0, 1, 2]))]
    direction = direction * [draw(st.sampled_from((-1, 1))) for _ in range(3)]
    if sheared:
        direction[:, 0] += draw(st.floats(-0.5, 0.5)) * direction[:, 1]
        direction[:, 0] /= np.linalg.norm(direction[:, 0])
    spacing = (draw(_MM), draw(_MM), draw(_MM))
    return Geometry.from_parts(shape, spacing, (draw(_PLACES), draw(_PLACES), draw(_PLACES)), direction)


def misplaced(volume: Volume) -> float:
    """Return by how much the values differ from the field at their places."""
    return float(np.abs(np.asarray(volume.array, float) - world_field(volume.geometry).array).max())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".ome.zarr"])
@QUICK
@given(geometry=grids())
def test_every_format_keeps_places(suffix: str, geometry: Geometry) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (volume,) = read(write(world_field(geometry), Path(folder) / f"a{suffix}"))
        assert volume.geometry.is_close(geometry, 2e-3)
        assert misplaced(volume) < 0.05
        assert volume.warnings == ()


@QUICK
@given(geometry=grids(sheared=True))
def test_nifti_keeps_shear(geometry: Geometry) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (volume,) = read(write(world_field(geometry), Path(folder) / "a.nii.gz"))
        assert volume.geometry.is_close(geometry, 2e-3)
        assert misplaced(volume) < 0.05


@QUICK
@given(
    geometry=grids(sheared=True),
    syntax=st.sampled_from((ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless)),
    seed=st.integers(0, 99),
)
def test_dicom_in_any_order(geometry: Geometry, syntax: str, seed: int) -> None:
    """Names and instance numbers say nothing; the order of k may turn round, since DICOM has none."""
    field = world_field(geometry)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_dicom_series(folder, field, modality="CT", transfer_syntax=syntax)
        names = [path.name for path in paths]
        random.Random(seed).shuffle(names)
        for path in paths:
            path.rename(path.with_suffix(".moved"))
        for path, name in zip(paths, names, strict=True):
            path.with_suffix(".moved").rename(path.with_name(name))
        (volume,) = read(folder)
    assert volume.geometry.shape == geometry.shape
    assert misplaced(volume) < 0.2  # values have 16 bits, positions 16 digits
    expected = field.array if np.allclose(volume.geometry.origin, geometry.origin, atol=1e-3) else field.array[::-1]
    assert np.allclose(volume.array, expected, atol=0.2)


@QUICK
@given(geometry=grids(slices=5), data=st.data())
def test_dicom_with_a_slice_missing_is_refused(geometry: Geometry, data: st.DataObject) -> None:
    missing = data.draw(st.integers(1, geometry.shape[0] - 2))
    with tempfile.TemporaryDirectory() as folder:
        paths = write_dicom_series(folder, world_field(geometry), modality="CT")
        paths[missing].unlink()
        with pytest.raises(ReadError, match="not evenly spaced") as caught:
            read(folder)
        assert paths[missing - 1].name in str(caught.value)
        assert paths[missing + 1].name in str(caught.value)

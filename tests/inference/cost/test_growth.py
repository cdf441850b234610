"""Grids out of all proportion are refused by every model that resamples to a spacing of its own, before it runs."""

from __future__ import annotations

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.cost.growth import check_own_spacing
from napari_radcnn.volume import Volume, VolumeMetadata


def scan(
    spacing: tuple[float, float, float], modality: str = "MR", shape: tuple[int, int, int] = (16, 30, 32)
) -> Volume:
    array = (1 + np.arange(np.prod(shape)) % 700).astype(np.int16).reshape(shape)
    return Volume(array, Geometry.from_parts(shape, spacing), VolumeMetadata(name="scan", modality=modality))


@pytest.mark.parametrize("spacing", [(80.0, 50.0, 50.0), (5.0, 5.0, 4.1), (0.5, 30.0, 30.0)])
@pytest.mark.parametrize(
    ("model", "modality"), [("brain-tissue", "MR"), ("brain-extraction", "MR"), ("lung-nodules", "CT")]
)
def test_huge_voxels_are_refused_in_the_plan(model: str, modality: str, spacing: tuple[float, float, float]) -> None:
    factor = {"brain-tissue": 1.0, "lung-nodules": 1.5, "brain-extraction": 2.0}[model]  # as its own voxels are larger
    spacing = (factor * spacing[0], factor * spacing[1], factor * spacing[2])
    shape = (100, 30, 32) if spacing[0] < 1 else (16, 30, 32)
    with pytest.raises(ModelError, match="more than 100 times as many"):
        radcnn.plan(scan(spacing, modality, shape), model)


@pytest.mark.parametrize("spacing", [(10.0, 0.9, 0.8), (6.0, 4.0, 4.0), (0.3, 0.2, 0.2)])
def test_thick_slices_and_fine_voxels_are_in_proportion(spacing: tuple[float, float, float]) -> None:
    check_own_spacing(scan(spacing), 1.0)
    with pytest.raises(ModelError, match="'scan'"):
        check_own_spacing(scan(spacing), 0.01)

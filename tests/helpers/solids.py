"""Solids of known size on awkward grids, and the digital phantom of IBSI: oracles of measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import rotation
from napari_radcnn.volume import Volume, VolumeMetadata

SPACING = (2.5, 0.8, 0.7)


def grids() -> dict[str, Geometry]:
    """Return grids of about 75 x 64 x 63 mm: axial, left-handed, oblique, and slices across the patient."""
    shape, origin = (30, 80, 90), (-31.0, 17.5, 40.25)
    upright = np.eye(3)[:, ::-1]
    return {
        "axial": Geometry.from_parts(shape, SPACING, origin),
        "left-handed": Geometry.from_parts(shape, SPACING, origin, upright * [-1, 1, 1]),
        "oblique": Geometry.from_parts(shape, SPACING, origin, rotation(25.0, -17.0, 40.0) @ upright),
        "sagittal": Geometry.from_parts(shape, SPACING, origin, np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)),
    }


def positions(grid: Geometry) -> np.ndarray:
    """Return the position of each voxel."""
    return grid.to_world(np.stack(np.indices(grid.shape), axis=-1))


def center_of(grid: Geometry) -> np.ndarray:
    """Return a place near the middle that is no voxel's center."""
    return grid.to_world(np.array(grid.shape) / 2 + (0.13, -0.21, 0.34))


def ellipsoid(grid: Geometry, half_axes: tuple[float, float, float], turn: np.ndarray) -> np.ndarray:
    """Return the mask of an ellipsoid whose axes are the columns of `turn`, half axes in mm."""
    local = (positions(grid) - center_of(grid)) @ turn
    return ((local / np.array(half_axes)) ** 2).sum(-1) <= 1


def labels(mask: np.ndarray, grid: Geometry, **metadata: Any) -> Volume:
    """Return a mask as a label map."""
    return Volume(mask.astype(np.uint8), grid, VolumeMetadata(name="labels", is_label=True, **metadata))


def digital_phantom() -> tuple[Volume, Volume, dict[str, float]]:
    """Return labels and scan of IBSI's digital phantom, and its published consensus values."""
    path = Path(__file__).parents[1] / "data" / "ibsi" / "digital_phantom.json"
    stated = json.loads(path.read_text())
    array = np.array([[[np.nan if v is None else v for v in row] for row in k] for k in stated["intensity"]], float)
    grid = Geometry.from_parts(array.shape, stated["spacing_mm"])
    scan = Volume(np.nan_to_num(array).astype(np.int16), grid, VolumeMetadata(name="phantom"))
    values = {**stated["consensus"]["morphology"], **stated["consensus"]["statistics"]}
    return labels(np.isfinite(array), grid), scan, values


#: Key of the consensus values -> column, and the column's unit in that of the values.
IBSI_COLUMNS = {
    "volume_mesh_mm3": ("mesh_volume_ml", 1000),
    "volume_voxels_mm3": ("volume_ml", 1000),
    "surface_area_mm2": ("surface_mm2", 1),
    "surface_to_volume": ("surface_to_volume", 1),
    "compactness_1": ("compactness_1", 1),
    "compactness_2": ("compactness_2", 1),
    "spherical_disproportion": ("spherical_disproportion", 1),
    "sphericity": ("sphericity", 1),
    "asphericity": ("asphericity", 1),
    "centre_of_mass_shift_mm": ("center_of_mass_shift_mm", 1),
    "maximum_3d_diameter_mm": ("maximum_3d_diameter_mm", 1),
    "major_axis_mm": ("major_axis_mm", 1),
    "minor_axis_mm": ("minor_axis_mm", 1),
    "least_axis_mm": ("least_axis_mm", 1),
    "elongation": ("elongation", 1),
    "flatness": ("flatness", 1),
    "integrated_intensity": ("integrated_intensity", 1000),
    "volume_density_convex_hull": ("convex_volume_density", 1),
    "area_density_convex_hull": ("convex_area_density", 1),
    "volume_density_aabb": ("box_volume_density", 1),
    "area_density_aabb": ("box_area_density", 1),
    "volume_density_aee": ("ellipsoid_volume_density", 1),
    "area_density_aee": ("ellipsoid_area_density", 1),
    "mean": ("mean", 1),
    "variance": ("variance", 1),
    "skewness": ("skewness", 1),
    "kurtosis_excess": ("kurtosis", 1),
    "median": ("median", 1),
    "minimum": ("min", 1),
    "p10": ("p10", 1),
    "p90": ("p90", 1),
    "maximum": ("max", 1),
    "interquartile_range": ("interquartile_range", 1),
    "range": ("range", 1),
    "mean_absolute_deviation": ("mean_absolute_deviation", 1),
    "robust_mean_absolute_deviation": ("robust_mean_absolute_deviation", 1),
    "median_absolute_deviation": ("median_absolute_deviation", 1),
    "coefficient_of_variation": ("coefficient_of_variation", 1),
    "quartile_coefficient_of_dispersion": ("quartile_coefficient_of_dispersion", 1),
    "energy": ("energy", 1),
    "root_mean_square": ("root_mean_square", 1),
}

"""What is measured: the name of each column, its unit, its definition, and IBSI's code for it.

Numbers of the reference manual of the Image Biomarker Standardisation Initiative (IBSI; Zwanenburg et al., Radiology
2020, arXiv 1612.07003) are those of its chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: "value" stands for the unit of the scan.
Unit = Literal["", "voxels", "ml", "mm", "mm2", "1/mm", "value", "value^2", "value x ml"]


@dataclass(frozen=True)
class Feature:
    """A column of the table.

    Attributes
    ----------
    name : str
        Of the column.
    unit : str
        ``"value"`` is the unit of the scan; empty for a ratio.
    definition : str
        In a line.
    code : str
        IBSI's code, empty for what IBSI does not define.
    ibsi_name : str
        IBSI's name.
    group : {"place", "shape", "intensity", "PET"}
        What it is of.
    """

    name: str
    unit: Unit
    definition: str
    code: str = ""
    ibsi_name: str = ""
    group: Literal["place", "shape", "intensity", "PET"] = "shape"

    @property
    def cited(self) -> str:
        """The definition, with IBSI's name and code."""
        return f"{self.definition} [IBSI {self.code}: {self.ibsi_name}]" if self.code else self.definition


_MESH = "of the mesh (marching cubes at 0.5)"
_MOMENTS = "of the ellipsoid with the moments of the voxel centers"

#: In the order of the columns, after ``label`` and ``name``.
FEATURES: tuple[Feature, ...] = (
    Feature("voxels", "voxels", "number of voxels"),
    Feature("volume_ml", "ml", "number of voxels times the volume of one", "YEKZ", "volume (voxel counting)"),
    Feature("mean", "value", "mean", "Q4LE", "mean intensity", "intensity"),
    Feature("sd", "value", "root of the variance, which is divided by the number of voxels", group="intensity"),
    Feature("min", "value", "lowest value", "1GSF", "minimum intensity", "intensity"),
    Feature("median", "value", "median", "Y12H", "median intensity", "intensity"),
    Feature("max", "value", "highest value", "84IY", "maximum intensity", "intensity"),
    Feature(
        "longest_diameter_mm",
        "mm",
        "longest diameter in space, halfway between the distance of two voxel centers and that of the outer ends of "
        "their voxels",
    ),
    Feature(
        "axial_diameter_mm",
        "mm",
        "longest diameter in one axial slice (RECIST 1.1: longest diameter; WHO), measured as longest_diameter_mm",
    ),
    Feature(
        "axial_perpendicular_mm",
        "mm",
        "longest chord of the outline's hull at right angles to axial_diameter_mm, in its slice (RECIST 1.1: short "
        "axis; WHO)",
    ),
    Feature("suv_max", "value", "highest value", "84IY", "maximum intensity", "PET"),
    Feature("suv_mean", "value", "mean", "Q4LE", "mean intensity", "PET"),
    Feature(
        "suv_peak",
        "value",
        "highest mean within a sphere of 1 ml around a voxel of the region, of the voxels whose centers lie in it "
        "(EANM's guideline 2.0 for FDG PET, UPICT)",
        "0F91",
        "global intensity peak",
        "PET",
    ),
    Feature(
        "local_peak",
        "value",
        "mean of a sphere of 1 ml around its highest voxel",
        "VJGA",
        "local intensity peak",
        "PET",
    ),
    Feature(
        "mtv_threshold", "value", "lowest value that counts for mtv_ml: 41 % of the highest, or as given", group="PET"
    ),
    Feature("mtv_ml", "ml", "metabolic tumor volume: voxels from mtv_threshold on", group="PET"),
    Feature("tlg", "value x ml", "total lesion glycolysis: mtv_ml times the mean of its voxels", group="PET"),
    Feature("centroid_x_mm", "mm", "mean of the voxel centers, towards the patient's left", group="place"),
    Feature("centroid_y_mm", "mm", "mean of the voxel centers, towards the patient's back", group="place"),
    Feature("centroid_z_mm", "mm", "mean of the voxel centers, towards the patient's head", group="place"),
    Feature("first_k", "voxels", "first slice of the bounding box", group="place"),
    Feature("first_j", "voxels", "first row of the bounding box", group="place"),
    Feature("first_i", "voxels", "first column of the bounding box", group="place"),
    Feature("last_k", "voxels", "last slice of the bounding box", group="place"),
    Feature("last_j", "voxels", "last row of the bounding box", group="place"),
    Feature("last_i", "voxels", "last column of the bounding box", group="place"),
    Feature("mesh_volume_ml", "ml", f"volume {_MESH}", "RNU0", "volume (mesh)"),
    Feature("surface_mm2", "mm2", f"surface {_MESH}", "C0JK", "surface area (mesh)"),
    Feature("surface_to_volume", "1/mm", "surface_mm2 by the volume of the mesh", "2PR5", "surface to volume ratio"),
    Feature("compactness_1", "", "volume by root of pi times surface^1.5, of the mesh", "SKGS", "compactness 1"),
    Feature("compactness_2", "", "36 pi volume^2 by surface^3, of the mesh", "BQWJ", "compactness 2"),
    Feature(
        "spherical_disproportion", "", "surface by that of a ball of this volume", "KRCK", "spherical disproportion"
    ),
    Feature("sphericity", "", "surface of a ball of this volume by the surface", "QCFX", "sphericity"),
    Feature("asphericity", "", "spherical_disproportion less 1", "25C7", "asphericity"),
    Feature(
        "convex_volume_density",
        "",
        "volume of the mesh by that of its convex hull",
        "R3ER",
        "volume density (convex hull)",
    ),
    Feature(
        "convex_area_density",
        "",
        "surface of the mesh by that of its convex hull",
        "7T7F",
        "area density (convex hull)",
    ),
    Feature(
        "box_volume_density",
        "",
        "volume of the mesh by that of the box around the voxels, along the grid's axes",
        "PBX1",
        "volume density (axis-aligned bounding box)",
    ),
    Feature(
        "box_area_density",
        "",
        "surface of the mesh by that of the box around the voxels, along the grid's axes",
        "R59B",
        "area density (axis-aligned bounding box)",
    ),
    Feature(
        "ellipsoid_volume_density",
        "",
        f"volume of the mesh by that {_MOMENTS}",
        "6BDE",
        "volume density (approximate enclosing ellipsoid)",
    ),
    Feature(
        "ellipsoid_area_density",
        "",
        f"surface of the mesh by that {_MOMENTS} by IBSI's series, which is exact for a ball only",
        "RDD2",
        "area density (approximate enclosing ellipsoid)",
    ),
    Feature(
        "maximum_3d_diameter_mm", "mm", "longest distance of two points of the mesh", "L0JK", "maximum 3D diameter"
    ),
    Feature("major_axis_mm", "mm", f"longest axis {_MOMENTS}", "TDIC", "major axis length"),
    Feature("minor_axis_mm", "mm", f"second axis {_MOMENTS}", "P9VJ", "minor axis length"),
    Feature("least_axis_mm", "mm", f"shortest axis {_MOMENTS}", "7J51", "least axis length"),
    Feature("elongation", "", "minor_axis_mm by major_axis_mm", "Q3CK", "elongation"),
    Feature("flatness", "", "least_axis_mm by major_axis_mm", "N17B", "flatness"),
    Feature(
        "center_of_mass_shift_mm",
        "mm",
        "from the mean of the voxel centers to that weighted by the values",
        "KLMA",
        "centre of mass shift",
        "intensity",
    ),
    Feature(
        "integrated_intensity",
        "value x ml",
        "mean times the volume of the mesh; IBSI's is per mm3, this per ml",
        "99N0",
        "integrated intensity",
        "intensity",
    ),
    Feature("p10", "value", "10th percentile, linear between values", "QG58", "10th intensity percentile", "intensity"),
    Feature("p25", "value", "25th percentile, linear between values", group="intensity"),
    Feature("p75", "value", "75th percentile, linear between values", group="intensity"),
    Feature("p90", "value", "90th percentile, linear between values", "8DWT", "90th intensity percentile", "intensity"),
    Feature(
        "variance", "value^2", "mean of squared differences from the mean", "ECT3", "intensity variance", "intensity"
    ),
    Feature("skewness", "", "third standardized moment", "KE2A", "intensity skewness", "intensity"),
    Feature("kurtosis", "", "fourth standardized moment less 3", "IPH6", "(excess) intensity kurtosis", "intensity"),
    Feature("interquartile_range", "value", "p75 less p25", "SALO", "intensity interquartile range", "intensity"),
    Feature("range", "value", "max less min", "2OJQ", "intensity range", "intensity"),
    Feature(
        "mean_absolute_deviation",
        "value",
        "mean distance from the mean",
        "4FUA",
        "intensity-based mean absolute deviation",
        "intensity",
    ),
    Feature(
        "robust_mean_absolute_deviation",
        "value",
        "mean distance from their mean, of the values from p10 to p90",
        "1128",
        "intensity-based robust mean absolute deviation",
        "intensity",
    ),
    Feature(
        "median_absolute_deviation",
        "value",
        "mean distance from the median",
        "N72L",
        "intensity-based median absolute deviation",
        "intensity",
    ),
    Feature(
        "coefficient_of_variation", "", "sd by mean", "7TET", "intensity-based coefficient of variation", "intensity"
    ),
    Feature(
        "quartile_coefficient_of_dispersion",
        "",
        "p75 less p25, by p75 plus p25",
        "9S40",
        "intensity-based quartile coefficient of dispersion",
        "intensity",
    ),
    Feature("energy", "value^2", "sum of squares", "N8CA", "intensity-based energy", "intensity"),
    Feature("root_mean_square", "value", "root of the mean square", "5ZWQ", "root mean square intensity", "intensity"),
)

BY_NAME: dict[str, Feature] = {feature.name: feature for feature in FEATURES}

"""Write ``docs/measurements.md``: what each column of a table of measurements follows, and how far it is checked.

    python docs/make_measurements.py

Deviations are computed here, from IBSI's digital phantom, closed forms and SimpleITK's filters; nothing is typed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from napari_radcnn.measure import FEATURES, segments  # noqa: E402
from napari_radcnn.measure.peak import RADIUS_MM, peaks  # noqa: E402
from napari_radcnn.phantom import rotation  # noqa: E402
from napari_radcnn.volume import Volume, VolumeMetadata  # noqa: E402
from solids import IBSI_COLUMNS, SPACING, center_of, digital_phantom, ellipsoid, grids, labels, positions  # noqa: E402

#: Column -> what it was checked against, and how far it is off.
Checks = dict[str, list[tuple[str, str]]]
HALF_AXES = (24.0, 17.3, 11.9)
RADII = (14.0, 18.3, 22.7)

HEAD = """# Measurements

`radcnn measure`, `napari_radcnn.measure.segments` and the tables of the viewer give these columns, and no figure that
is not in this list. *Value* is the unit of the scan: HU, SUVbw, Bq/ml, or none. Codes are those of the Image Biomarker
Standardisation Initiative (IBSI; Zwanenburg et al., Radiology 2020;295:328; reference manual arXiv 1612.07003).

Written by `docs/make_measurements.py`, which measures what is in the last two columns: the digital phantom of IBSI
(its consensus values are published to three digits), {balls} balls and an ellipsoid of known size on axial,
left-handed, oblique and sagittal grids of {spacing} mm, boxes on the same grids, and SimpleITK's filters on noise. Half
a voxel's diagonal is {half:.2f} mm there.

What they do not say: textures, histograms with bins and volumes at an intensity, which IBSI defines as well, are not
measured; nor are Moran's I and Geary's C, which compare each voxel with each other one, and the densities in the
smallest oriented box and the smallest ellipsoid, on which IBSI has little or no consensus. A standard deviation is that
of the population. `local_peak` and `suv_peak` are not checked against IBSI's phantom: voxels outside of the region
belong to the spheres, and their values stand in its image files only, which are not in this repository.

"""


def phantom(found: Checks) -> None:
    """Compare with the consensus values."""
    mask, scan, consensus = digital_phantom()
    (row,) = segments(mask, scan)["labels"]
    for name, (column, scale) in IBSI_COLUMNS.items():
        value = row[column] * scale
        found[column].append(("IBSI's digital phantom", f"{_plain(value)} for {consensus[name]:g}"))
    sd = float(np.sqrt(consensus["variance"]))
    found["sd"].append(("root of IBSI's variance", f"{_plain(row['sd'])} for {_plain(sd)}"))


def solids(found: Checks) -> None:
    """Compare with closed forms; the worst of all grids and sizes."""
    turn = rotation(31.0, 12.0, -20.0)
    off: dict[str, list[float]] = defaultdict(list)
    for grid in grids().values():
        place = center_of(grid)
        for radius in RADII:
            (row,) = segments(labels(ellipsoid(grid, (radius,) * 3, np.eye(3)), grid))["labels"]
            volume = 4 / 3 * np.pi * radius**3 / 1000
            off["ball volume_ml"].append(row["volume_ml"] / volume - 1)
            off["ball mesh_volume_ml"].append(row["mesh_volume_ml"] / volume - 1)
            for column in (
                "longest_diameter_mm",
                "axial_diameter_mm",
                "axial_perpendicular_mm",
                "maximum_3d_diameter_mm",
            ):
                off[f"ball {column}"].append(row[column] - 2 * radius)
            for axis, wanted in zip("xyz", place, strict=True):
                off[f"ball centroid_{axis}_mm"].append(row[f"centroid_{axis}_mm"] - wanted)
        (row,) = segments(labels(ellipsoid(grid, HALF_AXES, turn), grid))["labels"]
        off["ellipsoid volume_ml"].append(row["volume_ml"] / (4 / 3 * np.pi * np.prod(HALF_AXES) / 1000) - 1)
        off["ellipsoid longest_diameter_mm"].append(row["longest_diameter_mm"] - 2 * max(HALF_AXES))
        for column, half in zip(("major_axis_mm", "minor_axis_mm", "least_axis_mm"), HALF_AXES, strict=True):
            off[f"ellipsoid {column}"].append(row[column] * np.sqrt(5) / 2 / (2 * half) - 1)
        mask = np.zeros(grid.shape, bool)
        mask[5:19, 10:71, 20:48] = True
        sides = np.array((14, 61, 28)) * SPACING
        (row,) = segments(labels(mask, grid))["labels"]
        off["box volume_ml"].append(row["volume_ml"] / (sides.prod() / 1000) - 1)
        for column in ("longest_diameter_mm", "maximum_3d_diameter_mm"):
            off[f"box {column}"].append(row[column] - float(np.linalg.norm(sides)))
    for name, values in off.items():
        solid, column = name.split()
        worst = max(values, key=abs)
        unit = f"{worst:+.2f} mm" if column.endswith("_mm") and "axis" not in column else f"{worst:+.2%}"
        found[column].append((f"closed form, {solid}", unit))


def filters(found: Checks) -> None:
    """Compare with SimpleITK's filters of labels, on noise."""
    grid = grids()["oblique"]
    rng = np.random.default_rng(3)
    array = np.zeros(grid.shape, np.uint16)
    array[2:20, 5:60, 10:70] = rng.integers(0, 4, (18, 55, 60))
    scan = Volume(rng.normal(-30, 200, grid.shape), grid, VolumeMetadata(units="HU"))
    mask = sitk.Cast(Volume(array, grid).to_simpleitk(), sitk.sitkUInt32)
    values, shapes = sitk.LabelIntensityStatisticsImageFilter(), sitk.LabelShapeStatisticsImageFilter()
    values.Execute(mask, scan.to_simpleitk())
    shapes.Execute(mask)
    off: dict[str, float] = defaultdict(float)
    for row in segments(Volume(array, grid), scan)["labels"]:
        value, n = row["label"], row["voxels"]
        i, j, k, *size = shapes.GetBoundingBox(value)
        theirs: dict[str, float] = {
            "voxels": shapes.GetNumberOfPixels(value),
            "volume_ml": shapes.GetPhysicalSize(value) / 1000,
            **dict(zip((f"centroid_{axis}_mm" for axis in "xyz"), shapes.GetCentroid(value), strict=True)),
            **dict(zip(("first_i", "first_j", "first_k"), (i, j, k), strict=True)),
            **dict(zip(("last_i", "last_j", "last_k"), np.array((i, j, k)) + size - 1, strict=True)),
            "mean": values.GetMean(value),
            "sd": values.GetStandardDeviation(value) * np.sqrt((n - 1) / n),
            "min": values.GetMinimum(value),
            "max": values.GetMaximum(value),
            "variance": values.GetVariance(value) * (n - 1) / n,
            "skewness": values.GetSkewness(value),
            "kurtosis": values.GetKurtosis(value),
        }
        for column, other in theirs.items():
            off[column] = max(off[column], abs(row[column] - other))
        shift = float(np.linalg.norm(np.array(values.GetCenterOfGravity(value)) - values.GetCentroid(value)))
        off["center_of_mass_shift_mm"] = max(
            off["center_of_mass_shift_mm"], abs(row["center_of_mass_shift_mm"] - shift)
        )
        inside = scan.array[array == value]
        for column, level in (("p10", 10), ("p25", 25), ("median", 50), ("p75", 75), ("p90", 90)):
            found_off = abs(row[column] - float(np.percentile(inside, level)))
            off[f"numpy {column}"] = max(off[f"numpy {column}"], found_off)
    for name, worst in off.items():
        *library, column = name.split()
        found[column].append(("NumPy" if library else "SimpleITK", "0" if worst < 1e-12 else f"{worst:.0e}"))


def pet(found: Checks) -> None:
    """Compare with integrals over a Gaussian blob, and a hot ball."""
    grid = grids()["oblique"]
    center, sigma = center_of(grid), 9.0
    away = np.linalg.norm(positions(grid) - center, axis=-1)
    radii = np.linspace(0, RADIUS_MM, 4001)
    wanted = np.trapezoid(radii**2 * np.exp(-(radii**2) / 2 / sigma**2), radii) / (RADIUS_MM**3 / 3)
    best, local = peaks(np.exp(-(away**2) / 2 / sigma**2), away <= 15, grid.affine[:3, :3], (0, 0, 0))
    for column, value in (("suv_peak", best), ("local_peak", local)):
        found[column].append((f"closed form, Gaussian of {sigma:g} mm", f"{value / wanted - 1:+.2%}"))
    hot = Volume(np.where(away <= 20, 8.0, 1.0), grid, VolumeMetadata(modality="PT"), suvbw_factor=1.0)
    (row,) = segments(labels(away <= 25, grid), hot, suv=True)["labels"]
    volume = 4 / 3 * np.pi * 20**3 / 1000
    found["suv_max"].append(("closed form, hot ball", f"{row['suv_max'] / 8 - 1:+.2%}"))
    found["mtv_threshold"].append(("closed form, hot ball", f"{row['mtv_threshold'] / (0.41 * 8) - 1:+.2%}"))
    found["mtv_ml"].append(("closed form, hot ball", f"{row['mtv_ml'] / volume - 1:+.2%}"))
    found["tlg"].append(("closed form, hot ball", f"{row['tlg'] / volume / 8 - 1:+.2%}"))
    found["suv_mean"].append(("mean", f"{row['suv_mean'] - row['mean']:g}"))


def _plain(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def page() -> str:
    """Return the page as Markdown."""
    found: Checks = defaultdict(list)
    for check in (phantom, solids, filters, pet):
        check(found)
    unchecked = [feature.name for feature in FEATURES if not found[feature.name]]
    if unchecked:
        raise SystemExit(f"nothing checks {', '.join(unchecked)}")
    head = ("column", "unit", "definition", "IBSI", "checked against", "deviation")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for feature in FEATURES:
        code = f"{feature.code}: {feature.ibsi_name}" if feature.code else ""
        checks: list[Any] = ["<br>".join(column) for column in zip(*found[feature.name], strict=True)]
        lines.append("| " + " | ".join((f"`{feature.name}`", feature.unit, feature.definition, code, *checks)) + " |")
    spacing = " x ".join(f"{step:g}" for step in SPACING)
    start = HEAD.format(balls=len(RADII), spacing=spacing, half=float(np.linalg.norm(SPACING)) / 2)
    return start + "\n".join(lines) + "\n"


if __name__ == "__main__":
    target = ROOT / "docs" / "measurements.md"
    target.write_text(page(), encoding="utf-8")
    print(f"written: {target}")

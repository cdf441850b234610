"""How much nearer to thin slices than a cubic B-spline `ct-super-resolution` and `mr-super-resolution` come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import napari_radcnn as radcnn
from benchmarks.models.common import interval, throughput
from napari_radcnn.geometry import Geometry
from napari_radcnn.models.registry import get_model
from napari_radcnn.models.super_resolution.spec import SPECS
from napari_radcnn.models.super_resolution.through_plane import ThroughPlane, unit_value
from napari_radcnn.training.physics.thick_slices import Profile, slice_profile
from napari_radcnn.training.super_resolution.scans import HELD_OUT
from napari_radcnn.volume import Volume

NAMES = tuple(spec.name for spec in SPECS)
#: Of `HELD_OUT`, which no training saw, every axis serves as the one through the slices.
FACTORS = (2, 3, 5)
#: Larger scans are cut to this in the middle, to be done in minutes; and again, to soft tissue with few edges.
_LARGEST, _MIDDLE = 96, 32
#: Of the voxels, those with the steepest edges along the slices' direction.
_STEEPEST = 0.02


def evaluate(data: Path) -> dict[str, Any]:
    """Return the figures of the models that ship, from the scans in a folder."""
    return {name: _of(name, data) for name in NAMES}


def _of(name: str, data: Path) -> dict[str, Any]:
    whole = {path: radcnn.read(data / path)[0] for path in HELD_OUT[name]}
    scans = {path: cut(scan, _LARGEST) for path, scan in whole.items()}
    rows = [
        {"scan": path, "factor": factor, "profile": profile} | compared(name, scan, axis, factor, profile)
        for path, scan in scans.items()
        for axis in range(3)
        for factor, profile in [*((factor, "box") for factor in FACTORS), (3, "gaussian")]
    ]

    def figures(factor: int, profile: str) -> dict[str, Any]:
        picked = [row for row in rows if row["factor"] == factor and row["profile"] == profile]
        names = ("gain_db", "psnr_cubic", "psnr", "edges_cubic", "edges", "steps_cubic", "steps")
        return {key: interval([row[key] for row in picked]) for key in names}

    return {
        "held_out": {f"factor_{factor}": figures(factor, "box") for factor in FACTORS},
        "gaussian": {"factor_3": figures(3, "gaussian")},
        "scans": {
            path: {
                f"gain_db_factor_{factor}": float(
                    np.mean(
                        [
                            row["gain_db"]
                            for row in rows
                            if (row["scan"], row["factor"], row["profile"]) == (path, factor, "box")
                        ]
                    )
                )
                for factor in FACTORS
            }
            for path in scans
        },
        "middle": _middle(name, whole),
        "n_scans": len(scans),
        "least_gain_db": min(row["gain_db"] for row in rows),
        "speed": _speed(name, next(iter(scans.values()))),
    }


def _middle(name: str, scans: Mapping[str, Volume]) -> dict[str, dict[str, float | int]]:
    """Return the gains where there is little but noise: in the innermost part of the scans."""
    return {
        f"factor_{factor}": interval(
            [
                compared(name, cut(scan, _MIDDLE), axis, factor, "box")["gain_db"]
                for scan in scans.values()
                for axis in range(3)
            ]
        )
        for factor in FACTORS
    }


def made_thin(
    name: str, scan: Volume, axis: int, factor: int, profile: Profile
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return thin slices as they were, and as a spline and a model make them of thick ones; slices come first."""
    thin = np.moveaxis(np.asarray(scan.array, np.float64), axis, 0)
    count = len(thin) // factor
    thin = thin[: count * factor]
    centers = np.arange(count) * factor + (factor - 1) / 2
    thick = np.tensordot(slice_profile(len(thin), centers, factor, profile), thin, 1)
    shape, first = list(scan.geometry.shape), np.zeros(3)
    shape[axis], first[axis] = count, (factor - 1) / 2
    affine = scan.geometry.affine.copy()
    affine[:3, axis] *= factor
    affine[:3, 3] = scan.geometry.to_world(first)
    given = replace(
        scan,
        array=np.ascontiguousarray(np.moveaxis(thick, 0, axis)).astype(np.float32),
        geometry=Geometry((shape[0], shape[1], shape[2]), affine),
    )
    found = radcnn.super_resolve(given, name, {"factor": float(factor), "axis": "kji"[axis]})
    restored = np.moveaxis(found.array, axis, 0)
    return thin, ThroughPlane(count, float(factor)).cubic(thick), restored


def compared(name: str, scan: Volume, axis: int, factor: int, profile: Profile) -> dict[str, float]:
    """Make slices thick, thin again in two ways, and hold both against the scan."""
    thin, spline, restored = made_thin(name, scan, axis, factor, profile)
    peak = 2000.0 if name.startswith("ct") else unit_value(thin, "MR")
    steep = np.diff(thin, axis=0)
    edges = np.abs(steep) >= np.quantile(np.abs(steep), 1 - _STEEPEST)

    def psnr(values: np.ndarray) -> float:
        return float(10 * np.log10(peak**2 / np.mean((values - thin) ** 2)))

    def kept(values: np.ndarray) -> float:
        """Return how much of the height of the steepest edges is left."""
        return float((np.diff(values, axis=0) * np.sign(steep))[edges].sum() / np.abs(steep)[edges].sum())

    return {
        "gain_db": psnr(restored) - psnr(spline),
        "psnr_cubic": psnr(spline),
        "psnr": psnr(restored),
        "edges_cubic": kept(spline),
        "edges": kept(restored),
        "steps": steps_at_borders(restored, factor),
        "steps_cubic": steps_at_borders(spline, factor),
    }


def steps_at_borders(thin: np.ndarray, factor: int) -> float:
    """Return the mean step between thin slices where a thick one ends, over the mean of the others."""
    steps = np.abs(np.diff(thin, axis=0)).mean((1, 2), dtype=np.float64)
    is_border = np.arange(1, len(steps) + 1) % factor == 0
    return float(steps[is_border].mean() / steps[~is_border].mean())


def cut(scan: Volume, largest: int) -> Volume:
    """Return the middle of a scan, of so many voxels along each axis at most."""
    box = tuple(slice((n - min(n, largest)) // 2, (n + min(n, largest)) // 2) for n in scan.geometry.shape)
    return replace(scan, array=np.asarray(scan.array)[box], geometry=scan.geometry.cropped(box))


def _speed(name: str, scan: Volume) -> dict[str, float]:
    """Return the throughput beside the same network in a plain loop over whole planes, in float32."""
    import torch

    from napari_radcnn.models.super_resolution.network import CHANNELS, build_network
    from napari_radcnn.networks.shipped import ShippedNetwork

    part = scan.geometry.cropped((slice(0, 24), slice(0, 64), slice(0, 64)))
    given = replace(scan, array=np.asarray(scan.array)[:24, :64, :64], geometry=part)
    network = ShippedNetwork.of(get_model(name), build_network, 2, CHANNELS).torch_module()
    plane = torch.zeros(1, CHANNELS, 72, 64)

    def plain() -> None:
        with torch.inference_mode():
            for _ in range(128):
                network(plane)

    def ours() -> None:
        radcnn.super_resolve(given, name, {"factor": 3.0, "axis": "k"})

    return throughput(ours, plain, rounds=2)

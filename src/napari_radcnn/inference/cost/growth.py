"""Refuses grids out of all proportion: a scan or a model whose spacing is in a wrong unit would take days."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Shape
from napari_radcnn.volume import Volume

#: Voxels of a model's grid for each of the scan's. Thick slices of a large field of view stay far below.
_MOST = 100


def check_growth(
    name: str, before: Shape, scan_spacing: Iterable[float], after: Shape, model_spacing: Iterable[float]
) -> None:
    """Check that a model's grid is not out of all proportion to the scan's.

    Parameters
    ----------
    name : str
        Of the scan.
    before, after : tuple of int
        Voxels of the scan, and of the model's grid.
    scan_spacing, model_spacing : iterable of float
        Their spacing, mm.

    Raises
    ------
    ModelError
        If it has more than a hundred times as many voxels.
    """
    if prod(after) <= _MOST * prod(before):
        return
    there, here = (" x ".join(f"{value:.4g}" for value in spacing) for spacing in (model_spacing, scan_spacing))
    counts = [" x ".join(str(n) for n in shape) for shape in (after, before)]
    raise ModelError(
        f"The model works at {there} mm, which would turn the {counts[1]} voxels of '{name}' ({here} mm) into "
        f"{counts[0]}: more than {_MOST} times as many. Check the spacing of the scan and of the model."
    )


def check_own_spacing(volume: Volume, spacing: float) -> None:
    """Check that resampling a scan to the spacing of a model, the same along all axes, stays in proportion.

    Raises
    ------
    ModelError
        As `check_growth`.
    """
    geometry = volume.geometry
    after = [max(1, round(n * here / spacing)) for n, here in zip(geometry.shape, geometry.spacing, strict=True)]
    check_growth(volume.name, geometry.shape, geometry.spacing, (after[0], after[1], after[2]), (spacing,) * 3)

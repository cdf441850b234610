"""What the formats of the ITK family share: index order, and how a volume is made.

ITK's world is LPS like ours, but its index runs ``(i, j, k)``; `napari_radcnn.interop.reversed_index` is the one
place that turns it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interop import reversed_index
from napari_radcnn.io.problems import stem_of
from napari_radcnn.volume import Label, Volume, VolumeMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def make_volumes(
    images: Sequence[npt.NDArray],
    steps: npt.ArrayLike,
    origin: npt.ArrayLike,
    path: Path,
    source_format: str,
    warnings: Sequence[str],
    *,
    is_label: bool = False,
    is_calibrated: bool = True,
    is_placed: bool = True,
    labels: Sequence[Mapping[int, Label]] = (),
) -> list[Volume]:
    """Return a volume for each ``(k, j, i)`` image; `labels` names those of each image, where the file does.

    Raises
    ------
    ReadError
        If the directions make no grid.
    """
    shape = images[0].shape
    try:
        geometry = Geometry((shape[0], shape[1], shape[2]), reversed_index(steps, origin))
    except GeometryError as error:
        raise ReadError(f"{path.name}: the directions in the header do not form a grid: {error}") from error
    name = stem_of(path)
    plain = VolumeMetadata(
        is_label=is_label,
        is_calibrated=is_calibrated,
        is_placed=is_placed,
        source=path,
        source_format=source_format,
    )
    volumes = []
    for n, image in enumerate(images):
        metadata = replace(plain, name=name if len(images) == 1 else f"{name} · {n + 1}")
        if labels and labels[n]:
            metadata = metadata.with_labels(labels[n])
        volumes.append(Volume(image, geometry, metadata, tuple(warnings)))
    return volumes


def completed_steps(columns: npt.NDArray, warnings: list[str]) -> npt.NDArray[np.float64]:
    """Return three world steps for an image that has one or two axes: the missing ones at right angles, 1 mm."""
    if columns.shape[1] == 3:
        return columns
    if columns.shape[1] == 2:
        normal = np.cross(columns[:, 0], columns[:, 1])
    else:
        normal = np.cross(columns[:, 0], np.eye(3)[int(np.argmin(np.abs(columns[:, 0])))])
    length = float(np.linalg.norm(normal))
    if not length > 0:
        return np.column_stack([columns, np.zeros(3)])  # singular; said so where the geometry is made
    warnings.append("The image has no slice spacing: it is shown as one slice of 1 mm.")
    return completed_steps(np.column_stack([columns, normal / length]), [])

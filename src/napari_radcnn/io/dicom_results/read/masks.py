"""Put masks, of which several may cover one voxel, into as few label volumes as hold them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size
from napari_radcnn.geometry import Geometry
from napari_radcnn.memory import free_memory
from napari_radcnn.volume import Label, Volume, VolumeMetadata

#: The mask of one label on slice k: ``(k, mask)``.
Slices = Iterable[tuple[int, npt.NDArray[np.bool_]]]


@dataclass(frozen=True, eq=False)
class Place:
    """Where label volumes lie.

    Attributes
    ----------
    geometry : Geometry
        Their grid.
    frame_of_reference_uid : str
        DICOM's name of the patient space.
    warnings : tuple of str
        What must be said about it.
    """

    geometry: Geometry
    frame_of_reference_uid: str = ""
    warnings: tuple[str, ...] = ()


def label_volumes(
    labels: Mapping[int, Label],
    slices: Callable[[int], Slices],
    place: Place,
    metadata: VolumeMetadata,
    path: Path,
) -> list[Volume]:
    """Return the label volumes; labels that overlap go to different ones.

    Parameters
    ----------
    labels : mapping of int to Label
        The labels by the value that their voxels get, in order.
    slices : callable
        ``slices(value)`` gives the label's masks; called more than once.
    place : Place
        The grid.
    metadata : VolumeMetadata
        Of each volume.
    path : path
        The file, for messages.

    Raises
    ------
    ReadError
        If the grid is larger than the memory.
    """
    dtype = np.min_scalar_type(max(labels, default=0))
    check_memory(place.geometry.shape, dtype.itemsize, path)
    arrays: list[npt.NDArray[Any]] = []
    held: list[dict[int, Label]] = []
    for value, label in labels.items():
        for array, holds in zip(arrays, held, strict=True):  # noqa: B007  # the pair is used after the loop
            if not any((array[k][mask] != 0).any() for k, mask in slices(value)):
                break
        else:
            array, holds = np.zeros(place.geometry.shape, dtype), {}
            arrays.append(array)
            held.append(holds)
        for k, mask in slices(value):
            array[k][mask] = value
        holds[value] = label
    many = len(arrays) > 1
    warnings = list(place.warnings)
    if many:
        warnings.append(f"Labels overlap: they are shown as {len(arrays)} label volumes.")
    return [
        Volume(
            array,
            place.geometry,
            replace(
                metadata,
                name=f"{metadata.name} · {n}" if many else metadata.name,
                frame_of_reference_uid=place.frame_of_reference_uid,
            ).with_labels(holds),
            tuple(warnings),
        )
        for n, (array, holds) in enumerate(zip(arrays, held, strict=True), 1)
    ]


def check_memory(shape: tuple[int, ...], itemsize: int, path: Path) -> None:
    """Refuse a grid that a damaged or hostile header makes larger than half of the free memory."""
    needed = int(np.prod([float(n) for n in shape])) * itemsize
    if needed > free_memory() // 2:
        raise ReadError(f"{path.name}: the labels need {binary_size(needed)}, more than the free memory.")

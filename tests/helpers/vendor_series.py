"""Series of several volumes in the layout of each vendor: what differs from slice to slice, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicom_factory import write_dicom_series
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume

Tags = dict[str, Any]
#: (group, creator, offset, type, value)
PrivateTag = tuple[int, str, int, str, Any]


def no_tags(n: int, k: int) -> Tags:
    return {}


def no_private(n: int, k: int) -> list[PrivateTag]:
    return []


def in_blocks(n: int, k: int, volumes: int, slices: int) -> int:
    """Number the slices volume by volume."""
    return n * slices + k + 1


def interleaved(n: int, k: int, volumes: int, slices: int) -> int:
    """Number the volumes slice by slice."""
    return k * volumes + n + 1


def downwards(n: int, k: int, volumes: int, slices: int) -> int:
    """Number the slices volume by volume, from the last place to the first."""
    return n * slices + slices - k


@dataclass(frozen=True)
class Layout:
    """How a vendor writes a kind of series.

    Attributes
    ----------
    vendor, kind : str
        For people, and the table of the documentation.
    by : str
        The tags that tell the volumes apart, for that table.
    manufacturer : str
        What stands in the files.
    tags, private : callable
        What slice k of volume n has, beside what all have.
    number : callable
        InstanceNumber of slice k of volume n.
    volumes : int
        How many.
    modality : str
        Modality.
    names : tuple of str
        What the volumes are called within their series, in order; numbers by default.
    is_read_by_dcm2niix : bool
        Whether dcm2niix tells the volumes apart.
    """

    vendor: str
    kind: str
    by: str
    manufacturer: str
    tags: Callable[[int, int], Tags] = no_tags
    private: Callable[[int, int], list[PrivateTag]] = no_private
    number: Callable[[int, int, int, int], int] = in_blocks
    volumes: int = 4
    modality: str = "MR"
    names: tuple[str, ...] = ()
    is_read_by_dcm2niix: bool = True

    def __str__(self) -> str:
        return f"{self.vendor} {self.kind}"


def values(shape: tuple[int, int, int], n: int) -> np.ndarray:
    """Return values of volume n that differ in every voxel of the series: 1000 n and a slope along each axis."""
    k, j, i = np.indices(shape)
    return (1000 * (n + 1) + 100 * k + 9 * j + i).astype(np.int16)


def write_layout(
    folder: Path, layout: Layout, grid: Geometry, *, syntax: str = ExplicitVRLittleEndian, **changes: Any
) -> list[list[Path]]:
    """Write the series of a vendor, under file names that say nothing, and return the files of every volume.

    Parameters
    ----------
    folder : Path
        Created if missing.
    layout : Layout
        Of whom.
    grid : Geometry
        Of all volumes.
    syntax : str
        A native transfer syntax.
    **changes
        Keywords with a function of n and k, whose value replaces what the layout has; None deletes it.
    """
    uids = {"study_uid": generate_uid(), "series_uid": generate_uid(), "frame_of_reference_uid": generate_uid()}
    slices = grid.shape[0]
    written = []
    for n in range(layout.volumes):
        every: set[str] = {key for k in range(slices) for key in layout.tags(n, k)} | set(changes)

        def value(key: str, k: int, n: int = n) -> Any:
            return changes[key](n, k) if key in changes else layout.tags(n, k).get(key)

        tags = {key: (lambda k, key=key: value(key, k)) for key in sorted(every)}
        tags.setdefault("InstanceNumber", lambda k, n=n: layout.number(n, k, layout.volumes, slices))
        tags.setdefault("Manufacturer", lambda k: layout.manufacturer)
        scan = Volume(values(grid.shape, n), grid)
        prefix = f"X{(7 * n) % 1009:04d}_"
        paths = write_dicom_series(folder, scan, modality=layout.modality, prefix=prefix, **uids, **tags)
        for k, path in enumerate(paths):
            _add_private(path, layout.private(n, k), syntax)
        written.append(paths)
    return written


def _add_private(path: Path, given: list[PrivateTag], syntax: str) -> None:
    dataset: Dataset = pydicom.dcmread(path)
    for group, creator, offset, kind, value in given:
        dataset.private_block(group, creator, create=True).add_new(offset, kind, value)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=syntax == pydicom.uid.ImplicitVRLittleEndian, little_endian=True)

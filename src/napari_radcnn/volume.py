"""A scan in memory: its voxels, where they lie, and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry


@dataclass(frozen=True)
class VolumeMetadata:
    """What is known of a scan besides its voxels. Nothing in here identifies the patient by name.

    Attributes
    ----------
    name : str
        What a layer is called: modality and series number, or the stem of the file; never a patient's tag.
    modality : str
        DICOM's code (``"CT"``, ``"MR"``, ``"PT"``, ``"CR"``, ...); empty where the format does not say.
    units : str
        Of the values: ``"HU"``, ``"Bq/ml"``, ...; empty where unknown.
    description : str
        DICOM's SeriesDescription, shown in lists; not used for names, since people write names into it.
    window_center, window_width : float or None
        The display window that the scan carries.
    is_inverted : bool
        Whether low values are to be shown bright (DICOM MONOCHROME1). Values are kept as stored.
    is_label : bool
        Whether the format marks the values as labels.
    label_names : mapping of int to str
        What the format calls each label; empty where it does not say.
    padding_value : float or None
        The value of voxels outside the scanned field, to be left out of statistics and contrast limits.
    study_uid, series_uid, frame_of_reference_uid : str
        DICOM's identifiers, empty elsewhere. Volumes of one frame of reference lie in one patient space.
    series_number : int or None
        DICOM's SeriesNumber.
    source : Path or None
        The file or folder it was read from.
    source_format : str
        ``"DICOM"``, ``"NIfTI"``, ``"NRRD"``, ``"MetaImage"``, ...
    is_calibrated : bool
        Whether the in-plane spacing is known; where it is not, a "mm" of the geometry is a pixel.
    provenance : mapping
        For a volume that an operation made: the manifest of the run. Empty for a scan.
    """

    name: str = "volume"
    modality: str = ""
    units: str = ""
    description: str = ""
    window_center: float | None = None
    window_width: float | None = None
    is_inverted: bool = False
    is_label: bool = False
    padding_value: float | None = None
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""
    series_number: int | None = None
    source: Path | None = None
    source_format: str = ""
    is_calibrated: bool = True
    provenance: Mapping[str, Any] = field(default_factory=dict)
    label_names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Volume:
    """An image in its place in the patient.

    Parameters
    ----------
    array : (k, j, i) or (k, j, i, 3) array
        Slice, row, column, in the scan's own order; a fourth axis holds red, green, blue of 8 bits.
    geometry : Geometry
        Its grid; the shape must be that of the array's first three axes.
    metadata : VolumeMetadata
        What else is known.
    warnings : tuple of str
        What the user must be told before relying on the volume.
    suvbw_factor : float or None
        For PET in Bq/ml: ``SUVbw = array * suvbw_factor``; None where it cannot be computed honestly.

    Raises
    ------
    GeometryError
        If array and geometry differ in shape.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    metadata: VolumeMetadata = field(default_factory=VolumeMetadata)
    warnings: tuple[str, ...] = ()
    suvbw_factor: float | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.array.shape)
        is_color = len(shape) == 4 and shape[3] == 3
        if not (len(shape) == 3 or is_color) or shape[:3] != self.geometry.shape:
            raise GeometryError(f"The array has shape {shape}, but its geometry has {self.geometry.shape}.")

    @property
    def modality(self) -> str:
        """DICOM's modality code, empty where unknown."""
        return self.metadata.modality

    @property
    def name(self) -> str:
        """What a layer of this volume is called."""
        return self.metadata.name

    @property
    def is_color(self) -> bool:
        """Whether the array has a trailing axis of red, green, blue."""
        return self.array.ndim == 4

    def with_array(self, array: npt.NDArray[Any], **metadata: Any) -> Volume:
        """Return the volume with other voxels on the same grid, and the metadata fields that change with them."""
        return replace(self, array=array, metadata=replace(self.metadata, **metadata))

    def reoriented(self, orientation: str) -> Volume:
        """Return the volume permuted and flipped towards `orientation`, without a copy and without moving it."""
        axis_map = self.geometry.axis_map(orientation)
        return replace(self, array=axis_map.apply(self.array), geometry=self.geometry.reoriented(axis_map))

    def contrast_limits(self) -> tuple[float, float]:
        """Return the display range: the scan's own window, else the 0.5th to 99.5th percentile without padding.

        For large volumes the percentiles are those of every n-th voxel, about a million of them.
        """
        metadata = self.metadata
        if metadata.window_center is not None and metadata.window_width is not None and metadata.window_width > 0:
            half = metadata.window_width / 2
            return metadata.window_center - half, metadata.window_center + half
        step = max(1, round((self.array.size / 1e6) ** (1 / 3)))
        values = np.asarray(self.array[::step, ::step, ::step], dtype=np.float32).ravel()
        values = values[np.isfinite(values)]
        if metadata.padding_value is not None:
            kept = values[values != np.float32(metadata.padding_value)]
            values = kept if kept.size else values
        if values.size == 0:
            return 0.0, 1.0
        low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
        if not high > low:
            low, high = float(values.min()), float(values.max())
        return (low, high) if high > low else (low, low + 1.0)

"""A scan: its voxels, in memory or still on the disk, where they lie, and what is known about them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn import interop
from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.sides import Sides
from napari_radcnn.voi import VoiWindow
from napari_radcnn.voxels import LazyArray, VoxelSource, box_ends, sampled, thinned


@dataclass(frozen=True)
class Label:
    """One class of a label map.

    Attributes
    ----------
    name : str
        As a user reads it: ``"brain"``.
    color : tuple of float or None
        Red, green, blue in 0..1; None leaves the choice to the viewer.
    """

    name: str
    color: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class VolumeMetadata:
    """What is known of a scan besides its voxels. No writer looks at the patient's name and ID.

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
        The first display window that the scan carries.
    is_inverted : bool
        Whether low values are to be shown bright (DICOM MONOCHROME1). Values are kept as stored.
    is_label : bool
        Whether the format marks the values as labels.
    label_names : mapping of int to str
        What the format calls each label; empty where it does not say.
    label_colors : mapping of int to tuple of float
        The color that the format gives each label: red, green, blue in 0..1; only those it gives one.
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
    is_size_typed : bool
        Whether it is known because somebody typed it, and not from the file.
    provenance : mapping
        For a volume that an operation made: the manifest of the run. Empty for a scan.
    acquisition : mapping
        Codes and numbers with which DICOM says how it was made, by the names of `io.dicom.acquisition`.
    is_placed : bool
        Whether its place in the patient is known. Where it is not, as of a radiograph, the world is the picture as
        stored: x along its rows, y along its columns, and the geometry's letters mean nothing.
    sides : Sides or None
        Of one that is not placed: towards what sides of the patient x (`Sides.row`) and y (`Sides.column`) run; None
        where the file does not say.
    windows : tuple of VoiWindow
        All display windows and tables that the scan carries, by name; the first is how it is meant to be seen first.
    patient_name, patient_id : str
        Whose it is, for the screen alone, family name first; never written, and in neither `repr` nor equality.
    study_date : str
        DICOM's StudyDate as ``YYYY-MM-DD``, empty where unknown: what a visit is called; in neither of both.
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
    label_colors: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    acquisition: Mapping[str, str] = field(default_factory=dict)
    is_placed: bool = True
    sides: Sides | None = None
    windows: tuple[VoiWindow, ...] = ()
    patient_name: str = field(default="", repr=False, compare=False)
    patient_id: str = field(default="", repr=False, compare=False)
    study_date: str = field(default="", repr=False, compare=False)
    is_size_typed: bool = False

    @property
    def labels(self) -> dict[int, Label]:
        """Names and colors of the labels that have a name, by value."""
        return {value: Label(name, self.label_colors.get(value)) for value, name in self.label_names.items()}

    def with_labels(self, labels: Mapping[int, Label]) -> VolumeMetadata:
        """Return the same, of labels of these names and colors."""
        return replace(
            self,
            is_label=True,
            label_names={value: label.name for value, label in labels.items()},
            label_colors={value: label.color for value, label in labels.items() if label.color is not None},
        )


@dataclass(frozen=True, eq=False)
class Volume:
    """An image in its place in the patient.

    Its voxels are in memory, or, where it was made with `lazy`, in a store: then the first use of `array` loads them,
    once, and `shape`, `dtype`, `read_block` and everything that only moves or renames the volume never do.

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
    ResourceError, ReadError
        On the first use of `array`, of a lazy volume only: it would not fit into the free memory; it is damaged.
    """

    # `dataclasses.replace` gets every field: were `array` one, renaming a volume would load it.
    voxels: npt.NDArray[Any] | LazyArray = field(repr=False)
    geometry: Geometry
    metadata: VolumeMetadata
    warnings: tuple[str, ...]
    suvbw_factor: float | None

    def __init__(
        self,
        array: npt.NDArray[Any] | LazyArray | None = None,
        geometry: Geometry | None = None,
        metadata: VolumeMetadata | None = None,
        warnings: tuple[str, ...] = (),
        suvbw_factor: float | None = None,
        *,
        voxels: npt.NDArray[Any] | LazyArray | None = None,
    ) -> None:
        given = voxels if array is None else array  # `dataclasses.replace` hands the field on, people give an array
        if given is None or geometry is None:
            raise TypeError("A Volume needs an array and a geometry.")
        object.__setattr__(self, "voxels", given)
        object.__setattr__(self, "geometry", geometry)
        object.__setattr__(self, "metadata", VolumeMetadata() if metadata is None else metadata)
        object.__setattr__(self, "warnings", warnings)
        object.__setattr__(self, "suvbw_factor", suvbw_factor)
        is_color = len(self.shape) == 4 and self.shape[3] == 3
        if not (len(self.shape) == 3 or is_color) or self.shape[:3] != geometry.shape:
            raise GeometryError(f"The array has shape {self.shape}, but its geometry has {geometry.shape}.")

    @classmethod
    def lazy(
        cls,
        source: VoxelSource,
        geometry: Geometry,
        metadata: VolumeMetadata | None = None,
        warnings: tuple[str, ...] = (),
        suvbw_factor: float | None = None,
        *,
        array: npt.NDArray[Any] | None = None,
    ) -> Volume:
        """Return a volume whose voxels stay in `source` until they are needed.

        Parameters
        ----------
        source : VoxelSource
            Where its voxels can be read.
        geometry, metadata, warnings, suvbw_factor
            As of a `Volume`.
        array : array, optional
            All voxels, where they have been read already.
        """
        return cls(LazyArray(source, array), geometry, metadata, warnings, suvbw_factor)

    # -- its voxels ---------------------------------------------------------------------------------------------

    @property
    def array(self) -> npt.NDArray[Any]:
        """All voxels; the first use loads those of a lazy volume."""
        return self.load()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: ``(k, j, i)`` or ``(k, j, i, 3)``. Loads nothing."""
        voxels = self.voxels
        return tuple(int(n) for n in (voxels.source.shape if isinstance(voxels, LazyArray) else voxels.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array. Loads nothing."""
        voxels = self.voxels
        return voxels.source.dtype if isinstance(voxels, LazyArray) else voxels.dtype

    @property
    def size(self) -> int:
        """Number of values of the array. Loads nothing."""
        return math.prod(self.shape)

    @property
    def source(self) -> VoxelSource | None:
        """Where the voxels can be read block by block; None for a volume that was made in memory."""
        return self.voxels.source if isinstance(self.voxels, LazyArray) else None

    @property
    def is_loaded(self) -> bool:
        """Whether `array` is in memory."""
        return self.voxels.is_loaded if isinstance(self.voxels, LazyArray) else True

    def load(self, progress: Progress | None = None, cancel: CancelEvent | None = None) -> npt.NDArray:
        """Return `array`, telling how far loading is.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(done, total, message)``.
        cancel : threading.Event, optional
            Set it to stop.

        Raises
        ------
        ResourceError
            If the voxels would not fit into the free memory; nothing of it has been taken.
        ReadError
            If they are damaged.
        CancelledError
            If `cancel` was set.
        """
        if not isinstance(self.voxels, LazyArray):
            return self.voxels
        metadata = self.metadata
        return self.voxels.load(metadata.source.name if metadata.source else metadata.name, progress, cancel)

    def read_block(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box, and of a lazy volume read no others (but what shares their blocks).

        Parameters
        ----------
        box : three slices
            Along ``(k, j, i)``, without steps. A view where the voxels are in memory: not to be written to.
        """
        if isinstance(self.voxels, LazyArray):
            return self.voxels.read(box)
        k, j, i = box_ends(box, self.shape)
        return self.voxels[slice(*k), slice(*j), slice(*i)]

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def modality(self) -> str:
        """DICOM's modality code, empty where unknown."""
        return self.metadata.modality

    @property
    def name(self) -> str:
        """What a layer of this volume is called."""
        return self.metadata.name

    @property
    def labels(self) -> dict[int, Label]:
        """Names and colors of its labels, by value, where the format says any; of an image none."""
        return self.metadata.labels

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What made it: the manifest of a run; empty for a scan."""
        return self.metadata.provenance

    @property
    def maps(self) -> tuple[Volume, ...]:
        """Images that come with it, as with results of other kinds: none."""
        return ()

    @property
    def is_color(self) -> bool:
        """Whether the array has a trailing axis of red, green, blue."""
        return len(self.shape) == 4

    def with_array(self, array: npt.NDArray[Any], geometry: Geometry | None = None, **metadata: Any) -> Volume:
        """Return the volume with other voxels, and the metadata fields that change with them.

        Parameters
        ----------
        array : (k, j, i) or (k, j, i, 3) array
            In the same place: nothing is resampled.
        geometry : Geometry, optional
            Its grid; the same one by default.
        metadata : optional
            Fields of `VolumeMetadata`, such as ``units="HU"``.
        """
        given = replace(self, voxels=array, geometry=self.geometry if geometry is None else geometry)
        return given.with_metadata(**metadata)

    def with_metadata(self, **metadata: Any) -> Volume:
        """Return the volume with other values in fields of its `VolumeMetadata`; loads nothing."""
        return replace(self, metadata=replace(self.metadata, **metadata)) if metadata else self

    def reoriented(self, orientation: str) -> Volume:
        """Return the volume permuted and flipped towards `orientation`, without a copy and without moving it."""
        axis_map = self.geometry.axis_map(orientation)
        voxels = self.voxels
        turned = voxels.turned(axis_map) if isinstance(voxels, LazyArray) else axis_map.apply(voxels)
        return replace(self, voxels=turned, geometry=self.geometry.reoriented(axis_map))

    # -- in other libraries -------------------------------------------------------------------------------------

    def to_nibabel(self) -> Any:
        """Return the volume as a NIfTI image of nibabel, in the same place; its voxels are copied.

        Returns
        -------
        nibabel.Nifti1Image or nibabel.Nifti2Image
            With axes ``(i, j, k)`` and an affine to RAS mm, as NIfTI has them; marked as labels where the volume is.

        Raises
        ------
        WriteError
            If NIfTI has no place for the type of the values.

        Examples
        --------
        >>> from napari_radcnn.phantom import head
        >>> image = head().to_nibabel()
        >>> Volume.from_nibabel(image).geometry.is_close(head().geometry)
        True
        """
        return interop.to_nibabel(np.array(self.array), self.geometry, is_label=self.metadata.is_label)

    @classmethod
    def from_nibabel(cls, image: Any, metadata: VolumeMetadata | None = None) -> Volume:
        """Return an image of nibabel as a volume, in the same place; its voxels are copied.

        Parameters
        ----------
        image : nibabel.spatialimages.SpatialImage
            Of three axes. Values are scaled as its header says.
        metadata : VolumeMetadata, optional
            What else is known; by default whether the header says that the values are labels.

        Raises
        ------
        ReadError
            If it has more axes than three, or complex values.
        GeometryError
            If its affine makes no grid.
        """
        array, geometry, is_label = interop.from_nibabel(image)
        return cls(array, geometry, VolumeMetadata(is_label=is_label) if metadata is None else metadata)

    def to_simpleitk(self) -> Any:
        """Return the volume as an image of SimpleITK, in the same place; its voxels are copied.

        Returns
        -------
        SimpleITK.Image
            With indices ``(i, j, k)``; its world is LPS mm, as here.

        Raises
        ------
        WriteError
            If the grid is sheared, or ITK has no such type of values.
        """
        return interop.to_simpleitk(self.array, self.geometry)

    @classmethod
    def from_simpleitk(cls, image: Any, metadata: VolumeMetadata | None = None) -> Volume:
        """Return an image of SimpleITK as a volume, in the same place; its voxels are copied.

        Parameters
        ----------
        image : SimpleITK.Image
            Of three axes, with one value a voxel, or red, green, blue of 8 bits.
        metadata : VolumeMetadata, optional
            What else is known.

        Raises
        ------
        ReadError
            If it has other axes, complex values, or vectors that are no colors.
        """
        return cls(*interop.from_simpleitk(image), metadata)

    def to_torch(self) -> Any:
        """Return the voxels as a tensor of PyTorch on the CPU, a copy; it does not know where they lie.

        Returns
        -------
        torch.Tensor
            With the axes of `array`: ``(k, j, i)`` or ``(k, j, i, 3)``; networks want ``tensor[None, None]``.

        Raises
        ------
        WriteError
            If PyTorch has no such type of values.
        """
        return interop.to_torch(np.array(self.array))

    @classmethod
    def from_torch(cls, tensor: Any, geometry: Geometry, metadata: VolumeMetadata | None = None) -> Volume:
        """Return a tensor as a volume; its values are copied.

        Parameters
        ----------
        tensor : torch.Tensor
            ``(k, j, i)`` or ``(k, j, i, 3)``, on any device. bfloat16 becomes float32.
        geometry : Geometry
            Where it lies; of what was made of a volume, that volume's.
        metadata : VolumeMetadata, optional
            What else is known.

        Raises
        ------
        GeometryError
            If the shapes differ, such as for a tensor with an axis of channels.
        """
        return cls(interop.from_torch(tensor), geometry, metadata)

    # -- how it is shown ----------------------------------------------------------------------------------------

    def contrast_limits(self) -> tuple[float, float]:
        """Return the display range: the scan's own window, else the 0.5th to 99.5th percentile without padding.

        For large volumes the percentiles are those of every n-th voxel, about a million of them; for voxels that are
        not in memory those of a coarse resolution, or of some blocks.
        """
        metadata = self.metadata
        if metadata.window_center is not None and metadata.window_width is not None and metadata.window_width > 0:
            half = metadata.window_width / 2
            return metadata.window_center - half, metadata.window_center + half
        low, high = self.percentiles(0.5, 99.5)
        if not high > low:
            low, high = self.percentiles(0, 100)
        return (low, high) if high > low else (low, low + 1.0)

    def percentiles(self, *levels: float) -> tuple[float, ...]:
        """Return percentiles of the values, without padding and what is no finite number.

        Parameters
        ----------
        levels : float
            From 0 to 100. Of large volumes and of those that are not in memory as in `contrast_limits`.

        Returns
        -------
        tuple of float
            One for each level; where no value is a finite number, 0 below the median and 1 from it on.
        """
        values = thinned(self.array) if self.source is None or self.is_loaded else sampled(self.source)
        values = values[np.isfinite(values)]
        if self.metadata.padding_value is not None:
            kept = values[values != np.float32(self.metadata.padding_value)]
            values = kept if kept.size else values
        if values.size == 0:
            return tuple(float(level >= 50) for level in levels)
        return tuple(float(v) for v in np.percentile(values, levels))

"""Write a label map as a DICOM segmentation (BINARY) on the frames of the series it was made from."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import WriteError, WriteWarning
from napari_radcnn.files import atomic_path, check_target
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom.headers import damage
from napari_radcnn.io.dicom_results.codes import label_codes
from napari_radcnn.io.dicom_results.equipment import DISCLAIMER, MANUFACTURER, PRODUCT, SERIAL_NUMBER
from napari_radcnn.io.dicom_results.identifier import identifier_of
from napari_radcnn.io.dicom_results.read.segmentation import read_segmentation
from napari_radcnn.io.dicom_results.source import Reference, Source, find_source, turned
from napari_radcnn.io.dicom_results.write.maker import (
    Maker,
    content_label,
    in_unicode,
    label_name,
    long_string,
    maker_of,
    series_number,
    silent,
    software_version,
)
from napari_radcnn.io.guard import verify_written
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

    from napari_radcnn.io.dicom_results.deidentify import Deidentifier


def write_segmentation(
    label_map: LabelMap,
    target: Path,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentifier: Deidentifier | None = None,
) -> None:
    """Write a DICOM segmentation.

    Parameters
    ----------
    label_map : LabelMap
        On the grid of its DICOM series. Segments are numbered 1, 2, ... in the file, as the standard demands, and the
        labels get their own values back when we read it. A label that has no voxels is left out.
    target : path
        ``.seg.dcm`` or ``.dcm``.
    overwrite : bool
        Whether it may exist.
    reference : path or Volume, optional
        The DICOM series, where the label map does not know it.
    deidentifier : Deidentifier, optional
        Takes the patient out of it.

    Raises
    ------
    WriteError
        If there is no DICOM series of that grid, no voxel is labeled, or what was written is not what is read back.

    Warns
    -----
    WriteWarning
        If the slices are shifted against each other (gantry tilt), which some readers do not see.
    """
    from highdicom import UID
    from highdicom.seg import Segmentation, SegmentationTypeValues

    check_target(target, overwrite)
    source, axes = find_source(label_map, target, reference)
    source = replace(source, deidentifier=deidentifier)
    source.check(target)
    array, geometry = turned(label_map, axes)
    values, numbered = _numbered(array, target)
    if geometry.is_sheared:
        warnings.warn(_tilt_warning(geometry, target), WriteWarning, stacklevel=3)
    maker = maker_of(label_map.provenance)
    header = source.headers[0]
    with silent(), atomic_path(target, overwrite) as temporary:
        try:
            segmentation = Segmentation(
                source_images=source.headers,
                pixel_array=_planes(source, numbered),
                segmentation_type=SegmentationTypeValues.BINARY,
                segment_descriptions=[
                    _segment(number, value, label_map.labels.get(value, Label(f"label {value}")), maker)
                    for number, value in enumerate(values, 1)
                ],
                series_instance_uid=UID(),
                series_number=series_number(header, 2),
                sop_instance_uid=UID(),
                instance_number=1,
                manufacturer=MANUFACTURER,
                manufacturer_model_name=PRODUCT,
                software_versions=software_version(),
                device_serial_number=SERIAL_NUMBER,
                content_label=content_label(maker.model or "SEGMENTATION"),
                content_description=long_string(f"Segmentation by {maker.title}. {DISCLAIMER}"),
                series_description=long_string(f"Segmentation {maker.title}"),
            )
            if "ContentCreatorName" not in segmentation:
                segmentation.ContentCreatorName = ""  # Type 2 (DICOM PS3.3, 10.9)
            if deidentifier is not None:
                deidentifier.mark(segmentation)
            in_unicode(segmentation, (item.SegmentLabel for item in segmentation.SegmentSequence))
            segmentation.save_as(temporary)
        except damage() as error:
            raise WriteError(
                f"{target}: the original DICOM series of the scan does not allow a segmentation on it "
                f"({type(error).__name__}); write .nii.gz instead."
            ) from error
        written = replace(label_map, array=array, geometry=geometry)
        verify_written(written, temporary, target, lambda path: read_segmentation(path, [source.written_stack]))


def _tilt_warning(geometry: Geometry, target: Path) -> str:
    step = geometry.affine[:3, 0]
    normal = np.cross(geometry.direction[:, 1], geometry.direction[:, 2])
    beside = float(np.linalg.norm(step - (step @ normal) * normal)) * (geometry.shape[0] - 1)
    return (
        f"{target.name}: the slices of the scan are shifted against each other (gantry tilt), and the segmentation "
        "lies on them. Programs that place each slice by its own position show it correctly; those that assume a "
        f"rectangular volume (such as dcmqi) shift slices by up to {beside:.1f} mm and lose voxels. For these, "
        "resample the scan to a right-angled grid first, write that as a derived series, and segment it there."
    )


def as_label_map(volume: Volume) -> LabelMap:
    """Return the labels that a volume holds, such as one that was read from a segmentation or from contours."""
    metadata = volume.metadata
    array = np.asarray(volume.array)
    if array.dtype.kind not in ("b", "u"):
        array = np.clip(np.round(array), 0, 65535)
    array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
    return LabelMap(array, volume.geometry, volume.labels, volume.name, metadata.provenance, volume.warnings, metadata)


def _numbered(array: npt.NDArray[Any], target: Path) -> tuple[list[int], npt.NDArray[Any]]:
    """Return the values that have voxels, and the voxels as 1, 2, ... (DICOM PS3.3, C.8.20.2: no gap in numbers)."""
    present = [int(value) for value in np.unique(array) if value]
    if not present:
        raise WriteError(
            f"{target}: no voxel is labeled, but a DICOM segmentation needs at least one; write .nii.gz instead."
        )
    if len(present) > 65535:
        raise WriteError(
            f"{target}: {len(present)} labels are more than a DICOM segmentation can store; write .nii.gz instead."
        )
    dtype = np.uint8 if len(present) < 256 else np.uint16
    numbered = np.searchsorted(np.array([0, *present]), array).astype(dtype)
    return present, numbered


def _planes(source: Source, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the labels in the order in which the source has its frames."""
    if not source.is_multi_frame:
        return array
    if len(source.files) > 1:
        raise ValueError("frames of several files")
    planes = np.zeros((int(source.headers[0].NumberOfFrames), *array.shape[1:]), array.dtype)
    for k, frame in enumerate(source.stack.frames):
        planes[frame.index] = array[k]
    return planes


def _segment(number: int, value: int, label: Label, maker: Maker) -> SegmentDescription:
    from highdicom import UID
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription

    category, kind = label_codes(label.name)
    name = label_name(label.name) or f"label {number}"
    return SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=SegmentAlgorithmTypeValues(maker.algorithm_type),
        algorithm_identification=maker.algorithm(),
        tracking_uid=UID(),
        tracking_id=identifier_of(name, value),
        display_color=None if label.color is None else CIELabColor.from_rgb(*(round(255 * c) for c in label.color)),
    )

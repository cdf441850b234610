"""Write a restored scan as a derived DICOM series in the study of the scan it was made from."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import WriteError
from napari_radcnn.files import drop, give_name, hidden_path, make_ready, owning, sync
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom.headers import damage, quiet, text, texts
from napari_radcnn.io.dicom.series import find_dicom
from napari_radcnn.io.dicom_results.codes import code
from napari_radcnn.io.dicom_results.deidentify import check_pixels
from napari_radcnn.io.dicom_results.equipment import DISCLAIMER, MANUFACTURER, PRODUCT
from napari_radcnn.io.dicom_results.source import Reference, Source, find_series, find_source
from napari_radcnn.io.dicom_results.write.maker import (
    Maker,
    long_string,
    maker_of,
    series_number,
    silent,
    software_version,
)
from napari_radcnn.io.dicom_results.write.quantize import Stored, decimal, quantized
from napari_radcnn.io.dicom_results.write.single_frame import frame_headers, frame_references
from napari_radcnn.io.guard import verify_written
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

    from napari_radcnn.io.dicom_results.deidentify import Deidentifier

#: What says something of the old pixels, and would be wrong of the new ones.
_STALE = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelAspectRatio",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "RealWorldValueMappingSequence",
    "IconImageSequence",
    "ReferencedImageEvidenceSequence",
    "MACParametersSequence",
    "DigitalSignaturesSequence",
    "ConcatenationUID",
    "SOPInstanceUIDOfConcatenationSource",
    "InstanceCreatorUID",
    "TimezoneOffsetFromUTC",
)
#: What the third value of ImageType must be where the source has none: slices with positions are no localizer.
_THIRD = {"CT": ["AXIAL"], "MR": ["OTHER"]}
_RIGHT_ANGLE = 1e-4
#: Positions in headers are rounded.
_ROUNDING_MM = 0.01


def write_derived(
    volume: Volume,
    target: Path,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentifier: Deidentifier | None = None,
) -> None:
    """Write a folder with one file a slice.

    Parameters
    ----------
    volume : Volume
        Gray, of any grid whose rows and columns are at right angles.
    target : path
        The folder; it gets its name when all files are written and were read back.
    overwrite : bool
        Whether it may exist; it is replaced only if it holds nothing but a series that was written by this function.
    reference : path or Volume, optional
        The DICOM series, where the volume does not know it.
    deidentifier : Deidentifier, optional
        Takes the patient out of it. A scan that no model changed then keeps its place among objects that were written
        with the same one: its new UIDs are the replacements of the old ones.

    Raises
    ------
    WriteError
        If there is no DICOM series, or none that classic objects with one slice each can follow; if the values are
        colors; or if what was written is not what is read back.

    Notes
    -----
    Values are stored in 16 bits: whole numbers as they are, others in equal steps over their range, so that they are
    off by half a step at most. The step stands in DerivationDescription.
    """
    if volume.is_color:
        raise WriteError(f"{target}: a color image cannot be written as a DICOM series; write .nii.gz instead.")
    source = find_series(volume, target, reference)
    source = replace(source, deidentifier=deidentifier)
    source.check(target, needs_all_frames=False)
    own = str(source.headers[0].get("Modality", ""))
    if volume.modality and own and volume.modality != own:
        raise WriteError(
            f"{target}: an image that looks like {volume.modality} cannot be written into a series of {own}, where its "
            "values would be taken for measured ones: write .nii.gz instead."
        )
    if deidentifier is not None:
        check_pixels(source.headers, target)
    _check_folder(target, overwrite, source)
    array, geometry = _along_normal(volume, target)
    stored = quantized(array, volume.modality, target)
    headers = frame_headers(source, target)
    plan = _Plan(source, headers, geometry, stored, maker_of(volume.metadata.provenance), volume)
    with owning(target):
        folder = hidden_path(target)
        try:
            _write_slices(plan, folder, target)
            written = volume.with_array(stored.values, geometry)
            verify_written(written, folder, target, lambda path: find_dicom(path).read_pictures()[0])
            give_name(folder, target, overwrite)
        finally:
            drop(folder)


def check_series(scan: Volume, target: Path) -> None:
    """Refuse before the work what could not be written after it: a result of `scan` in DICOM.

    Parameters
    ----------
    scan : Volume
        What a model is to be run on.
    target : path
        A folder, whose name has no suffix, or a file.

    Raises
    ------
    WriteError
        If the scan has no DICOM series, or one that cannot be referred to or followed by a derived one.
    """
    source = find_source(scan, target, on_slices=bool(target.suffix))[0]
    source.check(target, needs_all_frames=bool(target.suffix))
    if not target.suffix:
        frame_headers(source, target)


def _write_slices(plan: _Plan, folder: Path, target: Path) -> None:
    folder.mkdir()
    with silent():
        try:
            for k in range(plan.geometry.shape[0]):
                path = folder / f"IM{k + 1:05d}.dcm"
                plan.slice(k).save_as(path, enforce_file_format=True)
                sync(path)
        except damage() as error:
            raise WriteError(
                f"{target}: the headers of the source series cannot be reused ({type(error).__name__}); write "
                ".nii.gz instead."
            ) from error


# -- one slice ----------------------------------------------------------------------------------------------------


class _Plan:
    """What is the same for every slice."""

    def __init__(
        self, source: Source, headers: list[Dataset], geometry: Geometry, stored: Stored, maker: Maker, volume: Volume
    ) -> None:
        from pydicom.uid import generate_uid

        self.source, self.geometry, self.stored, self.maker, self.volume = source, geometry, stored, maker, volume
        self.headers, self.references = headers, frame_references(source)
        self.series_uid = generate_uid()
        self.is_same_grid = source.stack.sampling is None and geometry.is_close(source.geometry)
        now = datetime.now().astimezone()
        self.date, self.time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
        self.moment = now.strftime("%Y%m%d%H%M%S.%f%z")
        # frames run along the normal, at these depths
        self.depths = np.array([frame.depth for frame in source.stack.frames])
        self.normal = source.stack.frames[0].normal

    def slice(self, k: int) -> Dataset:
        """Return the file of slice k."""
        from pydicom.dataset import FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        nearest, used = self._sources(k)
        origin = self.headers[nearest]
        dataset = _copied(origin)
        is_copy = self.source.deidentifier is not None and self.is_same_grid and not self.maker.is_automatic
        if not is_copy or self.source.is_multi_frame:
            dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), self.series_uid
        self._say_what_it_is(dataset, origin)
        self._refer(dataset, used)
        self._place(dataset, k)
        self._put_pixels(dataset, k)
        if self.source.deidentifier is not None:
            self.source.deidentifier.mark(dataset)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta, dataset.preamble = meta, b"\0" * 128
        return dataset

    def _sources(self, k: int) -> tuple[int, list[int]]:
        """Return the nearest slice of the source, and all that slice k was made from as far as they touch it."""
        if self.is_same_grid:
            return k, [k]
        center = self.geometry.to_world((k, (self.geometry.shape[1] - 1) / 2, (self.geometry.shape[2] - 1) / 2))
        away = np.abs(self.depths - float(center @ self.normal))
        nearest = int(np.argmin(away))
        is_parallel = abs(abs(float(self.normal @ _normal(self.geometry))) - 1) < _RIGHT_ANGLE
        if not is_parallel:
            return nearest, list(range(len(self.depths)))
        reach = max(self.source.geometry.spacing[0], self.geometry.spacing[0])
        return nearest, [int(n) for n in np.flatnonzero(away <= reach + _ROUNDING_MM)] or [nearest]

    def _say_what_it_is(self, dataset: Dataset, origin: Dataset) -> None:
        maker = self.maker
        # values 3 and on are kept: AXIAL, or what MR says (DICOM PS3.3, C.7.6.1.1.2, C.8.2.1.1.1, C.8.3.1.1.1)
        kept = texts(origin, "ImageType")[2:] or _THIRD.get(text(origin, "Modality"), [])
        # PET knows no SECONDARY (DICOM PS3.3, C.8.9.4.1.1)
        second = "PRIMARY" if text(origin, "Modality") == "PT" else "SECONDARY"
        dataset.ImageType = ["DERIVED", second, *kept]
        dataset.SeriesNumber = series_number(origin, 1)
        dataset.SeriesDescription = long_string(f"Derived: {maker.title}")
        weights = f", weights SHA-256 {maker.sha256}" if maker.sha256 else ""
        what = f"{maker.title}{weights}" if maker.is_automatic else "Written again, no model was run"
        dataset.DerivationDescription = f"{what}; {PRODUCT} {software_version()}.{self.stored.note} {DISCLAIMER}"[:1024]
        if maker.is_automatic and self.volume.metadata.provenance.get("model", {}).get("task") == "denoising":
            # CID 7203 has no word for a network that removes noise; this one is nearest
            dataset.DerivationCodeSequence = [_coded("DCM", "Smoothing")]
        elif "DerivationCodeSequence" in dataset:
            del dataset.DerivationCodeSequence
        dataset.InstanceCreationDate = dataset.ContentDate = self.date
        dataset.InstanceCreationTime = dataset.ContentTime = self.time
        if text(origin, "Modality") != "PT":  # the activity of PET may be corrected to the series' time (C.8.9.1.1.7)
            dataset.SeriesDate, dataset.SeriesTime = self.date, self.time
        if not text(origin, "BurnedInAnnotation") and "ORIGINAL" in texts(origin, "ImageType"):
            dataset.BurnedInAnnotation = "NO"
        dataset.ContributingEquipmentSequence = [*origin.get("ContributingEquipmentSequence", []), self._equipment()]

    def _equipment(self) -> Dataset:
        from pydicom import Dataset

        item = Dataset()
        item.PurposeOfReferenceCodeSequence = [_coded("DCM", "ProcessingEquipment")]  # CID 7005
        item.Manufacturer, item.ManufacturerModelName = MANUFACTURER, PRODUCT
        item.SoftwareVersions = software_version()
        item.ContributionDateTime = self.moment
        item.ContributionDescription = long_string(self.maker.title)
        return item

    def _refer(self, dataset: Dataset, used: list[int]) -> None:
        items = []
        for n in used:
            item = deepcopy(self.references[n])
            item.PurposeOfReferenceCodeSequence = [_coded("DCM", "SourceImageForImageProcessingOperation")]  # CID 7202
            item.SpatialLocationsPreserved = "YES"
            items.append(item)
        dataset.SourceImageSequence = items

    def _place(self, dataset: Dataset, k: int) -> None:
        dataset.InstanceNumber = k + 1
        if self.is_same_grid:
            return
        geometry = self.geometry
        direction, (between, rows, columns) = geometry.direction, geometry.spacing
        dataset.ImagePositionPatient = [decimal(v) for v in geometry.to_world((k, 0, 0))]
        dataset.ImageOrientationPatient = [decimal(v) for v in (*direction[:, 2], *direction[:, 1])]
        dataset.PixelSpacing = [decimal(rows), decimal(columns)]
        dataset.SliceThickness = decimal(between)
        if "SpacingBetweenSlices" in dataset:
            dataset.SpacingBetweenSlices = decimal(between)
        if "SliceLocation" in dataset:
            dataset.SliceLocation = decimal(float(geometry.to_world((k, 0, 0)) @ _normal(geometry)))

    def _put_pixels(self, dataset: Dataset, k: int) -> None:
        pixels = self.stored.pixels[k]
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel = 1
        if dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
            dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.RescaleSlope, dataset.RescaleIntercept = self.stored.slope, self.stored.intercept
        if "RescaleType" not in dataset:
            units = self.volume.metadata.units
            dataset.RescaleType = units if units and text(dataset, "Modality") != "PT" else "US"
        dataset.add_new(
            "PixelData", "OW", np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
        )


def _copied(origin: Dataset) -> Dataset:
    """Return the header without what was true of the old pixels only, and without private elements."""
    from pydicom import Dataset

    dataset = Dataset()
    for element in origin:
        # private elements may hold a scale of the old pixels (2005,xx0E); 60xx are overlays, some in their high bits
        if not element.tag.is_private and not 0x6000 <= element.tag.group <= 0x60FF and element.keyword not in _STALE:
            dataset.add(deepcopy(element))
    if "RealWorldValueMappingSequence" in origin and "RescaleType" in dataset:
        del dataset.RescaleType  # of values that the mapping replaced
    return dataset


def _coded(scheme: str, keyword: str) -> Dataset:
    from pydicom import Dataset

    found, item = code(scheme, keyword), Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = found.value, found.scheme_designator, found.meaning
    return item


# -- grid and folder ----------------------------------------------------------------------------------------------


def _normal(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Return row direction x column direction (DICOM PS3.3, C.7.6.2.1.1)."""
    return np.cross(geometry.direction[:, 2], geometry.direction[:, 1])


def _along_normal(volume: Volume, target: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the voxels with slices that follow each other along the normal, as readers sort them."""
    array, geometry = np.asarray(volume.array), volume.geometry
    if abs(float(geometry.direction[:, 1] @ geometry.direction[:, 2])) > _RIGHT_ANGLE:
        raise WriteError(f"{target}: rows and columns are not at right angles, which DICOM cannot represent.")
    if float(geometry.affine[:3, 0] @ _normal(geometry)) < 0:
        affine = geometry.affine.copy()
        affine[:3, 3] = geometry.to_world((geometry.shape[0] - 1, 0, 0))
        affine[:3, 0] *= -1
        return array[::-1], Geometry(geometry.shape, affine)
    return array, geometry


def _check_folder(target: Path, overwrite: bool, source: Source) -> None:
    if not target.parent.is_dir():
        raise WriteError(f"{target}: the folder '{target.parent}' does not exist; create it first.")
    make_ready(target.parent)
    if not (target.exists() or target.is_symlink()):
        return
    if not target.is_dir() or target.is_symlink():
        raise WriteError(
            f"{target}: a DICOM series is written to a folder, but a file of that name exists; choose another name."
        )
    if not overwrite:
        raise WriteError(f"{target}: the folder already exists; choose another name, or pass overwrite=True.")
    if any(target.resolve() in path.resolve().parents for path in source.files):
        raise WriteError(f"{target}: the scan itself lies in this folder; choose another name.")
    if not all(_is_ours(path) for path in target.iterdir()):
        raise WriteError(
            f"{target}: the folder contains files other than a series written by this program and is not replaced; "
            "choose another name."
        )


def _is_ours(path: Path) -> bool:
    """Whether a file is one that this module wrote."""
    from pydicom import dcmread

    if not path.is_file() or path.is_symlink():
        return False
    unreadable: tuple[type[Exception], ...] = (OSError, *damage())
    try:
        with quiet():
            header = dcmread(path, specific_tags=["ContributingEquipmentSequence"], stop_before_pixels=True)
            items = header.get("ContributingEquipmentSequence") or []
            return any(text(item, "ManufacturerModelName") == PRODUCT for item in items)
    except unreadable:
        return False

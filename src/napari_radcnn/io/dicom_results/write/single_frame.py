"""The header that a frame of an enhanced file would have as a classic file with one slice.

Readers everywhere know the classic objects; what an enhanced one says in its functional groups (DICOM PS3.3, C.7.6.16)
is put where the classic one has it.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io.dicom.frames import FrameTags
from napari_radcnn.io.dicom.headers import Instance, floats, text, texts
from napari_radcnn.io.dicom_results.source import Source
from napari_radcnn.io.dicom_results.write.quantize import decimal

if TYPE_CHECKING:
    from pydicom import Dataset

_CT, _MR, _PET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"
#: Enhanced objects, and the classic ones that hold the same. An enhanced PET (130) is not among them: it states its
#: decay correction and its units in other ways, and a mistake there is a wrong SUV.
_CLASSIC = {
    f"{_CT}.1": _CT,
    f"{_CT}.2": _CT,  # legacy converted
    f"{_MR}.1": _MR,
    f"{_MR}.4": _MR,  # legacy converted
    f"{_PET}.1": _PET,  # legacy converted
}
#: What only enhanced objects have, or what is said of all frames together.
_ENHANCED_ONLY = (
    "AcquisitionContextSequence",
    "AcquisitionContrast",
    "BluePaletteColorLookupTableData",  # supplemental colors: of the old values, and not of classic objects
    "BluePaletteColorLookupTableDescriptor",
    "ComplexImageComponent",
    "ConcatenationFrameOffsetNumber",
    "ContentQualification",
    "ConversionSourceAttributesSequence",
    "DimensionIndexSequence",
    "DimensionOrganizationSequence",
    "DimensionOrganizationType",
    "FrameIncrementPointer",
    "GreenPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableDescriptor",
    "InConcatenationNumber",
    "InConcatenationTotalNumber",
    "NumberOfFrames",
    "PaletteColorLookupTableUID",
    "PerFrameFunctionalGroupsSequence",
    "PixelPresentation",
    "PresentationLUTShape",
    "RedPaletteColorLookupTableData",
    "RedPaletteColorLookupTableDescriptor",
    "ReferencedRawDataSequence",
    "RepresentativeFrameNumber",
    "SharedFunctionalGroupsSequence",
    "SourceImageEvidenceSequence",
    "VolumeBasedCalculationTechnique",
    "VolumetricProperties",
)
#: Where a legacy converted object keeps what has no place in its functional groups (DICOM PS3.3, C.7.6.16.2.25 ff.).
_CONVERTED = ("UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence")
#: What functional groups and classic objects call the same.
_SAME = (
    "AnatomicRegionSequence",
    "CTDIvol",
    "ConvolutionKernel",
    "DataCollectionDiameter",
    "DiffusionBValue",
    "FilterType",
    "FlipAngle",
    "GantryDetectorTilt",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "KVP",
    "NumberOfAverages",
    "PercentPhaseFieldOfView",
    "PercentSampling",
    "PixelBandwidth",
    "PixelSpacing",
    "ReceiveCoilName",
    "ReconstructionDiameter",
    "RepetitionTime",
    "RescaleType",
    "RevolutionTime",
    "RotationDirection",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SpiralPitchFactor",
    "TableFeedPerRotation",
    "TableHeight",
    "TableSpeed",
    "TransmitCoilName",
    "WindowCenter",
    "WindowCenterWidthExplanation",
    "WindowWidth",
)
#: Numbers that the classic object calls otherwise: its name, that of the enhanced one, whether it is a whole number.
_NUMBERS = (
    ("AcquisitionNumber", "FrameAcquisitionNumber", True),
    ("EchoTime", "EffectiveEchoTime", False),
    ("EchoTrainLength", "RFEchoTrainLength", True),
    ("EchoTrainLength", "GradientEchoTrainLength", True),
    ("Exposure", "ExposureInmAs", True),
    ("ExposureTime", "ExposureTimeInms", True),
    ("ImagingFrequency", "TransmitterFrequency", False),
    ("InversionTime", "InversionTimes", False),
    ("TriggerTime", "NominalCardiacTriggerDelayTime", False),
    ("XRayTubeCurrent", "XRayTubeCurrentInmA", True),
)
#: Attributes that must be there, but may be empty (DICOM PS3.3, C.7.3.1, C.7.4.1, C.8.2.1, C.8.3.1).
_TYPE_2 = {
    _CT: ("AcquisitionNumber", "KVP"),
    _MR: ("EchoTime", "EchoTrainLength", "MRAcquisitionType", "RepetitionTime", "ScanOptions"),
    _PET: (),
}
_TYPE_2_ANY = ("PatientPosition", "PositionReferenceIndicator", "SeriesNumber")
#: What the third value of ImageType may be in the classic object (DICOM PS3.3, C.8.2.1.1.1, C.8.3.1.1.1).
_THIRD = {
    _CT: ("AXIAL", ("AXIAL", "LOCALIZER")),
    _MR: ("OTHER", ("DIFFUSION MAP", "MPR", "PHASE MAP", "PROJECTION IMAGE")),
}


def frame_headers(source: Source, target: Path) -> list[Dataset]:
    """Return a classic header for each frame of the volume, in the order of k, with the UIDs of the file it is from.

    Parameters
    ----------
    source : Source
        A volume of one file a slice, whose headers are returned, or of files with many frames.
    target : path
        What is to be written, for messages.

    Raises
    ------
    WriteError
        If no classic object holds what the file holds, or a value in its functional groups is damaged.
    """
    if not source.is_multi_frame:
        return source.headers
    files = {path: (header, _without_frames(header)) for path, header in zip(source.files, source.headers, strict=True)}
    try:
        return [_header(*files[frame.path], frame.path, frame.index, target) for frame in source.stack.frames]
    except ReadError as error:
        raise WriteError(f"{target}: no derived series can be written from the source: {error}") from error


def frame_references(source: Source) -> list[Dataset]:
    """Return for each frame of the volume the items that a reference to it consists of (DICOM PS3.3, 10.3)."""
    from pydicom import Dataset

    headers = dict(zip(source.files, source.headers, strict=True))
    items = []
    for frame in source.stack.frames:
        item, header = Dataset(), headers[frame.path]
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        if source.is_multi_frame:
            item.ReferencedFrameNumber = frame.index + 1
        items.append(item)
    return items


def _header(whole: Dataset, of_all: Dataset, path: Path, index: int, target: Path) -> Dataset:
    """Return the header of a frame: `whole` is the file's, `of_all` what it says of all frames."""
    header = deepcopy(of_all)
    sop_class = text(whole, "SOPClassUID")
    if sop_class in (_CT, _MR, _PET) and text(whole, "NumberOfFrames") in ("", "1"):
        return header  # a classic file that says it has one frame
    classic = _CLASSIC.get(sop_class)
    is_mosaic = bool({"MOSAIC", "VFRAME"} & set(texts(whole, "ImageType")))
    if classic is None or is_mosaic:
        what = "a mosaic" if is_mosaic else f"of the type '{whole.SOPClassUID.name}'"
        raise WriteError(
            f"{target}: the source is a multi-frame DICOM file, {what}, from which a derived series cannot be "
            "written (only from enhanced CT and MR, and from converted CT, MR and PET); write .nii.gz instead."
        )
    tags = FrameTags(Instance(path, whole, "", "PixelData", 0, 0), index)
    _put_converted(header, whole, index)
    for keyword in _SAME:
        value = tags.get(keyword)
        if value is not None:
            setattr(header, keyword, deepcopy(value))
    if "RescaleType" in header and tags.items("RealWorldValueMappingSequence"):
        del header.RescaleType  # of values that the mapping replaced
    for keyword, enhanced, is_whole in _NUMBERS:
        values = floats(tags, enhanced, path)
        if values and keyword not in header:
            setattr(header, keyword, round(values[0]) if is_whole else decimal(values[0]))
    _put_words(header, tags, classic)
    if classic == _MR and "ScanningSequence" not in header:
        header.ScanningSequence, header.SequenceVariant = _sequence(tags)
    header.SOPClassUID = classic
    for keyword in (*_TYPE_2_ANY, *_TYPE_2[classic]):
        if keyword not in header:
            setattr(header, keyword, None)
    if not ("Laterality" in header or "ImageLaterality" in header):
        header.Laterality = None
    return header


def _without_frames(whole: Dataset) -> Dataset:
    """Return what the file says of all frames."""
    from pydicom import Dataset

    dataset = Dataset()
    for element in whole:
        if element.keyword not in _ENHANCED_ONLY:
            dataset.add(element)
    return dataset


def _put_converted(header: Dataset, whole: Dataset, index: int) -> None:
    """Put back what a legacy converted object took over from its classic sources as it was."""
    for keyword, item in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
        groups = whole.get(keyword) or []
        for group in groups[item : item + 1]:
            for name in _CONVERTED:
                for converted in (group.get(name) or [])[:1]:
                    header.update({element.tag: element for element in converted})


def _put_words(header: Dataset, tags: FrameTags, classic: str) -> None:
    """Put in the words that the classic object has elsewhere, or calls otherwise."""
    kinds = texts(tags, "FrameType") or texts(tags, "ImageType") or ["ORIGINAL", "PRIMARY"]
    usual, known = _THIRD.get(classic, ("", ()))
    third = kinds[2] if len(kinds) > 2 and kinds[2] in known else usual
    header.ImageType = [*kinds[:2], *([third] if third else [])]
    for keyword, enhanced in (("ImagedNucleus", "ResonantNucleus"), ("ImageLaterality", "FrameLaterality")):
        if text(tags, enhanced):
            setattr(header, keyword, text(tags, enhanced))
    agents = header.get("ContrastBolusAgentSequence") or []
    if agents and "ContrastBolusAgent" not in header:  # words in the one, a code in the other
        header.ContrastBolusAgent = text(agents[0], "CodeMeaning")[:64]
    moment = text(tags, "FrameAcquisitionDateTime") or text(tags, "AcquisitionDateTime")
    if len(moment) >= 8 and "AcquisitionDate" not in header:
        header.AcquisitionDate = moment[:8]
        header.AcquisitionTime = moment[8:].split("+")[0].split("-")[0]


def _sequence(tags: FrameTags) -> tuple[list[str], list[str]]:
    """Return ScanningSequence and SequenceVariant, which have one word for several of the enhanced object's.

    Research mode (RM) and no variant (NONE) where it says nothing (DICOM PS3.3, C.8.3.1).
    """
    echo = text(tags, "EchoPulseSequence")
    scanning = {"SPIN": ["SE"], "GRADIENT": ["GR"], "BOTH": ["SE", "GR"]}.get(echo, [])
    for keyword, word in (("InversionRecovery", "IR"), ("EchoPlanarPulseSequence", "EP")):
        scanning += [word] * (text(tags, keyword) == "YES")
    variants = (
        ("SegmentedKSpaceTraversal", ("", "SINGLE"), "SK"),
        ("MagnetizationTransfer", ("", "NONE"), "MTC"),
        ("SteadyStatePulseSequence", ("", "NONE"), "SS"),
        ("Spoiling", ("", "NONE"), "SP"),
        ("OversamplingPhase", ("", "NONE"), "OSP"),
    )
    variant = [word for keyword, without, word in variants if text(tags, keyword) not in without]
    return scanning or ["RM"], variant or ["NONE"]

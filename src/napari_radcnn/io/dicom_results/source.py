"""The DICOM series that a result was made from: found again from its headers, its files in the order of the slices."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.geometry import AxisMap, Geometry
from napari_radcnn.io.archive import unpack
from napari_radcnn.io.dicom.frames import FrameTags
from napari_radcnn.io.dicom.headers import Instance, Values, damage, quiet, read_header, text
from napari_radcnn.io.dicom.series import Series, SeriesVolumes, find_dicom, volumes_of_series
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.io.dicom_results.deidentify import Deidentifier, check_pixels
from napari_radcnn.results import LabelMap, Result
from napari_radcnn.volume import Volume, VolumeMetadata

if TYPE_CHECKING:
    from pydicom import Dataset

#: What a reference to a series cannot do without.
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
#: What a caller may give where a result does not know its series: the folder or file, or a scan read from it.
Reference = str | Path | Volume
#: How far a corner of a result's grid may lie from the corner of the series' grid, mm.
_TOLERANCE_MM = 0.01


@dataclass(frozen=True, eq=False)
class Source:
    """One volume of a DICOM series.

    Attributes
    ----------
    stack : Stack
        Its frames, in the order of k, and its grid.
    deidentifier : Deidentifier or None
        What takes the patient out of `headers`.
    """

    stack: Stack
    deidentifier: Deidentifier | None = None

    @property
    def geometry(self) -> Geometry:
        """The grid of the frames."""
        return self.stack.geometry

    @property
    def files(self) -> list[Path]:
        """The files, each once, in the order of k."""
        return list(dict.fromkeys(frame.path for frame in self.stack.frames))

    @property
    def is_multi_frame(self) -> bool:
        """Whether one file holds several slices."""
        return any(frame.index > 0 for frame in self.stack.frames) or "NumberOfFrames" in self.headers[0]

    @cached_property
    def headers(self) -> list[Dataset]:
        """The headers of `files`, whole and without pixels, to be changed as needed.

        They are those that were read when the series was found: the files may have been in an archive, and be gone.
        """
        instances = {frame.path: frame.instance for frame in self.stack.frames}
        headers = [deepcopy(instance.dataset) for instance in instances.values()]
        return headers if self.deidentifier is None else self.deidentifier.headers(headers)

    @property
    def written_stack(self) -> Stack:
        """The volume as a file that refers to it has it: with the UIDs of `headers`."""
        first, *others = self.stack.frames
        tags = cast(FrameTags, Values(self.headers[0]))
        return (
            self.stack
            if self.deidentifier is None
            else replace(self.stack, frames=(replace(first, tags=tags), *others))
        )

    def check(self, target: Path, *, needs_all_frames: bool = True) -> None:
        """Refuse a series that lacks what a reference to it needs, or where one of all frames of a file is meant.

        Raises
        ------
        WriteError
            Naming the file and the attribute, never its value.
        """
        if len({text(frame.tags, "FrameOfReferenceUID") for frame in self.stack.frames}) > 1:
            raise WriteError(
                f"{target}: the slices of the source series have different frames of reference, but a DICOM object "
                "can have only one; write .nii.gz instead."
            )
        n_frames = int(self.headers[0].get("NumberOfFrames", 1))
        if needs_all_frames and self.is_multi_frame and n_frames != len(self.stack.frames):
            raise WriteError(
                f"{target}: the source file contains several volumes (such as time points), and a DICOM object for "
                "only one of them cannot be written; write .nii.gz instead."
            )
        for path, header in zip(self.files, self.headers, strict=True):
            missing = next((keyword for keyword in NEEDED if not text(header, keyword)), None)
            if missing is not None:
                raise WriteError(
                    f"{target}: the source series lacks {missing} ({path.name}), without which DICOM objects cannot "
                    "refer to it; write .nii.gz instead."
                )
            # Type 2: must be there, may be empty (DICOM PS3.3, C.7.1.1, C.7.2.1, C.7.5.1); scrubbed scans lack them
            for keyword in _TYPE_2:
                if keyword not in header:
                    setattr(header, keyword, "")


_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "Manufacturer",
)


def find_source(
    obj: Volume | LabelMap, target: Path, reference: Reference | None = None, *, on_slices: bool = True
) -> tuple[Source, AxisMap]:
    """Find the series of a volume or label map, and how its axes are to be turned to lie as the series does.

    Parameters
    ----------
    obj : Volume or LabelMap
        On the grid of the series, up to the order and direction of the axes.
    target : path
        What is to be written, for messages.
    reference : path or Volume, optional
        The series, where `obj` does not know it.
    on_slices : bool
        Whether each slice of the grid must be one that was scanned, not one of a grid resampled from uneven slices.

    Raises
    ------
    WriteError
        If it comes from no DICOM series, the series is gone, or its grid is another one.
    """
    candidates = _candidates(obj.metadata, obj.provenance, target, reference)
    fitting = []
    for source in candidates:
        axes = obj.geometry.axis_map(source.geometry.orientation)
        if obj.geometry.reoriented(axes).is_close(source.geometry, _TOLERANCE_MM):
            fitting.append((source, axes))
    if not fitting:
        raise WriteError(
            f"{target}: the grid of the result differs from that of its DICOM series; resample it to the scan first, "
            "or write .nii.gz instead."
        )
    if on_slices and all(source.stack.sampling is not None for source, _ in fitting):
        raise WriteError(
            f"{target}: the result lies on an even grid that the scan was resampled to, and DICOM labels lie on slices "
            "that were scanned. Write the resampled scan as a derived series (a name without a suffix) and segment "
            "that, read the scan with on_irregular='split', or write .nii.gz instead."
        )
    named = [found for found in fitting if found[0].stack.label and _is_named(obj, found[0].stack.label)]
    if len(fitting) > 1 and len(named) != 1:
        raise WriteError(
            f"{target}: the DICOM series has {len(fitting)} volumes on the grid of the result, and it is unknown "
            "which of them it belongs to; write .nii.gz instead."
        )
    return (named or fitting)[0]


def find_series(obj: Volume | Result, target: Path, reference: Reference | None = None) -> Source:
    """Find the series of a result whose grid is its own or that has none.

    It is the volume of that grid or, if there are several or none, the one it is named after, or the first and largest.

    Raises
    ------
    WriteError
        As `find_source` does.
    """
    metadata = obj.metadata if isinstance(obj, Volume) else VolumeMetadata()
    candidates = _candidates(metadata, obj.provenance, target, reference)
    if isinstance(obj, Volume):
        same = [source for source in candidates if obj.geometry.is_close(source.geometry, _TOLERANCE_MM)]
        candidates = same or candidates
    named = [source for source in candidates if source.stack.label and _is_named(obj, source.stack.label)]
    return (named or candidates)[0]


def _is_named(obj: Volume | Result, label: str) -> bool:
    own = obj.metadata.name if isinstance(obj, Volume | LabelMap) else ""
    names = (own, obj.name, str(_input(obj.provenance).get("name", "")))
    return any(label in name.split(" · ")[1:] for name in names)


def _input(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    found = provenance.get("input")
    return found if isinstance(found, Mapping) else {}


def _candidates(
    metadata: VolumeMetadata, provenance: Mapping[str, Any], target: Path, reference: Reference | None
) -> list[Source]:
    """Return the volumes of the series."""
    if isinstance(reference, Volume):
        metadata, provenance = reference.metadata, {}
    elif reference is not None:
        metadata, provenance = VolumeMetadata(source=Path(reference)), {}
    given = _input(provenance)
    path = metadata.source or (Path(str(given["path"])) if given.get("path") else None)
    series_uid = metadata.series_uid or str(given.get("series_uid") or "")
    is_any = reference is not None and not isinstance(reference, Volume)
    is_dicom = "DICOM" in (metadata.source_format, given.get("format"))
    if path is None or not (series_uid or is_dicom or is_any):
        raise WriteError(
            f"{target}: a DICOM object needs the original DICOM series of the scan, but this scan was not read from "
            "DICOM; write .nii.gz instead."
        )
    if not path.exists():
        raise WriteError(
            f"{target}: a DICOM object needs the original DICOM series of the scan, which is no longer at "
            f"'{path.name}'; put it back, or write .nii.gz instead."
        )
    try:
        found, series_uid = _find(path, series_uid)
    except (ReadError, OSError) as error:
        raise WriteError(f"{target}: the original DICOM series of the scan cannot be read: {error}") from error
    stacks = [stack for series in found if is_any or series_uid == series.uid for stack in series.stacks]
    sources = [Source(stack) for stack in stacks if stack.frames[0].position is not None]
    if not sources:
        raise WriteError(
            f"{target}: the original DICOM series of the scan is no longer in '{path.name}', or has no positions; "
            "write .nii.gz instead."
        )
    return sources


def all_series(path: Path) -> list[SeriesVolumes]:
    """Return the series with pictures of a folder or an archive, or that of a file.

    Raises
    ------
    ReadError
        If the archive cannot be unpacked.
    """
    return _find(path, "")[0]


def check_source_pixels(volume: Volume, target: Path) -> None:
    """Refuse a scan whose DICOM series, where it is still there, says that it carries burned-in text.

    Raises
    ------
    WriteError
        As `check_pixels` does.
    """
    metadata = volume.metadata
    if metadata.is_label or not metadata.series_uid or metadata.source is None or not metadata.source.exists():
        return
    try:
        series = [found for found in all_series(metadata.source) if found.uid == metadata.series_uid]
    except (ReadError, OSError):  # as good as gone
        return
    check_pixels([frame.tags for found in series for stack in found.stacks for frame in stack.frames], target)


def _find(path: Path, series_uid: str) -> tuple[list[SeriesVolumes], str]:
    """Return all series, and the UID of the wanted one: if that is a result's, of the series which it refers to."""
    with _unpacked(path) as place:
        if place.is_dir():
            folder = find_dicom(place)
            found = volumes_of_series(folder.series, with_irregular=True)
            result = next((other.path for other in folder.others if other.series_uid == series_uid), None)
        else:
            with quiet():
                item = read_header(place)
            found = volumes_of_series([Series([item])], with_irregular=True) if isinstance(item, Instance) else []
            result = place
        if not series_uid or result is None or any(series.uid == series_uid for series in found):
            return found, series_uid
        referred = _referred(result)
        if not referred:
            return [], ""
        return (found if place.is_dir() else all_series(place.parent)), referred


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Give a folder with what an archive holds, for as long as it is needed; what is no archive as it is."""
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):  # as `read` does: by its name
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="radcnn-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / "unpacked"
        folder.mkdir()
        unpack(path, folder)
        yield folder


def _referred(path: Path) -> str:
    """Return the UID of the series that a result refers to, empty where it says none."""
    from pydicom import dcmread

    try:
        with quiet():
            header = dcmread(path, stop_before_pixels=True, force=True)
            if "ReferencedSeriesSequence" in header:  # a segmentation (DICOM PS3.3, C.12.1.1)
                series = header.ReferencedSeriesSequence
            else:  # contours (DICOM PS3.3, C.8.8.5)
                frame = header.ReferencedFrameOfReferenceSequence[0]
                series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
            return text(series[0], "SeriesInstanceUID")
    except damage():
        return ""


def turned(obj: LabelMap | Volume, axes: AxisMap) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the voxels and the grid with the axes in the order of the series."""
    return np.ascontiguousarray(axes.apply(np.asarray(obj.array))), obj.geometry.reoriented(axes)

"""Read a DICOM segmentation (BINARY, FRACTIONAL or LABELMAP) as label volumes on the grid of its series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom.frames import Frame, frame_count, frames_of
from napari_radcnn.io.dicom.headers import Instance, damage, number, quiet, text
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.io.dicom_results.equipment import PRODUCT
from napari_radcnn.io.dicom_results.read.bits import SegmentPixels
from napari_radcnn.io.dicom_results.read.films import Film, films_of
from napari_radcnn.io.dicom_results.read.masks import Place, check_memory, label_volumes
from napari_radcnn.io.dicom_results.read.placing import Placed, placed_on
from napari_radcnn.io.dicom_results.read.segments import segment_label, segment_values
from napari_radcnn.io.dicom_results.read.whole import read_whole
from napari_radcnn.volume import Volume, VolumeMetadata

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_SLICES = 100_000


def read_segmentation(path: Path, stacks: Sequence[Stack] = ()) -> list[Volume]:
    """Read a segmentation.

    Parameters
    ----------
    path : path
        A DICOM SEG file.
    stacks : sequence of Stack
        Volumes of the study; the one whose slices the segmentation lies on gives the grid. Without one, the grid
        ends at the first and last slice that the file holds. One of a radiograph has no positions (DICOM PS3.3,
        C.7.6.16.2.3.1): it lies on the picture that its frames name as their source.

    Returns
    -------
    list of Volume
        One, or several where segments overlap; values are segment numbers, or those that the labels had when this
        program wrote them; ``labels`` are their names and colors.

    Raises
    ------
    ReadError
        If the file is damaged, or its frames make no grid.
    """
    with quiet():
        try:
            return _Segmentation(path, read_whole(path)).volumes(stacks)
        except damage() as error:
            raise ReadError(f"{path.name}: the segmentation is damaged ({type(error).__name__}).") from error


class _Segmentation:
    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path, self.dataset = path, dataset
        self.kind = text(dataset, "SegmentationType").upper()
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        self.instance = Instance(path, dataset, syntax, "PixelData", 0, 0)
        self.bits = int(number(dataset, "BitsAllocated", path) or 0)
        if self.kind not in ("BINARY", "FRACTIONAL", "LABELMAP") or self.bits not in (1, 8, 16):
            raise ReadError(f"{path.name}: a segmentation of an unknown type cannot be read.")
        rows, columns = (int(number(dataset, keyword, path) or 0) for keyword in ("Rows", "Columns"))
        self.shape = rows, columns
        if min(rows, columns) < 1:
            raise ReadError(
                f"{path.name}: Rows or Columns of the segmentation is missing or zero; the file is damaged."
            )
        self.pixels = SegmentPixels(dataset, path, self.shape, self.bits, frame_count(self.instance))
        if len(dataset.get("PerFrameFunctionalGroupsSequence", [])) < frame_count(self.instance):
            raise ReadError(f"{path.name}: the segmentation has more frames than positions; the file is damaged.")
        self.frames = frames_of(self.instance)
        if all(frame.position is None for frame in self.frames):  # of pictures without a place
            return
        if any(frame.position is None or frame.cosines is None for frame in self.frames):
            raise ReadError(
                f"{path.name}: the segmentation does not give the position of its frames (PlanePositionSequence)."
            )
        if any(frame.pixel_spacing is None for frame in self.frames):
            raise ReadError(f"{path.name}: the segmentation does not give its pixel spacing (PixelSpacing).")

    def volumes(self, stacks: Sequence[Stack]) -> list[Volume]:
        if self.frames[0].position is None:
            return [volume for film in films_of(self.path, self.frames, stacks) for volume in self._on_film(film)]
        place, placed = self._place([stack for stack in stacks if stack.frames[0].position is not None])
        return self._labels(place, dict(enumerate(placed)))

    def _on_film(self, film: Film) -> list[Volume]:
        """Return the labels of a radiograph, which have its sides."""
        place = Place(film.stack.geometry, "", self._notes())
        placed = Placed(0, slice(None), slice(None), (False, False))
        return [
            replace(volume, metadata=film.marked(volume.metadata))
            for volume in self._labels(place, dict.fromkeys(film.frames, placed))
        ]

    def _labels(self, place: Place, placed: Mapping[int, Placed]) -> list[Volume]:
        """Return the label volumes of some frames, of which it is known where they lie."""
        described = {
            int(item.SegmentNumber): item
            for item in self.dataset.get("SegmentSequence", [])
            if int(item.SegmentNumber) > 0
        }
        by_segment = self._frames_of(described, placed)
        values = segment_values(described, is_ours=text(self.dataset, "ManufacturerModelName") == PRODUCT)
        segments = {value: segment for segment, value in values.items()}
        labels = {values[segment]: segment_label(segment, item) for segment, item in described.items()}

        def slices(value: int) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
            for n, k in by_segment[segments[value]]:
                yield k, placed[n].on(self._mask(n, segments[value]), place.geometry.shape[1:])

        series_number = text(self.dataset, "SeriesNumber")
        is_number = series_number.lstrip("+-").isdigit()
        metadata = VolumeMetadata(
            name=f"SEG {series_number}" if is_number else "SEG",
            modality="SEG",
            description=text(self.dataset, "SeriesDescription"),
            study_uid=text(self.dataset, "StudyInstanceUID"),
            series_uid=text(self.dataset, "SeriesInstanceUID"),
            series_number=int(series_number) if is_number else None,
            source=self.path,
            source_format="DICOM",
        )
        return label_volumes(labels, slices, place, metadata, self.path)

    def _frames_of(
        self, described: Mapping[int, Dataset], placed: Mapping[int, Placed]
    ) -> dict[int, list[tuple[int, int]]]:
        """Return frame and slice of everything that belongs to each segment."""
        if self.kind == "LABELMAP":
            return {segment: [(n, one.k) for n, one in placed.items()] for segment in described}
        found: dict[int, list[tuple[int, int]]] = {segment: [] for segment in described}
        for n, one in placed.items():
            given = self.frames[n].tags.get("ReferencedSegmentNumber")
            segment = int(given[0] if isinstance(given, list) else given)
            if segment not in found:
                raise ReadError(f"{self.path.name}: a frame belongs to segment {segment}, which is not described.")
            found[segment].append((n, one.k))
        return found

    def _mask(self, n: int, segment: int) -> npt.NDArray[np.bool_]:
        """Return the mask of a segment in frame n."""
        pixels = self.pixels.frame(n)
        if self.kind == "LABELMAP":
            return pixels == segment
        if self.kind == "FRACTIONAL":  # DICOM PS3.3, C.8.20.2.3: the values are parts of MaximumFractionalValue
            return pixels.astype(float) >= 0.5 * float(number(self.dataset, "MaximumFractionalValue", self.path) or 255)
        return pixels > 0

    def _notes(self) -> tuple[str, ...]:
        is_cut = self.kind == "FRACTIONAL"
        return ("A fractional segmentation: voxels of at least one half are shown.",) if is_cut else ()

    # -- where it lies --------------------------------------------------------------------------------------------

    def _place(self, stacks: Sequence[Stack]) -> tuple[Place, list[Placed]]:
        """Return the grid, and where on it each frame lies."""
        uid = text(self.frames[0].tags, "FrameOfReferenceUID")
        warnings = list(self._notes())
        referenced = {text(item, "SeriesInstanceUID") for item in self.dataset.get("ReferencedSeriesSequence", [])}
        ranked = sorted(stacks, key=lambda stack: text(stack.frames[0].tags, "SeriesInstanceUID") not in referenced)
        beside = [stack for stack in ranked if text(stack.frames[0].tags, "FrameOfReferenceUID") == uid]
        otherwise: list[str] = []
        for stack in beside:
            placed = placed_on(self.frames, stack.geometry)
            if not isinstance(placed, str):
                return Place(stack.geometry, uid, tuple(warnings)), placed
            otherwise.append(placed)
        geometry = self._own_grid()
        own = placed_on(self.frames, geometry)
        if isinstance(own, str):
            raise ReadError(
                f"{self.path.name}: the frames of the segmentation do not form a regular grid; put the file into one "
                "folder with the series it belongs to, and open the folder."
            )
        if otherwise:
            warnings.append(
                f"The segmentation does not lie on the grid of the series beside it: it {otherwise[0]}. It is shown on "
                "a grid of its own, in its true place."
            )
        else:
            warnings.append(
                "The series that the segmentation refers to is not in the folder: the grid covers only the slices in "
                "the file."
            )
        return Place(geometry, uid, tuple(warnings)), own

    def _own_grid(self) -> Geometry:
        """Return the grid from the first to the last frame of the file; slices without segments are left out there."""
        first = min(self.frames, key=lambda frame: frame.depth)
        assert first.position is not None
        assert first.cosines is not None
        assert first.pixel_spacing is not None
        depths = np.unique(np.round([frame.depth for frame in self.frames], 3))
        step: npt.NDArray[np.float64] = (self._slice_spacing(first, depths)) * first.normal
        count = 1
        if len(depths) > 1:
            last = max(self.frames, key=lambda frame: frame.depth)
            assert last.position is not None
            gaps = round(float((depths[-1] - depths[0]) / np.linalg.norm(step)))
            if not 1 <= gaps < _MOST_SLICES:
                raise ReadError(
                    f"{self.path.name}: the positions of the frames do not form a grid; the file is damaged."
                )
            step, count = (last.position - first.position) / gaps, gaps + 1
        check_memory((count, *self.shape), 1, self.path)
        affine = np.eye(4)
        affine[:3, :3] = np.column_stack(
            [step, first.cosines[1] * first.pixel_spacing[0], first.cosines[0] * first.pixel_spacing[1]]
        )
        affine[:3, 3] = first.position
        try:
            return Geometry((count, *self.shape), affine)
        except GeometryError as error:
            raise ReadError(f"{self.path.name}: the positions of the frames do not form a grid: {error}") from error

    def _slice_spacing(self, first: Frame, depths: npt.NDArray[np.float64]) -> float:
        between = number(first.tags, "SpacingBetweenSlices", self.path)
        if between is not None and between > 0:
            return between
        if len(depths) > 1:
            return float(np.diff(depths).min())
        return first.slice_spacing or 1.0

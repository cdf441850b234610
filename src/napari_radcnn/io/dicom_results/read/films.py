"""Segmentations of radiographs: they have no positions, and lie on the picture that each frame names as its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.acquisition import acquisition_of, sides_of
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import text
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.volume import VolumeMetadata


@dataclass
class Film:
    """A radiograph, and what of a segmentation lies on it.

    Attributes
    ----------
    stack : Stack
        The radiograph.
    frames : list of int
        The frames of the segmentation, by their number.
    """

    stack: Stack
    frames: list[int] = field(default_factory=list)

    def marked(self, about: VolumeMetadata) -> VolumeMetadata:
        """Return what is known of labels, with the sides of the radiograph."""
        return replace(
            about,
            is_placed=False,
            sides=sides_of(self.stack.frames),
            is_calibrated=self.stack.is_calibrated,
            acquisition=acquisition_of(self.stack.frames[0].instance),
        )


def films_of(path: Path, frames: Sequence[Frame], stacks: Sequence[Stack]) -> list[Film]:
    """Return the radiographs that a segmentation without positions lies on.

    Parameters
    ----------
    path : Path
        Of the segmentation, for messages.
    frames : sequence of Frame
        Its frames, without positions.
    stacks : sequence of Stack
        What lies beside it.

    Raises
    ------
    ReadError
        If a frame names no radiograph of its size among them.
    """
    known = {
        text(stack.frames[0].tags, "SOPInstanceUID"): stack
        for stack in stacks
        if stack.frames[0].position is None and len(stack.frames) == 1
    }
    films: dict[str, Film] = {}
    for n, frame in enumerate(frames):
        uid = next((uid for uid in _sources(frame) if uid in known), None)
        if uid is None:
            raise ReadError(
                f"{path.name}: the segmentation gives no position of its frames (PlanePositionSequence), and the "
                "radiograph that it was made of is not beside it: put both into one folder and open that folder."
            )
        size = known[uid].geometry.shape[1:]
        if frame.shape != size:
            rows, columns = frame.shape
            raise ReadError(
                f"{path.name}: the segmentation has {rows} x {columns} pixels, but the radiograph that it was made of "
                f"{size[0]} x {size[1]}; the file is damaged or of another picture."
            )
        films.setdefault(uid, Film(known[uid])).frames.append(n)
    return list(films.values())


def _sources(frame: Frame) -> list[str]:
    """Return the SOPInstanceUIDs of the pictures that a frame was made of; of the file where the frame names none."""
    own = [
        text(source, "ReferencedSOPInstanceUID")
        for derivation in frame.tags.items("DerivationImageSequence")
        for source in derivation.get("SourceImageSequence") or []
    ]
    series = frame.instance.dataset.get("ReferencedSeriesSequence") or []
    whole = [
        text(item, "ReferencedSOPInstanceUID") for one in series for item in one.get("ReferencedInstanceSequence") or []
    ]
    return own or whole

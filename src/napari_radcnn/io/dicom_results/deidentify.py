"""Results that can be given away: no name, number, date, UID or path of the patient's in what is written.

What is *seen* in the voxels stays: text burned into a picture, and the face in a scan of the head.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import WriteError
from napari_radcnn.io.dicom.headers import text
from napari_radcnn.io.dicom_results.confidentiality import cleaned, mark
from napari_radcnn.io.dicom_results.names import is_unit, public_labels, public_names
from napari_radcnn.io.dicom_results.shareable import public_model, shareable
from napari_radcnn.results import (
    Classification,
    Detections,
    Embedding,
    Label,
    LabelMap,
    Landmarks,
    Regression,
    Result,
    Survival,
)
from napari_radcnn.volume import Volume, VolumeMetadata

if TYPE_CHECKING:
    from pydicom import Dataset

#: What can be written.
Writable = Volume | LabelMap | Detections | Classification | Regression | Survival | Landmarks | Embedding
_LEAST_SECRET_BYTES = 16
#: Pictures that often carry text in their pixels without saying so.
_ANNOTATED = ("CR", "DX", "ES", "OP", "OT", "PX", "RF", "RG", "SC", "US", "XA", "XC")


@dataclass(frozen=True)
class Deidentifier:
    """Takes the patient out of what is written, and gives the same new UID for the same old one.

    Parameters
    ----------
    secret : bytes
        Key of the new UIDs, at least 16 bytes, and not to be given away: with it, anyone who holds the originals can
        tell which is which. By default a new one, so that only what is written with this object fits together.

    Raises
    ------
    WriteError
        If the secret is too short.

    Notes
    -----
    A new UID is an HMAC-SHA-256 of the old one, as a UUID under ``2.25`` (DICOM PS3.5, B.2). Without the key nobody can
    find the old one, not even by trying all UIDs of an archive.
    """

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < _LEAST_SECRET_BYTES:
            raise WriteError(
                f"The key for new UIDs has {len(self.secret)} bytes; it needs at least {_LEAST_SECRET_BYTES} random "
                "bytes."
            )

    def uid(self, original: str) -> str:
        """Return the new UID for one; a new one is returned as it is only by chance, so give originals."""
        digest = bytearray(hmac.new(self.secret, original.encode(), hashlib.sha256).digest()[:16])
        digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80  # a UUID of version 8 (RFC 9562)
        return f"2.25.{int.from_bytes(digest, 'big')}"

    def headers(self, originals: Sequence[Dataset]) -> list[Dataset]:
        """Return the headers of a series without the patient, UIDs replaced (DICOM PS3.15, Annex E, Basic Profile)."""
        return cleaned(originals, self.uid)

    def mark(self, dataset: Dataset) -> None:
        """Say in a written object that it was cleaned, and take the moment of writing out of it."""
        mark(dataset)

    def prepared(self, obj: Writable, *, is_dicom: bool) -> Writable:
        """Return what may be handed to a writer; one of DICOM still has to find the series, and cleans its headers."""
        return _with_public_names(obj) if is_dicom else self.stripped(obj)

    def stripped(self, obj: Writable) -> Writable:
        """Return a volume or result of which the voxels or findings are left, and names that nobody typed."""
        named = _with_public_names(obj)
        if isinstance(named, Volume):
            kept = self._metadata(named.metadata)
            return replace(named, metadata=kept.with_labels(named.labels) if named.labels else kept, warnings=())
        if isinstance(named, LabelMap):
            return replace(named, name="labels", provenance={}, warnings=(), metadata=self._metadata(named.metadata))
        return replace(named, name="result", provenance={}, warnings=())

    def labels(self, obj: LabelMap) -> dict[int, Label]:
        """Return the labels: names of a model's classes and of parts of the body stay."""
        return public_labels(obj.labels, obj.provenance)

    def _metadata(self, metadata: VolumeMetadata) -> VolumeMetadata:
        return VolumeMetadata(
            name="scan",
            modality=metadata.modality,
            units=metadata.units if is_unit(metadata.units) else "",
            window_center=metadata.window_center,
            window_width=metadata.window_width,
            is_inverted=metadata.is_inverted,
            is_label=metadata.is_label,
            padding_value=metadata.padding_value,
            source_format=metadata.source_format,
            is_calibrated=metadata.is_calibrated,
        )


def public_manifest(obj: Result) -> dict[str, Any]:
    """Return the manifest that may be written beside a volume or a result; empty where nothing made it."""
    renamed = {}
    if isinstance(obj, LabelMap):
        names = public_labels(obj.labels, obj.provenance)
        renamed = {label.name: names[value].name for value, label in obj.labels.items()}
    return shareable(obj.provenance, renamed)


def _with_public_names(obj: Writable) -> Writable:
    """Return a volume or result in which only names are left that may be given away, the model's among them."""
    if not isinstance(
        obj, Volume | LabelMap | Detections | Classification | Regression | Survival | Landmarks | Embedding
    ):
        raise WriteError(
            f"A {type(obj).__name__} cannot be written without the patient's data: it is not known which of its "
            "texts were typed in by a person."
        )
    made_by = _public_maker(obj.provenance)
    if isinstance(obj, Volume):
        labels = public_labels(obj.labels, obj.provenance)
        metadata = replace(obj.metadata, label_names={value: label.name for value, label in labels.items()})
        return replace(obj, metadata=replace(metadata, provenance=made_by))
    if isinstance(obj, LabelMap):
        return replace(obj, labels=public_labels(obj.labels, obj.provenance), provenance=made_by)
    if isinstance(obj, Detections):
        names = public_names((box.label for box in obj.boxes), obj.provenance, "finding")
        boxes = tuple(replace(box, label=names[box.label]) for box in obj.boxes)
        return replace(obj, boxes=boxes, provenance=made_by)
    if isinstance(obj, Embedding):
        return replace(obj, provenance=made_by)
    if isinstance(obj, Landmarks):
        names = public_names((point.name for point in obj.points), obj.provenance, "landmark")
        places = tuple(replace(point, name=names[point.name]) for point in obj.points)
        return replace(obj, points=places, provenance=made_by)
    if isinstance(obj, Regression):
        (quantity,) = public_names((obj.quantity,), obj.provenance, "value").values()
        return replace(obj, quantity=quantity, provenance=made_by)
    if isinstance(obj, Survival):
        (event,) = public_names((obj.event,), obj.provenance, "event").values()
        groups = public_names(obj.groups, obj.provenance, "group")
        return replace(obj, event=event, groups=tuple(groups[name] for name in obj.groups), provenance=made_by)
    names = public_names(obj.probabilities, obj.provenance, "class")
    probabilities = {names[name]: value for name, value in obj.probabilities.items()}
    thresholds = {names[name]: value for name, value in obj.thresholds.items()}
    tested = {names[name]: some for name, some in obj.operating_points.items()}
    return replace(obj, probabilities=probabilities, thresholds=thresholds, operating_points=tested, provenance=made_by)


def _public_maker(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest whose model may be named in a DICOM object; the rest of it only finds the series."""
    return {**manifest, "model": public_model(manifest)} if manifest.get("model") else dict(manifest)


def doubts(volume: Volume) -> list[str]:
    """Return what de-identification cannot take out of a picture, and somebody has to look at."""
    if volume.modality in _ANNOTATED or volume.is_color:
        return ["Text may be burned into such images and is not removed: check them before you share them."]
    if volume.geometry.shape[0] > 1:
        return ["If the scan shows a head, the face can be recognized in the voxels; it was not removed."]
    return []


def check_pixels(headers: Sequence[Any], target: Path) -> None:
    """Refuse pictures that say they carry burned-in text.

    Raises
    ------
    WriteError
        If BurnedInAnnotation is YES: the name may be in the voxels, which stay as they are.
    """
    if any(text(header, "BurnedInAnnotation").upper() == "YES" for header in headers):
        raise WriteError(
            f"{target}: the header says that text is burned into the images (BurnedInAnnotation YES), which may be "
            "the patient's name and cannot be removed here; mask it first, or write without removing the patient's "
            "data."
        )

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
from napari_radcnn.io.dicom_results.codes import LABEL_CODES
from napari_radcnn.io.dicom_results.confidentiality import cleaned, mark
from napari_radcnn.results import Classification, Detections, Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

if TYPE_CHECKING:
    from pydicom import Dataset

#: What can be written.
Writable = Volume | LabelMap | Detections | Classification
_LEAST_SECRET_BYTES = 16
#: Pictures that often carry text in their pixels without saying so.
_ANNOTATED = ("CR", "DX", "ES", "OP", "OT", "PX", "RF", "RG", "SC", "US", "XA", "XC")
#: What a manifest may say of a run: nothing of when it was, of what was told about the scan, or where files lay.
_MANIFEST_KEYS = (
    "schema",
    "model",
    "options",
    "settings",
    "device",
    "precision",
    "facts",
    "result",
    "versions",
    "system",
    "seconds",
    "volumes_ml",
    "edited_by_hand",
    "reviews",
)
_INPUT_KEYS = ("format", "modality", "shape", "spacing_mm", "affine")


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
                f"The key for new UIDs has {len(self.secret)} bytes; take at least {_LEAST_SECRET_BYTES}, by chance."
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
        if not is_dicom:
            return self.stripped(obj)
        return replace(obj, labels=self.labels(obj)) if isinstance(obj, LabelMap) else obj

    def stripped(self, obj: Writable) -> Writable:
        """Return a volume or result of which the voxels or findings are left, and what a model says of them."""
        if isinstance(obj, Volume):
            kept = self._metadata(obj.metadata)
            return replace(obj, metadata=replace(kept, label_names=_plain_names(obj.metadata.label_names)), warnings=())
        manifest = shareable(obj.provenance)
        if isinstance(obj, LabelMap):
            metadata = self._metadata(obj.metadata)
            labels = self.labels(obj)
            return replace(obj, name="labels", labels=labels, provenance=manifest, warnings=(), metadata=metadata)
        return replace(obj, name="result", provenance=manifest, warnings=())

    def labels(self, obj: LabelMap) -> dict[int, Label]:
        """Return the labels: the names a model gives stay, of others those that name a part of the body."""
        if "model" in obj.provenance:
            return dict(obj.labels)
        names = _plain_names({value: label.name for value, label in obj.labels.items()})
        return {value: replace(label, name=names[value]) for value, label in obj.labels.items()}

    def _metadata(self, metadata: VolumeMetadata) -> VolumeMetadata:
        return VolumeMetadata(
            name="scan",
            modality=metadata.modality,
            units=metadata.units,
            window_center=metadata.window_center,
            window_width=metadata.window_width,
            is_inverted=metadata.is_inverted,
            is_label=metadata.is_label,
            padding_value=metadata.padding_value,
            source_format=metadata.source_format,
            is_calibrated=metadata.is_calibrated,
            provenance=shareable(metadata.provenance),
        )


def shareable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest without the scan's name, path, UIDs, hash and warnings, and without the time of the run.

    It cannot be replayed: it no longer says on what the model was run.
    """
    if not manifest:
        return {}
    found = {key: manifest[key] for key in _MANIFEST_KEYS if key in manifest}
    given = manifest.get("input")
    if isinstance(given, Mapping):
        found["input"] = {key: given[key] for key in _INPUT_KEYS if key in given}
    return {**found, "deidentified": True}


def doubts(volume: Volume) -> list[str]:
    """Return what de-identification cannot take out of a picture, and somebody has to look at."""
    if volume.modality in _ANNOTATED or volume.is_color:
        return ["Text may be burned into such pictures, and it stays: look at them before you give them away."]
    if volume.geometry.shape[0] > 1:
        return ["Where the scan shows a head, the face can be made out from the voxels; it was not removed."]
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
            f"{target}: the scan says that text is burned into its pictures (BurnedInAnnotation YES), which may be the "
            "patient's name and cannot be removed here; mask it first, or write without removing the patient's data."
        )


def _plain_names(names: Mapping[int, str]) -> dict[int, str]:
    """Return names of labels: a person may have written a name into those that are no part of the body."""
    return {value: name if _is_body_part(name) else f"label {value}" for value, name in names.items()}


def _is_body_part(name: str) -> bool:
    words = name.lower().replace("_", " ").replace("-", " ").split()
    return " ".join(word for word in words if word not in ("left", "right")) in LABEL_CODES

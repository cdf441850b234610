"""What all exports say about what made them: model, version, this program; nothing about the patient."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_radcnn.io.dicom.headers import text
from napari_radcnn.io.dicom_results.codes import code
from napari_radcnn.io.dicom_results.equipment import PRODUCT
from napari_radcnn.manifest import suitability_of
from napari_radcnn.version import __version__

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from pydicom import Dataset


_REMARKS = {"doubtful": ", doubtful for this scan", "refused": ", not made for this scan"}


@dataclass(frozen=True)
class Maker:
    """What made a result.

    Attributes
    ----------
    model, version : str
        Of the model; the empty string where the result was drawn or edited without one.
    sha256 : str
        Of its weights, empty where it has none.
    is_edited : bool
        Whether a person changed the result.
    remark : str
        How the model suits the scan, where it does not: ``", not made for this scan"``.
    """

    model: str = ""
    version: str = ""
    sha256: str = ""
    is_edited: bool = False
    remark: str = ""

    @property
    def title(self) -> str:
        """``"brain-extraction 1.0"`` and the remark, or this program's name."""
        return (f"{self.model} {self.version}".strip() or PRODUCT) + self.remark

    @property
    def is_automatic(self) -> bool:
        """Whether a model made it."""
        return bool(self.model)

    @property
    def algorithm_type(self) -> str:
        """DICOM's word for how it came about (DICOM PS3.3, C.8.20.2.2)."""
        if not self.is_automatic:
            return "MANUAL"
        return "SEMIAUTOMATIC" if self.is_edited else "AUTOMATIC"

    def algorithm(self) -> AlgorithmIdentificationSequence | None:
        """Return DICOM's words for the model (DICOM PS3.3, 10.16)."""
        from highdicom import AlgorithmIdentificationSequence

        if not self.is_automatic:
            return None
        return AlgorithmIdentificationSequence(
            name=self.model,
            family=code("DCM", "ArtificialIntelligence"),  # CID 7162
            version=self.version or "unknown",
            source=PRODUCT,
        )


def maker_of(provenance: Mapping[str, Any]) -> Maker:
    """Return what made a result, from its manifest."""
    model = provenance.get("model")
    if not isinstance(model, Mapping) or not model.get("name"):
        return Maker()
    weights = model.get("weights") or []
    digests = [str(entry.get("sha256") or "") for entry in weights if isinstance(entry, Mapping)]
    return Maker(
        long_string(str(model["name"])),
        long_string(str(model.get("version") or "")),
        next(iter(digests), ""),
        bool(provenance.get("edited_by_hand")),
        _REMARKS.get(suitability_of(provenance).get("state", ""), ""),
    )


def software_version() -> str:
    """Return the version of this program."""
    return __version__


def long_string(words: str, most: int = 64) -> str:
    """Return text that fits DICOM's LO: one line, no backslash, at most 64 characters (DICOM PS3.5, 6.2)."""
    return label_name(words.replace("·", "-").encode("ascii", "replace").decode(), most)


def label_name(words: str, most: int = 64) -> str:
    """Return the name of a label or finding as it fits DICOM's LO, in the letters it was typed in; see `in_unicode`."""
    plain = "".join(one if one.isprintable() and one != "\\" else " " for one in words)
    return " ".join(plain.split())[:most].strip()


def in_unicode(dataset: Dataset, names: Iterable[str]) -> None:
    """Let an object be written in UTF-8 where a name needs it; else it keeps the character set of its source."""
    if all(name.isascii() for name in names):
        return
    dataset.decode()  # what was taken from the source is still in its character set
    dataset.SpecificCharacterSet = "ISO_IR 192"


def content_label(words: str) -> str:
    """Return text that fits ContentLabel: capitals, digits, underscores, at most 16 (DICOM PS3.5, 6.2, CS)."""
    return re.sub(r"[^A-Z0-9]+", "_", words.upper())[:16].strip("_ ") or "SEGMENTATION"


def series_number(header: Dataset, offset: int) -> int:
    """Return a number for a series made from another: 5 becomes 501, 502, ...; IS holds 2^31 - 1."""
    number = text(header, "SeriesNumber")
    base = int(number) if number.isdigit() and int(number) < 10_000_000 else 0
    return base * 100 + offset


@contextmanager
def silent() -> Iterator[None]:
    """Keep warnings and logs of highdicom and pydicom off the terminal: the file is checked after it was written."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

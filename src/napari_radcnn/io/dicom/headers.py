"""The header of one DICOM file, and where its pixels lie: read without the pixels, believed only after a check."""

from __future__ import annotations

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.elements import Elements, find_elements
from napari_radcnn.io.problems import Problem

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.tag import BaseTag

DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_IMPLICIT = "1.2.840.10008.1.2"
#: How much of a file is read at first.
_START_BYTES = 16384
#: How much of it is looked at without pydicom.
_MOST_SCANNED = 4 << 20
#: Tag, value representation and length of pixels (DICOM PS3.5, 7.1.2).
_EXPLICIT_HEAD = 12
UNDEFINED_LENGTH = 0xFFFFFFFF
#: A header longer than this, when uncompressed, is no header of an image.
_MOST_HEADER = 64 << 20

#: What files are that hold no picture, by Modality.
_OBJECTS = {
    "SR": "a structured report (SR), of which `read_report` reads the measurements",
    "RTSTRUCT": "a set of contours (RTSTRUCT)",
    "RTPLAN": "a treatment plan (RTPLAN)",
    "RTRECORD": "a treatment record",
    "REG": "a registration",
    "PR": "a presentation state (PR)",
    "KO": "a key object selection (KO)",
    "DOC": "a document (such as PDF)",
    "ECG": "a waveform (ECG)",
    "SEG": "a segmentation (SEG)",
    "FID": "a set of fiducials",
}
#: Segmentations have pixels, but their frames are masks of segments, not a scan.
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
#: What the names of all classes of pictures end in.
_IMAGE = "Image Storage"
DICOMDIR = "1.2.840.10008.1.3.10"


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM file with a picture.

    Attributes
    ----------
    path : Path
        The file.
    source : pydicom.Dataset or Elements
        Everything before the pixels: read, or found only.
    transfer_syntax : str
        How they are encoded.
    keyword : str
        ``PixelData``, ``FloatPixelData`` or ``DoubleFloatPixelData``.
    offset, length : int
        Where the pixels start (in the uncompressed data, for the deflated syntax), and how long the file says
        they are.
    kind : str
        The value representation of the pixels; empty where the syntax or the header does not tell.
    """

    path: Path
    source: Dataset | Elements
    transfer_syntax: str
    keyword: str
    offset: int
    length: int
    kind: str = ""

    @cached_property
    def dataset(self) -> Dataset:
        """Everything before the pixels, as pydicom reads it."""
        return self.source.dataset if isinstance(self.source, Elements) else self.source

    @cached_property
    def tags(self) -> Values:
        """The values of `dataset`."""
        return Values(self.source)

    def raw(self, keyword: str) -> bytes | None:
        """Return the bytes of a value that was found but not parsed yet; None where there are none at hand."""
        tag = _tag(keyword)[1]
        return self.source.value(tag) if isinstance(self.source, Elements) and tag in self.source.places else None

    @property
    def uid(self) -> str:
        """SOPInstanceUID, empty if missing."""
        return text(self.tags, "SOPInstanceUID")


class Values:
    """The values of a dataset, each looked up once, and the common kinds without pydicom's costly conversion.

    Opening a folder looks at some twenty values of every file, which takes pydicom longer than reading them.
    """

    def __init__(self, source: Dataset | Elements) -> None:
        self._source = source
        self._known: dict[str, Any] = {}

    def get(self, keyword: str) -> Any:
        """Return the value, or None; codes and decimal numbers as text. Raises one of `damage` where it is damaged."""
        try:
            return self._known[keyword]
        except KeyError:
            value = self._known[keyword] = self._look_up(keyword)
            return value

    def __contains__(self, keyword: str) -> bool:
        if isinstance(self._source, Elements):
            return _tag(keyword)[1] in self._source.places
        return keyword in self._source

    def _look_up(self, keyword: str) -> Any:
        tag, plain_tag, kind = _tag(keyword)
        if isinstance(self._source, Elements):
            place = self._source.places.get(plain_tag)
            if place is None:
                return None
            found = place[0].decode() if place[0] else None
            value: Any = self._source.data[place[1] : place[2]]
            is_little_endian = True
        else:
            raw = self._source.get_item(tag)
            if raw is None:
                return None
            found, value = raw.VR, raw.value
            is_little_endian = getattr(raw, "is_little_endian", True)
        if type(value) is bytes and found in (kind, None):
            if kind in _ASCII and value.isascii():
                words = [word.strip(" \0") for word in value.decode("ascii").split("\\")]
                return words if len(words) > 1 else words[0] or None
            if kind in _TEXT and value.isascii() and not _SHIFTS.search(value):
                return value.decode("ascii").strip(" \0") or None
            if kind == "US" and len(value) == 2:
                return int.from_bytes(value, "little" if is_little_endian else "big")
        dataset = self._source.dataset if isinstance(self._source, Elements) else self._source
        try:
            return dataset[tag].value
        except OSError as error:  # pydicom's word for a sequence that ends early; nothing is read from the disk here
            raise ValueError(str(error)) from error


#: Value representations that are ASCII text whatever the character set (DICOM PS3.5, 6.1.2.2 and 6.2).
_ASCII = ("CS", "DA", "DS", "DT", "IS", "TM", "UI")
#: Those that are text in a character set, of which all agree in ASCII, unless there are several values or sets.
_TEXT = ("LO", "SH")
_SHIFTS = re.compile(rb"[\x1b\\]")


@cache
def _tag(keyword: str) -> tuple[BaseTag, int, str]:
    """Return the tag of a keyword, the same as a plain number, which is compared faster, and the kind of its values."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.tag import Tag

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return Tag(tag), int(tag), str(dictionary_VR(tag))


def tag_of(keyword: str) -> int:
    """Return the tag of a keyword as a number."""
    return _tag(keyword)[1]


@dataclass(frozen=True)
class NoImage:
    """A DICOM file without a picture, which is no fault of its own."""

    path: Path
    what: str
    modality: str
    series_uid: str
    study_uid: str


def is_dicom_start(start: bytes) -> bool:
    """Whether the first bytes of a file are DICOM's: the prefix at 128, or a header without the preamble."""
    if start[128:132] == b"DICM":
        return True
    # group 2 or 8, a low element number, and then a VR or a small length
    return (start[:3] in (b"\x02\x00\x00", b"\x02\x00\x10") and start[3:6] == b"\x00UI") or (
        start[:2] in (b"\x02\x00", b"\x08\x00")
        and start[2:4] in (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x12\x00", b"\x16\x00")
        and ((start[4:6].isalpha() and start[4:6].isupper()) or start[6:8] == b"\x00\x00")
        and len(start) > 8
    )


@cache
def damage() -> tuple[type[Exception], ...]:
    """Return what pydicom raises on the many ways in which a file can be wrong, for ``except``."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    python = (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
    return (*python, struct.error, zlib.error, BytesLengthException, InvalidDicomError)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log off the terminal: what matters of them stands in a volume's warnings."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def read_header(path: Path) -> Instance | NoImage | Problem | None:
    """Read the header of a file.

    Returns
    -------
    Instance, NoImage, Problem or None
        None for a file that is not DICOM at all; a Problem for one that is, but cannot be used.
    """
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
        if not is_dicom_start(start):
            return None
        has_prefix = start[128:132] == b"DICM"
        try:
            if DEFLATED.encode() in start[:1024]:
                return _parse(path, _inflated(file, start), True, has_prefix)
            found = _plain_instance(path, file, start)
            if found is not None:
                return found
            with suppress(OSError, *damage()):  # most headers are this short, and are parsed faster in memory
                item = _parse(path, BytesIO(start), False, has_prefix)
                if isinstance(item, Instance):
                    return item
            file.seek(0)
            return _parse(path, file, False, has_prefix)
        except RecursionError:
            return Problem(path.name, "sequences are nested too deeply; the file is corrupt", "leave it out")
        except damage() as error:
            return Problem(path.name, f"the DICOM header is damaged ({type(error).__name__})", "copy the file again")


def _plain_instance(path: Path, file: BinaryIO, start: bytes) -> Instance | None:
    """Return the file if its header is an ordinary one with a picture behind it."""
    elements = find_elements(start)
    while isinstance(elements, int) and len(start) < elements <= _MOST_SCANNED:
        more = file.read(max(elements - len(start), len(start)))
        if not more:
            return None
        start += more
        elements = find_elements(start)
    if not isinstance(elements, Elements):
        return None
    found = Instance(path, elements, elements.transfer_syntax, elements.keyword, len(elements.data), elements.length)
    sop_class = text(found.tags, "SOPClassUID")
    is_image = sop_class not in (*_SEGMENTATIONS, DICOMDIR) and (sop_class or "Rows" in found.tags)
    return found if is_image else None


def _inflated(file: BinaryIO, start: bytes) -> BytesIO:
    """Return the header's part of a deflated file, uncompressed, with the file meta before it left out."""
    file.seek(_meta_end(start))
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    data = engine.decompress(file.read(), _MOST_HEADER)
    return BytesIO(data)


def deflated_start(file: BinaryIO) -> int:
    """Return where the deflated data of a file begins."""
    file.seek(0)
    return _meta_end(file.read(4096))


def _meta_end(start: bytes) -> int:
    """Return where the file meta group ends (DICOM PS3.10, 7.1): it tells its own length."""
    begin = 132 if start[128:132] == b"DICM" else 0
    if start[begin : begin + 6] != b"\x02\x00\x00\x00UL":
        raise ValueError("no file meta group length")
    return begin + 12 + int.from_bytes(start[begin + 8 : begin + 12], "little")


def _parse(path: Path, stream: Any, is_deflated: bool, has_prefix: bool) -> Instance | NoImage | Problem | None:
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = dcmread(stream, stop_before_pixels=True, force=True)
    if is_deflated:
        syntax = DEFLATED
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    else:
        syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", "") or "")
    values = Values(dataset)
    if not ("SOPClassUID" in dataset or "Rows" in dataset):
        if not has_prefix and len(dataset) < 3:
            return None  # some other file that happens to start like a header without its preamble
        return Problem(path.name, "the DICOM header is truncated or damaged (no SOPClassUID)", "copy the file again")
    if not syntax:
        syntax = _IMPLICIT if dataset.original_encoding[0] else "1.2.840.10008.1.2.1"
        dataset.file_meta.TransferSyntaxUID = syntax
    sop_class = text(values, "SOPClassUID")
    if sop_class == DICOMDIR:
        return None
    head = stream.read(12)
    keyword, value_at, length = _pixel_element(head, syntax)
    modality = text(values, "Modality")
    if not keyword or sop_class in _SEGMENTATIONS:
        return _no_image(path, dataset, sop_class, modality)
    kind = head[4:6].decode("ascii") if value_at == _EXPLICIT_HEAD else ""
    return Instance(path, dataset, syntax, keyword, stream.tell() - len(head) + value_at, length, kind)


def _pixel_element(head: bytes, syntax: str) -> tuple[str, int, int]:
    """Return keyword, start of the value and its length out of the first bytes of the pixel element."""
    order = ">" if syntax == _BIG_ENDIAN else "<"
    if len(head) < 8:
        return "", 0, 0
    group, element = struct.unpack(order + "HH", head[:4])
    keyword = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}.get(element, "")
    if group != 0x7FE0 or not keyword:
        return "", 0, 0
    if syntax == _IMPLICIT or not head[4:6].isalpha():
        return keyword, 8, struct.unpack(order + "I", head[4:8])[0]
    if len(head) < _EXPLICIT_HEAD:
        return keyword, _EXPLICIT_HEAD, 0
    return keyword, _EXPLICIT_HEAD, struct.unpack(order + "I", head[8:12])[0]


def _no_image(path: Path, dataset: Dataset, sop_class: str, modality: str) -> NoImage | Problem:
    from pydicom.uid import UID

    if "Rows" in dataset and sop_class not in _SEGMENTATIONS:
        name = f"{UID(sop_class).name}" if sop_class else "image"
        cause = f"no pixel data: the {name} has a header but no PixelData (7FE0,0010), or the file is truncated"
        return Problem(path.name, cause, "export the images again with their pixels")
    name = UID(sop_class).name
    stated = str(getattr(dataset.file_meta, "MediaStorageSOPClassUID", "") or "")
    is_cut = name == sop_class and stated.startswith(sop_class) and stated != sop_class
    if is_cut or (_IMAGE in name and sop_class not in _SEGMENTATIONS):
        kind = UID(stated or sop_class).name
        cause = f"the file is cut short: the header of the {kind} ends before it describes the picture (Rows)"
        return Problem(path.name, cause, "copy the file again")
    what = _OBJECTS.get(modality) or (f"a '{name}'" if name != sop_class else "a DICOM object")
    return NoImage(path, what, modality, text(dataset, "SeriesInstanceUID"), text(dataset, "StudyInstanceUID"))


# -- single values ------------------------------------------------------------------------------------------------


def text(dataset: Any, keyword: str) -> str:
    """Return a value as text, empty where it is missing or cannot be decoded."""
    try:
        value = dataset.get(keyword)
    except damage():
        return ""
    except ReadError:
        return ""
    return "" if value is None else str(value).strip().strip("\0")


def texts(dataset: Any, keyword: str) -> list[str]:
    """Return a multiple value as texts."""
    try:
        value = dataset.get(keyword)
    except damage():
        return []
    except ReadError:
        return []
    if value is None or value == "":
        return []
    return [
        str(v).strip() for v in ([value] if isinstance(value, str | bytes) or not hasattr(value, "__iter__") else value)
    ]


def floats(dataset: Any, keyword: str, path: Path) -> list[float]:
    """Return the numbers of an attribute; empty where it is missing or has no value.

    Raises
    ------
    ReadError
        If it holds something that is no number.
    """
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return []
        if isinstance(value, bytes):  # of unknown type; its bytes are no numbers
            raise TypeError
        return [float(v) for v in (value if hasattr(value, "__iter__") and not isinstance(value, str) else [value])]
    except damage() as error:
        raise ReadError(f"{path.name}: {keyword} contains a value that is not a number; correct the file.") from error


def number(dataset: Any, keyword: str, path: Path) -> float | None:
    """Return the first number of an attribute, or None.

    Raises
    ------
    ReadError
        If it holds something that is no number.
    """
    values = floats(dataset, keyword, path)
    return values[0] if values else None

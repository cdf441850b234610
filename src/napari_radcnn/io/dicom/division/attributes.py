"""What may set frames at the same place apart: the attributes of the standard and of vendors, as columns of a table."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date as calendar
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.division.components import ORDER, component
from napari_radcnn.io.dicom.division.places import places, same_place_mm
from napari_radcnn.io.dicom.division.private import Private, PrivateValues
from napari_radcnn.io.dicom.elements import Elements
from napari_radcnn.io.dicom.frames import Frame, dimension_key
from napari_radcnn.io.dicom.headers import tag_of

Codes = npt.NDArray[np.intp]
#: A kind is another sort of picture of the same thing (phase, another echo), a state one of several of the same sort.
Role = Literal["kind", "state"]

_GE_IMAGE, _GE_SCAN, _GE_CT = "GEMS_PARM_01", "GEMS_ACQU_01", "GEMS_HELIOS_01"
_PHILIPS, _PHILIPS_MR, _PHILIPS_MORE, _PHILIPS_LAST = (
    "Philips Imaging DD 001",
    "Philips MR Imaging DD 001",
    "Philips MR Imaging DD 005",
    "Philips MR Imaging DD 006",
)
_SIEMENS, _UIH, _TOSHIBA_CT = "SIEMENS MR HEADER", "Image Private Header", "TOSHIBA_MEC_CT3"


@dataclass(frozen=True)
class Attribute:
    """Something that headers say of a frame.

    Attributes
    ----------
    name : str
        What it is called in messages.
    keywords : tuple of str
        Where the standard has it: several stand for one thing.
    private : tuple of Private
        Where vendors have it.
    role : str
        Whether it is a kind of picture or a state.
    """

    name: str
    keywords: tuple[str, ...] = ()
    private: tuple[Private, ...] = ()
    role: Role = "state"


#: In the order in which they are tried.
ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("component", role="kind"),
    Attribute("image type", ("ImageType", "FrameType", "ComplexImageComponent", "DataType"), role="kind"),
    Attribute("echo", ("EchoTime", "EffectiveEchoTime", "EchoNumbers"), role="kind"),
    Attribute("tube voltage", ("KVP",), role="kind"),
    Attribute("kernel", ("ConvolutionKernel",), role="kind"),
    Attribute("coil", ("ReceiveCoilName",), (Private(0x0051, _SIEMENS, 0x0F, "LO"),), role="kind"),
    Attribute("file"),
    Attribute("acquisition", ("AcquisitionNumber", "FrameAcquisitionNumber")),
    Attribute("time point", ("TemporalPositionIdentifier", "TemporalPositionIndex")),
    Attribute(
        "labeling",
        ("ASLContext",),
        (Private(0x2005, _PHILIPS_MORE, 0x29, "CS"), Private(0x0043, _GE_IMAGE, 0xA3, "CS")),
    ),
    Attribute(
        "b-value and direction",
        ("DiffusionBValue", "DiffusionGradientOrientation", "DiffusionDirectionality"),
        (
            Private(0x0043, _GE_IMAGE, 0x39, "IS", values=1),
            Private(0x0019, _GE_SCAN, 0xBB, "DS"),
            Private(0x0019, _GE_SCAN, 0xBC, "DS"),
            Private(0x0019, _GE_SCAN, 0xBD, "DS"),
            Private(0x0019, _SIEMENS, 0x0C, "IS"),
            Private(0x0019, _SIEMENS, 0x0E, "FD"),
            Private(0x2001, _PHILIPS, 0x03, "FL"),
            Private(0x2005, _PHILIPS_MR, 0xB0, "FL"),
            Private(0x2005, _PHILIPS_MR, 0xB1, "FL"),
            Private(0x2005, _PHILIPS_MR, 0xB2, "FL"),
            Private(0x0065, _UIH, 0x09, "FD"),
            Private(0x0065, _UIH, 0x37, "FD"),
        ),
    ),
    Attribute("gradient number", (), (Private(0x2005, _PHILIPS_MORE, 0x13, "IS"),)),
    Attribute("diffusion order", (), (Private(0x2005, _PHILIPS_LAST, 0x96, "IS"),)),
    Attribute("SequenceName", ("SequenceName",)),
    Attribute(
        "volume number",
        (),
        (
            Private(0x2005, _PHILIPS_MR, 0x63, "SS"),
            Private(0x0019, _GE_SCAN, 0xA2, "SL"),
            Private(0x0065, _UIH, 0x2C, "IS"),
        ),
    ),
    Attribute("ImageComments", ("ImageComments",)),
    Attribute(
        "cardiac phase",
        ("NominalPercentageOfCardiacPhase",),
        (
            Private(0x2001, _PHILIPS, 0x08, "IS"),
            Private(0x0019, _GE_SCAN, 0xD7, "SS"),
            Private(0x0045, _GE_CT, 0x33, "CS"),
            Private(0x7005, _TOSHIBA_CT, 0x04, "SH"),
        ),
    ),
    # Siemens's CT says the phase of the heart there (https://github.com/fedorov/MultiVolumeImporter/pull/25).
    Attribute("ScanOptions", ("ScanOptions",)),
    Attribute("trigger time", ("TriggerTime", "NominalCardiacTriggerDelayTime")),
    Attribute("respiratory phase", ("NominalPercentageOfRespiratoryPhase",)),
    Attribute("inversion time", ("InversionTime", "InversionTimes")),
    Attribute("flip angle", ("FlipAngle",)),
    Attribute("repetition time", ("RepetitionTime",)),
    Attribute("stack", ("StackID",)),
    Attribute("InstanceNumber", ("InstanceNumber",)),
    Attribute("dimension index"),
    Attribute("frame time", ("FrameReferenceTime", "FrameReferenceDateTime")),
    Attribute("series time", ("SeriesTime",)),
    Attribute("acquisition time", ("AcquisitionDateTime", "FrameAcquisitionDateTime", "AcquisitionTime")),
    Attribute("content time", ("ContentTime",)),
)
#: Those that may differ from slice to slice of one volume, where their order counts: keywords of the day and the time.
CLOCKS: dict[str, tuple[tuple[str, str], ...]] = {
    "trigger time": (("", "TriggerTime"), ("", "NominalCardiacTriggerDelayTime")),
    "frame time": (("", "FrameReferenceTime"), ("", "FrameReferenceDateTime")),
    "acquisition time": (
        ("", "AcquisitionDateTime"),
        ("", "FrameAcquisitionDateTime"),
        ("AcquisitionDate", "AcquisitionTime"),
    ),
    "content time": (("ContentDate", "ContentTime"),),
}
#: Those that count the frames of a series: PET has one of its own (DICOM PS3.3, C.8.9.4.1.9).
COUNTERS = ("InstanceNumber", "ImageIndex")
#: What counts as the same place in the plane: scanners follow a moving patient by less.
_SHIFT_MM, _SHIFT_PIXELS = 1.0, 2.0
_HALF_A_DAY, _DAY = 43_200.0, 86_400.0


@dataclass(eq=False)
class Table:
    """Frames of one grid, their places, and what sets them apart.

    Attributes
    ----------
    frames : list of Frame
        The rows.
    """

    frames: list[Frame]
    _codes: dict[str, Codes] = field(default_factory=dict)
    _keys: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    _clocks: dict[str, npt.NDArray[np.float64] | None] = field(default_factory=dict)
    _counters: dict[str, npt.NDArray[np.int64] | None] = field(default_factory=dict)

    @cached_property
    def place(self) -> Codes:
        """The number of every frame's place along the normal."""
        return places([frame.depth for frame in self.frames], same_place_mm(self.frames))

    @cached_property
    def shift_mm(self) -> float:
        """How far frames at the same place are shifted against each other within their plane, at most."""
        positions = np.array([frame.position for frame in self.frames])
        order = np.argsort(self.place, kind="stable")
        starts = np.flatnonzero(np.diff(self.place[order], prepend=-1))
        low, high = np.minimum.reduceat(positions[order], starts), np.maximum.reduceat(positions[order], starts)
        return float(np.linalg.norm(high - low, axis=1).max())

    @property
    def is_shifted(self) -> bool:
        """Whether those are other places, too: order in time or number does not show then what belongs together."""
        return self.shift_mm > max(_SHIFT_MM, *(_SHIFT_PIXELS * mm for mm in self.frames[0].pixel_spacing or (0.0,)))

    def codes(self, name: str) -> Codes:
        """Return for every frame the rank of what it says of an attribute; what says nothing comes first."""
        if name not in self._codes and not self._is_anywhere(_BY_NAME[name]):
            self._codes[name], self._keys[name] = np.zeros(len(self.frames), np.intp), [()]
        if name not in self._codes:
            asked = self._somewhere(_BY_NAME[name])
            keys = [self._key(frame, name, asked) for frame in range(len(self.frames))]
            order = sorted(set(keys), key=lambda key: [_sortable(part) for part in key])
            ranks = {key: rank for rank, key in enumerate(order)}
            self._codes[name] = np.array([ranks[key] for key in keys], np.intp)
            self._keys[name] = order
        return self._codes[name]

    @cached_property
    def _present(self) -> set[int] | None:
        """The tags of all files; None where some stand in functional groups, or were not found without pydicom."""
        sources = {id(frame.instance): frame.instance.source for frame in self.frames}.values()
        found: set[int] = set()
        for source in sources:
            if not isinstance(source, Elements):
                return None
            found.update(source.places)
        return found

    @cached_property
    def _groups(self) -> set[int]:
        return {tag >> 16 for tag in self._present or ()}

    def _is_anywhere(self, attribute: Attribute) -> bool:
        """Whether any frame may say something of an attribute: most say nothing of most."""
        if self._present is None or not (attribute.keywords or attribute.private):
            return True
        if any(tag_of(keyword) in self._present for keyword in attribute.keywords):
            return True
        return any(where.group in self._groups for where in attribute.private)

    def _somewhere(self, attribute: Attribute) -> Attribute:
        """Return an attribute without the places where no frame says anything."""
        present = self._present
        if present is None:
            return attribute
        keywords = tuple(keyword for keyword in attribute.keywords if tag_of(keyword) in present)
        return replace(
            attribute,
            keywords=keywords,
            private=tuple(where for where in attribute.private if where.group in self._groups),
        )

    def keys(self, name: str) -> list[tuple[Any, ...]]:
        """Return what is said of an attribute, by rank."""
        self.codes(name)
        return self._keys[name]

    def clock(self, name: str) -> npt.NDArray[np.float64] | None:
        """Return the times of the frames (seconds or milliseconds); None where one has none, or they are shifted."""
        if name not in self._clocks:
            self._clocks[name] = None if self.is_shifted else self._clock(name)
        return self._clocks[name]

    def _clock(self, name: str) -> npt.NDArray[np.float64] | None:
        times = [_time(frame, CLOCKS[name]) for frame in self.frames]
        values = np.array([math.nan if time is None else time for time in times])
        if not np.isfinite(values).all():
            return None
        if name in ("acquisition time", "content time") and np.ptp(values) > _HALF_A_DAY and values.max() < _DAY:
            values = np.where(values < _HALF_A_DAY, values + _DAY, values)  # without dates, through midnight
        return values

    def counter(self, name: str) -> npt.NDArray[np.int64] | None:
        """Return the numbers of the frames; None where one has none, or they are shifted."""
        if name not in self._counters:
            self._counters[name] = None if self.is_shifted else self._counter(name)
        return self._counters[name]

    def _counter(self, name: str) -> npt.NDArray[np.int64] | None:
        numbers = self._numbers(name)
        known = [number for number in numbers if number is not None]
        return np.array(known, np.int64) if len(known) == len(numbers) else None

    def numbers(self, name: str) -> list[int | None] | None:
        """Return the numbers of the frames, None for one that has none; None altogether where they are shifted."""
        return None if self.is_shifted else self._numbers(name)

    def _numbers(self, name: str) -> list[int | None]:
        if len({id(frame.instance) for frame in self.frames}) == 1 < len(self.frames):
            return [frame.index for frame in self.frames]
        found = [_plain_number(frame, name) for frame in self.frames]
        return [int(n) if n is not None and abs(n) < 2**53 and n == int(n) else None for n in found]

    @cached_property
    def _private(self) -> list[PrivateValues | None]:
        """Private elements of every frame; what stands in a file of many frames says nothing of one of them."""
        found: dict[int, PrivateValues] = {}
        return [
            found.setdefault(id(frame.instance), PrivateValues(frame.instance))
            if self._count[id(frame.instance)] == 1 or frame.tile is not None
            else None
            for frame in self.frames
        ]

    @cached_property
    def _count(self) -> Counter[int]:
        """How many frames are of each file."""
        return Counter(id(frame.instance) for frame in self.frames)

    def _key(self, row: int, name: str, attribute: Attribute) -> tuple[Any, ...]:
        """Return what the frame says about an attribute, as something that can be compared and hashed."""
        frame, private = self.frames[row], self._private[row]
        if name == "dimension index":
            return dimension_key(frame) or ()
        if name == "file":  # a mosaic or an enhanced file is a volume, if it has every slice
            is_one = self._count[id(frame.instance)] == 1
            return () if is_one else (_plain_number(frame, "InstanceNumber") or 0.0, frame.instance.uid)
        if name == "component":
            return component(frame, private)
        values: list[Any] = []
        for keyword in attribute.keywords:
            try:
                value = frame.tags.get(keyword)
            except ReadError:
                continue
            if value is None or value == "":
                continue
            parts = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
            values += [_plain(part) for part in parts]
        if private is not None:
            for where in attribute.private:
                values += [_plain(part) for part in private.get(where)]
        return tuple(values)


_BY_NAME = {one.name: one for one in ATTRIBUTES}


def _plain(part: Any) -> float | str:
    try:
        value = float(part)
    except (TypeError, ValueError):
        return str(part)
    return value if math.isfinite(value) else str(part)


def _sortable(part: Any) -> tuple[Any, ...]:
    """Return what values are ordered by: numbers in text count as numbers, so that 5 % comes before 35 %."""
    if isinstance(part, float | int):
        return 0, part
    if part in ORDER:
        return 1, ORDER.index(part)
    words = re.split(r"([0-9]+)", str(part))
    return 2, *(int(word) if n % 2 else word for n, word in enumerate(words))


def _plain_number(frame: Frame, keyword: str) -> float | None:
    try:
        value = _plain(frame.tags.get(keyword))
    except ReadError:
        return None
    return value if isinstance(value, float) else None


def _time(frame: Frame, sources: Sequence[tuple[str, str]]) -> float | None:
    """Return a moment as seconds, or a time as it stands, from the first source that has one."""
    for day, keyword in sources:
        try:
            value = frame.tags.get(keyword)
        except ReadError:
            continue
        if value is None or value == "":
            continue
        if keyword.endswith("DateTime"):
            words = str(value)
            return _moment(words[:8], words[8:].partition("+")[0].partition("-")[0])
        if not day:
            number = _plain(value)
            return number if isinstance(number, float) else None
        try:
            date = str(frame.tags.get(day) or "")
        except ReadError:
            date = ""
        return _moment(date, str(value))
    return None


@lru_cache(maxsize=4096)
def _moment(date: str, time: str) -> float | None:
    """Return the seconds of a date and a time of the day (DICOM PS3.5, 6.2), the date's from some day on."""
    digits, _, fraction = time.strip().replace(":", "").partition(".")
    if not digits.isdigit() or len(digits) not in (2, 4, 6) or (fraction and not fraction.isdigit()):
        return None
    hours, minutes, seconds = (int(digits[n : n + 2] or 0) for n in (0, 2, 4))
    found = hours * 3600.0 + minutes * 60 + seconds + (float(f"0.{fraction}") if fraction else 0.0)
    days = date.strip().replace(".", "")
    if len(days) != 8 or not days.isdigit():
        return found
    try:
        return found + calendar(int(days[:4]), int(days[4:6]), int(days[6:])).toordinal() * _DAY
    except ValueError:
        return found

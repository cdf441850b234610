"""Read rulers from a structured report (TID 1500, DICOM PS3.16): lines and regions in patient coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError, ReadError
from napari_radcnn.io.dicom.headers import NoImage, damage, floats, quiet, read_header, text
from napari_radcnn.io.dicom_results.equipment import PRODUCT
from napari_radcnn.io.dicom_results.identifier import name_of
from napari_radcnn.io.dicom_results.read.report import groups_of, identifier_in, is_concept, items_of, meaning_of
from napari_radcnn.io.dicom_results.read.whole import read_whole
from napari_radcnn.measure.rulers import Kind, Ruler

if TYPE_CHECKING:
    from pydicom import Dataset

#: Of four corners, how far from a right angle they may be for a rectangle, degrees; and two half axes of a sphere, mm.
_RIGHT_DEGREES, _ROUND_MM = 0.5, 0.02
#: The codes of "Time Point" and "Finding category", which pydicom's dictionary lacks; as highdicom writes them.
_TIME_POINT, _CATEGORY = ("C2348792", "UMLS"), ("276214006", "SCT")
_Points = npt.NDArray[np.float64]


def read_ruler_report(path: str | Path) -> list[Ruler]:
    """Return the rulers of a structured report, ours or another program's.

    Parameters
    ----------
    path : path
        An SR file. Groups whose lines or region are drawn in patient coordinates become rulers; others, such as
        segments, are left out: `napari_radcnn.read_report` reads their numbers.

    Raises
    ------
    ReadError
        If it is no structured report, is damaged, or holds no ruler.
    """
    path = Path(path)
    try:
        with quiet():
            item = read_header(path)
            if not isinstance(item, NoImage) or item.modality != "SR":
                raise ReadError(f"{path.name}: not a DICOM structured report (SR).")
            dataset = read_whole(path)
            is_ours = text(dataset, "ManufacturerModelName") == PRODUCT
            found = [ruler for group in groups_of(dataset) if (ruler := _ruler(group, path, is_ours)) is not None]
    except damage() as error:
        raise ReadError(f"{path.name}: the structured report is damaged ({type(error).__name__}).") from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if not found:
        raise ReadError(f"{path.name}: the report holds no ruler in patient coordinates.")
    return found


def is_ruler_report(path: str | Path) -> bool:
    """Return whether a file is a structured report of rulers that was written here.

    Findings of a model, which are drawn as ellipsoids, have a category, and rulers have none.
    """
    path = Path(path)
    try:
        with quiet():
            dataset = read_whole(path)
            groups = list(groups_of(dataset))
            is_ours = text(dataset, "ManufacturerModelName") == PRODUCT
            return is_ours and bool(groups) and all(_is_ruler(group, path) for group in groups)
    except damage():
        return False
    except (OSError, ReadError):
        return False


def _is_ruler(group: Dataset, path: Path) -> bool:
    items = items_of(group, "ContentSequence")
    is_found = any(_is_named(item, _CATEGORY) for item in items)
    return not is_found and any(True for _ in _drawn(items, path))


def _ruler(group: Dataset, path: Path, is_ours: bool) -> Ruler | None:
    items = items_of(group, "ContentSequence")
    drawn = list(_drawn(items, path))
    if not drawn:
        return None
    kind, points = _kind(items, [(graphic, points) for graphic, points, _ in drawn])
    if kind is None:
        return None
    identifier = identifier_in(items)
    findings = [meaning_of(item) for item in items if is_concept(item, "DCM", "Finding")]
    visits = [text(item, "TextValue") for item in items if _is_named(item, _TIME_POINT)]
    uids = [text(item, "UID") for item in items if is_concept(item, "DCM", "TrackingUniqueIdentifier")]
    values = [_code_value(item) for item in items]
    try:
        return Ruler(
            kind,
            tuple((float(x), float(y), float(z)) for x, y, z in points),
            (name_of(identifier) if is_ours else identifier) or next(iter(findings), ""),
            next(iter(visits), ""),
            "Target Lesion at Baseline" in values,
            any("lymph node" in finding.lower() for finding in findings),
            drawn[0][2],
            next(iter(uids), ""),
        )
    except OptionError as error:
        raise ReadError(f"{path.name}: a ruler of the report has coordinates that do not fit it: {error}") from error


def _is_named(item: Dataset, concept: tuple[str, str]) -> bool:
    """Whether an item has a name by its code: that of the visit (TID 1502), or of the category of a finding."""
    names = items_of(item, "ConceptNameCodeSequence")
    return [(text(name, "CodeValue"), text(name, "CodingSchemeDesignator")) for name in names] == [concept]


def _code_value(item: Dataset) -> str:
    return meaning_of(item) if text(item, "ValueType") == "CODE" else ""


def _drawn(items: Sequence[Dataset], path: Path) -> Iterator[tuple[str, _Points, str]]:
    """Give type, points and patient space of what is drawn: regions, and lines that numbers are inferred from."""
    left = list(items)
    while left:
        item = left.pop(0)
        if text(item, "ValueType") == "SCOORD3D":
            values = np.array(floats(item, "GraphicData", path))
            if values.size % 3 or not values.size or not np.isfinite(values).all():
                raise ReadError(f"{path.name}: a ruler of the report lacks finite coordinates; the file is damaged.")
            yield text(item, "GraphicType"), values.reshape(-1, 3), text(item, "ReferencedFrameOfReferenceUID")
        elif text(item, "ValueType") == "NUM":
            left += items_of(item, "ContentSequence")


def _kind(items: Sequence[Dataset], drawn: Sequence[tuple[str, _Points]]) -> tuple[Kind | None, _Points]:
    """Return what kind of ruler is drawn, and its points; None for what is none."""
    names = [item for item in items if text(item, "ValueType") == "NUM"]
    graphic, points = drawn[0]
    lines = [one for kind, one in drawn if kind == "POLYLINE"]
    is_cobb = any(is_concept(item, "SCT", "CobbAngle") for item in names)
    if len(lines) == 2 and all(len(line) == 2 for line in lines):
        return ("cobb" if is_cobb else "bidirectional"), np.concatenate(lines)
    if len(lines) == 1 and len(points) == 2:
        return "distance", points
    if len(lines) == 1 and len(points) == 3 and any(is_concept(item, "DCM", "Angle") for item in names):
        return "angle", points
    if graphic == "ELLIPSE" and len(points) == 4:
        return "ellipse", points
    if graphic == "ELLIPSOID" and len(points) == 6:
        return _sphere(points)
    if graphic in ("POLYGON", "POLYLINE"):
        corners = points[:-1] if len(points) > 3 and np.allclose(points[0], points[-1]) else points
        return ("rectangle" if _is_rectangle(corners) else "freehand"), corners
    return None, points


def _sphere(points: _Points) -> tuple[Kind | None, _Points]:
    half = np.linalg.norm(points[1::2] - points[::2], axis=1) / 2
    if np.ptp(half) > _ROUND_MM:
        return None, points
    return "sphere", np.stack([points.mean(0), points[1]])


def _is_rectangle(corners: _Points) -> bool:
    if len(corners) != 4:
        return False
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(sides, axis=1)
    if lengths.min() <= 0:
        return False
    cosines = [sides[n] @ sides[(n + 1) % 4] / lengths[n] / lengths[(n + 1) % 4] for n in range(4)]
    return bool(np.abs(cosines).max() < np.sin(np.radians(_RIGHT_DEGREES)))

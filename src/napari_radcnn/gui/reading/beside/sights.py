"""What is painted over views side by side, and said of them below their bar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from napari_radcnn.gui.layers.hanging import seen_hanging
from napari_radcnn.gui.layers.time_axis import point_of, seen_in_time
from napari_radcnn.gui.layers.view import letters
from napari_radcnn.gui.reading import captions, planes, words
from napari_radcnn.gui.reading.beside import pairs
from napari_radcnn.gui.reading.beside.outlines import is_drawn, picture_of, rings_of
from napari_radcnn.gui.reading.beside.side import SidePane
from napari_radcnn.gui.reading.beside.spaces import Link
from napari_radcnn.gui.reading.corners import Corners

if TYPE_CHECKING:
    from napari_radcnn.gui.reading.beside.beside import Beside

NOT_LINKED = "Not linked: go to the same place in both and press Same place, or align them on the page Fusion"
NO_OVERLAP = "No overlap: the two show different parts of the patient"
#: Stands before the title of the view in which the arrow keys move the cross-hair.
MARK = "▸ "


def side_corners(beside: Beside, pane: SidePane, names_patient: bool, in_pictures: bool) -> Corners:
    """Return what is painted over a view at the side."""
    model, scan = pane.model, pane.scan
    if scan is None or planes.reference(model) is None:
        return Corners()
    volume = captions.volume_of(scan)
    number = next((n for n, each in enumerate(beside.others, 1) if each is scan), 0)
    caption = seen_hanging(model).caption
    left = (f"{MARK if beside.keyed == number else ''}{captions.title(scan)}", *((caption,) if caption else ()))
    whose: tuple[str, ...] = ()
    if volume is not None and names_patient:
        whose = tuple(line for line in (words.patient(volume.metadata), volume.metadata.description) if line)
    left, whose = ((*left, *whose), ()) if in_pictures else (left, whose)
    shows_window = hasattr(scan, "contrast_limits") and not scan.rgb
    right = (*captions.window_words(scan if shows_window else None), planes.zoom_words(model))
    time = seen_in_time(model)
    below = (planes.slice_words(model), "" if time is None else time[1].words(point_of(model, time[0])))
    cross = None
    if planes.deep_axis(model) is not None and seen_hanging(model).is_placed:
        cross = planes.offset_of(model, pane.point)
    found = Corners(
        left,
        tuple(line for line in right if line),
        tuple(line for line in below if line),
        whose,
        letters(model),
        cross,
        warnings=tuple(side_warnings(beside, pane)),
    )
    link = beside.link_to(scan)
    return found if link is None else with_outlines(beside, found, model, beside.first, link, pane.point)


def own_corners(beside: Beside, corners: Corners, model: Any, is_own: bool, point: npt.ArrayLike) -> Corners:
    """Return what is painted over a view of the first scan, by what is painted over it when it is alone."""
    corners = replace(corners, reach=0.0)
    if is_own:
        title = f"{MARK if not beside.keyed else ''}{captions.title(beside.first)}"
        name = planes.reference(model)
        left = tuple(title if name is not None and line == name.name else line for line in corners.top_left)
        corners = replace(corners, top_left=left)
    for scan in beside.others:
        link = beside.link_to(scan)
        if link is not None:
            corners = with_outlines(beside, corners, model, scan, link.inverse, point)
    return corners


def with_outlines(beside: Beside, corners: Corners, model: Any, scan: Any, link: Link, point: npt.ArrayLike) -> Corners:
    """Return the same with the labels and findings of another scan, where these are to be seen."""
    if not beside.shows_outlines:
        return corners
    pictures, rings = list(corners.pictures), list(corners.rings)
    for layer in drawn_of(beside, scan):
        if hasattr(layer, "contour"):
            picture = picture_of(layer, model, point, link)
            pictures += [] if picture is None else [picture]
        else:
            rings += rings_of(layer, model, point, link)
    return replace(corners, pictures=tuple(pictures), rings=tuple(rings))


def drawn_of(beside: Beside, scan: Any) -> Iterable[Any]:
    """Return the labels and findings of a scan that are seen in its own view."""
    layers = beside.layers
    for layer in layers:
        if (
            layer is not scan
            and is_drawn(layer)
            and pairs.owner_of(layer, layers) is scan
            and beside.aside.is_seen(layer)
        ):
            yield layer


def side_warnings(beside: Beside, pane: SidePane) -> Iterable[str]:
    """Return what is said in color over a view at the side."""
    first, other = captions.volume_of(beside.first), captions.volume_of(pane.scan)
    if first is not None and other is not None and pairs.are_two_patients(first, other):
        yield "Another patient"
    link = beside.link_to(pane.scan)
    if link is None and other is not None and other.metadata.is_placed:
        yield "Not linked"
    elif link is not None and not pairs.overlap(beside.first, pane.scan, link):
        yield "No overlap"
    else:
        beyond = words_beyond(pane)
        if beyond:
            yield beyond


def words_beyond(pane: SidePane) -> str:
    """Return how far the cross-hair lies beyond the slices of a scan; empty where it lies among them."""
    axis = planes.deep_axis(pane.model)
    if axis is None or not seen_hanging(pane.model).is_placed:
        return ""
    deep = axis - (pane.model.dims.ndim - 3)
    low, high = pairs.extent_of(pane.scan)
    past = max(float(low[deep] - pane.place[deep]), float(pane.place[deep] - high[deep]))
    return f"{words.number(round(past, 1))} mm beyond this scan" if past > 0 else ""


def told(beside: Beside) -> tuple[list[str], list[str]]:
    """Return what is said of scans side by side, and what of it in color."""
    lines, warnings = list[str](), list[str]()
    first = captions.volume_of(beside.first)
    if beside.copies.told:
        lines.append(beside.copies.told)
    for scan in beside.others:
        other, link = captions.volume_of(scan), beside.link_to(scan)
        name = f"{scan.name}: " if len(beside.others) > 1 else ""
        if first is None or other is None:
            continue
        if pairs.are_two_patients(first, other):
            warnings.append(f"{name}Two different patients")
        if link is not None:
            is_loose = not beside.links.wanted["position"]
            lines.append(f"{name}{'Loose' if is_loose else 'Linked'}: {link.words}")
            if not pairs.overlap(beside.first, scan, link):
                warnings.append(f"{name}{NO_OVERLAP}")
        elif first.metadata.is_placed and other.metadata.is_placed:
            warnings.append(f"{name}{NOT_LINKED}")
        else:
            lines.append(f"{name}Pictures without a place in the patient are not linked by position")
        if first.modality != other.modality:
            lines.append(f"{name}{first.modality or 'unknown kind'} beside {other.modality or 'unknown kind'}")
    return lines, warnings

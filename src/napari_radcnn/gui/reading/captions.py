"""Whose scan is seen, what it is called, and with which window, in the lines in the corners of a view."""

from __future__ import annotations

from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours
from napari_radcnn.gui.layers.look import Look
from napari_radcnn.gui.reading import windowing, words
from napari_radcnn.volume import Volume


def volume_of(layer: Any | None) -> Volume | None:
    """Return the scan that a layer of ours keeps; None of any other."""
    found = layer.metadata[METADATA_KEY].get("volume") if layer is not None and is_ours(layer) else None
    return found if isinstance(found, Volume) else None


def title(scan: Any) -> str:
    """Return what the layer of a scan is called, with the date of its study where that is known."""
    volume = volume_of(scan)
    date = "" if volume is None else volume.metadata.study_date
    return " · ".join(part for part in (str(scan.name), date) if part)


def patient_words(viewer: Any) -> tuple[str, ...]:
    """Return name and ID of the patient whose scans are seen, and what the file calls the series of the uppermost.

    Scans of several patients have a line each. People write names into the description of a series, too.
    """
    seen = [layer for layer in reversed(viewer.layers) if layer.visible]
    volumes = [volume for layer in seen if (volume := volume_of(layer)) is not None]
    people = dict.fromkeys(words.patient(volume.metadata) for volume in volumes)
    descriptions = [volume.metadata.description for volume in volumes[:1]]
    return tuple(line for line in (*people, *descriptions) if line)


def window_words(layer: Any | None) -> tuple[str, ...]:
    """Return the window of an image, and why its unit is not the one that readers use; nothing without an image."""
    if layer is None:
        return ()
    look = windowing.look_for(layer) if is_ours(layer) else Look()
    return (words.window(look, windowing.present_window(layer)), *((look.note,) if look.note else ()))

"""A result made again from its manifest, and shown with whether it is the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_radcnn.gui.layers.layers import label_map_from_layer
from napari_radcnn.gui.models.pages import Shown, shown
from napari_radcnn.manifest import task_of
from napari_radcnn.progress import Progress
from napari_radcnn.schemas import MANIFEST_SUFFIX


def replay_button() -> QPushButton:
    """Return the button that asks for a manifest."""
    button = QPushButton("Replay …")
    button.setToolTip(f"Repeat a run from its manifest (its name ends in {MANIFEST_SUFFIX}) and compare the voxels")
    return button


def ask_for_manifest(parent: QWidget) -> Path | None:
    """Return the manifest that the user chooses."""
    file, _ = QFileDialog.getOpenFileName(
        parent, "Choose the manifest of a result to replay", "", f"Manifests (*{MANIFEST_SUFFIX});;All files (*)"
    )
    return Path(file) if file else None


def replay_and_show(path: Path, labels_layers: Sequence[Any], progress: Progress, cancel: Event) -> Shown:
    """Make the result again, and return what is shown of it; on a thread beside the viewer.

    Parameters
    ----------
    path : Path
        The manifest.
    labels_layers : sequence of napari layer
        Labels that are open: a script may copy from them.
    progress, cancel
        See `napari_radcnn.operations.replay`.

    Raises
    ------
    RadcnnError
        As of `napari_radcnn.operations.replay`.
    """
    from napari_radcnn.operations import replay

    spoken_against: list[str] = []
    label_maps = [label_map_from_layer(layer) for layer in labels_layers]
    replayed = replay(path, label_maps=label_maps, warn=spoken_against.extend, progress=progress, cancel=cancel)
    name = replayed.manifest.get("output", "the result")
    what = replayed.compared
    compared = {
        True: f"Identical: the {what} equal those of {name}.",
        False: f"Different: the {what} differ from those of {name}.",
        None: f"The manifest does not record the {what} of {name}.",
    }[replayed.is_same]
    notes = [compared, *(f"⚠ {line}" for line in dict.fromkeys(spoken_against))]
    found = shown(task_of(replayed.manifest), replayed.result, replayed.scans[0], None, progress, cancel)
    return replace(found, notes=(*found.notes, *notes))

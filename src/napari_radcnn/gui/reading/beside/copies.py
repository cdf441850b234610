"""Copies of labels and findings, made beside the viewer, and taken back as long as nobody worked on them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Any

from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.layers.layers import LayerData, snapshot
from napari_radcnn.gui.layers.show import tell
from napari_radcnn.gui.layers.unsaved import state_of
from napari_radcnn.gui.parts.job import Job
from napari_radcnn.gui.reading.bar import Entry
from napari_radcnn.gui.reading.beside.copying import copied, copyable, frozen
from napari_radcnn.gui.reading.beside.spaces import Link
from napari_radcnn.gui.reading.captions import title
from napari_radcnn.progress import Progress

Undo = Callable[[], str]


class Copies:
    """Makes copies, one at a time.

    Parameters
    ----------
    widget : QWidget
        Whose work it is.
    changed : callable
        Called when there is something to say.
    """

    def __init__(self, widget: QWidget, changed: Callable[[], object]) -> None:
        self._widget, self._changed = widget, changed
        self.job: Job | None = None
        #: What became of the last one.
        self.told = ""

    def start(
        self, viewer: Any, layer: Any, source: Any, target: Any, link: Link, keep: Callable[[Undo], None]
    ) -> None:
        """Copy labels or findings of one scan to another; nothing while another copy is made.

        Parameters
        ----------
        viewer : napari viewer
            Where the copy becomes a layer.
        layer : napari layer
            What is copied, as it is now.
        source, target : napari layer
            Of the scan that it belongs to, and of the other one.
        link : Link
            From positions in the first to those in the other.
        keep : callable
            Called, once the copy is there, with what takes it back and says so.
        """
        if self.job is not None:
            return
        still, whose = frozen(layer), str(source.name)
        where, there = weakref.ref(viewer), weakref.ref(target)
        upon = snapshot(target)

        def work(progress: Progress, cancel: Event) -> LayerData:
            return copied(still, whose, upon, link, progress=progress, cancel=cancel)

        self.job = Job(self._widget, "Copying labels", work)
        self.told = f"Copying '{layer.name}' …"
        self.job.succeeded.connect(lambda data: self._add(where(), there(), data, keep))
        self.job.failed.connect(self._on_failed)
        self.job.ended.connect(self._on_ended)
        self.job.start()
        self._changed()

    def cancel(self) -> None:
        """Stop what is being made."""
        if self.job is not None:
            self.job.cancel()

    def _add(self, viewer: Any, target: Any, data: LayerData, keep: Callable[[Undo], None]) -> None:
        from napari.layers import Layer

        if viewer is None or target is None or target not in viewer.layers:
            self.told = "The scan was closed meanwhile; nothing was copied."
            return
        layer = Layer.create(*data)
        viewer.add_layer(layer)
        tell(layer, viewer.layers, is_shown=True)
        before, reference, name = state_of(layer), weakref.ref(layer), layer.name

        def take_back() -> str:
            made = reference()
            if made is None or made not in viewer.layers:
                return f"'{name}' no longer exists."
            if state_of(made) != before:
                return f"'{name}' was changed since: it stays; delete it in the list of layers."
            viewer.layers.remove(made)
            return f"'{name}' was removed again."

        keep(take_back)
        self.told = f"Copied: '{name}'."

    def _on_failed(self, line: str) -> None:
        self.told = line

    def _on_ended(self) -> None:
        self.job = None
        self._changed()


def copy_entries(
    layers: Sequence[Any],
    first: Any,
    others: Sequence[Any],
    link_to: Callable[[Any], Link | None],
    copy: Callable[[Any, Any, Any, Link | None], None],
) -> list[Entry]:
    """Return the entries of a menu of what can be copied between a first scan and others.

    Parameters
    ----------
    layers : sequence of napari layer
        Those of the viewer.
    first : napari layer
        Of the first scan.
    others : sequence of napari layer
        Of the others.
    link_to : callable
        Returns the link from the first scan to another; nothing is copied without one.
    copy : callable
        Called with the layer, that of its scan, that of the other one, and the link between the two.
    """
    found: list[Entry] = []
    for other in others:
        link = link_to(other)
        for source, target, way in ((first, other, link), (other, first, None if link is None else link.inverse)):
            for layer in copyable(layers, source):
                act = partial(copy, layer, source, target, way)
                found.append((f"{layer.name} to {title(target)}", "", way is not None, act))
    return found

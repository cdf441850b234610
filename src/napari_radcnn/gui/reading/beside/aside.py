"""Which layers a viewer's own canvas shows, and which are at the side, while scans are side by side."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from napari_radcnn.gui.reading.beside.pairs import owner_of, scans_of


class Aside:
    """Layers that are hidden in the viewer's own canvas because they are at the side."""

    def __init__(self) -> None:
        self._aside: weakref.WeakSet[Any] = weakref.WeakSet()
        #: Those of them that are not to be seen at the side, either.
        self._unseen: weakref.WeakSet[Any] = weakref.WeakSet()
        #: What was seen when the first of them was put aside.
        self._before: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(self, layers: Sequence[Any]) -> None:
        """Keep what is seen now, for the end."""
        self._before = weakref.WeakSet(layer for layer in layers if layer.visible)

    def end(self, layers: Sequence[Any]) -> None:
        """Show again what was seen at the beginning."""
        for layer in layers:
            if layer in self._aside and layer in self._before:
                self._aside.discard(layer)
                layer.visible = True

    def put(self, layers: Sequence[Any], first: Any, others: Sequence[Any]) -> None:
        """Have the layers of the first scan in the viewer's own canvas, and those of the others at the side alone.

        An eye that is opened in the list of layers for one at the side shows it there, or hides it.
        """
        for layer in layers:
            owner = owner_of(layer, layers)
            if owner is None:
                continue
            if any(owner is scan for scan in others):
                if layer.visible and layer in self._aside and layer is not owner:
                    (self._unseen.discard if layer in self._unseen else self._unseen.add)(layer)
                self._put_aside(layer)
            elif owner is first and layer in self._aside:
                self._aside.discard(layer)
                layer.visible = layer not in self._unseen
            elif owner is not first and layer is owner and layer.visible:
                self._put_aside(layer)

    def show_again(self, layers: Sequence[Any]) -> None:
        """Show what was put aside, once its scan is shown alone."""
        for layer in [each for each in layers if each in self._aside]:
            owner = owner_of(layer, layers)
            if owner is not None and owner.visible:
                self._aside.discard(layer)
                layer.visible = layer not in self._unseen

    def is_shown(self, layer: Any) -> bool:
        """Whether a layer of a scan at the side is shown there."""
        return layer not in self._unseen

    def is_seen(self, layer: Any) -> bool:
        """Whether a layer is shown in the view of its scan, wherever that is."""
        return self.is_shown(layer) if layer in self._aside else bool(layer.visible)

    def _put_aside(self, layer: Any) -> None:
        self._aside.add(layer)
        if layer.visible:
            layer.visible = False


def scans_now(viewer: Any, first: Any, others: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return the first scan and the others as they are now: one that is newly shown in the canvas becomes the first.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers.
    first : napari layer
        Of the scan that was the first until now; it takes the place of the new one.
    others : sequence of napari layer
        Of the others until now.
    """
    there = [scan for scan in others if scan in viewer.layers]
    before = first if first in viewer.layers else None
    asked = next((scan for scan in reversed(scans_of(viewer.layers)) if scan.visible and scan is not before), None)
    found = asked or before or (there[0] if there else None)
    left = [before if scan is found else scan for scan in there]
    return found, [scan for scan in left if scan is not None and scan is not found]

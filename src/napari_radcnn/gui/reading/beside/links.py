"""What is linked between scans side by side: what can be, what is wanted, and the same place that was declared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from napari_radcnn.gui.layers.layers import to_patient
from napari_radcnn.gui.reading.beside import pairs
from napari_radcnn.gui.reading.beside.copies import Undo
from napari_radcnn.gui.reading.beside.spaces import Link, Offset, Space, link_of, space_of
from napari_radcnn.gui.reading.captions import volume_of
from napari_radcnn.gui.reading.layouts import GRID, ROW, TWO


class Links:
    """Links of a first scan with others."""

    def __init__(self) -> None:
        #: What is to be linked, where it can be.
        self.wanted = {"position": True, "zoom": True, "window": True}
        #: Where the same place was declared, by the spaces of two scans.
        self.declared: dict[tuple[Space, Space], Offset] = {}
        #: What takes back what was declared and copied, the last one last.
        self.steps: list[Undo] = []
        self.first: Any = None

    def to(self, scan: Any) -> Link | None:
        """Return how places in the first scan are found in another; None where that is not known."""
        return None if self.first is None else link_of(self.first, scan, self.declared)

    def followed(self, scan: Any) -> Link | None:
        """Return the same where positions are to be linked."""
        return self.to(scan) if self.wanted["position"] else None

    def declare(self, place: Any, others: Sequence[tuple[Any, Any]]) -> bool:
        """Declare places of the other scans to be the same as one of the first; False where that says nothing new.

        Parameters
        ----------
        place : (3,) array of float
            In the first scan, along S, P, L, mm.
        others : sequence of (napari layer, (3,) array of float)
            Scans, and the place in each of them.
        """
        before, declared = self.declared, dict(self.declared)
        for scan, there in others:
            if not (_is_placed(self.first) and _is_placed(scan)):
                continue
            one, two = space_of(self.first), space_of(scan)
            declared.pop((two, one), None)
            x, y, z = to_patient(there - place).tolist()
            declared[one, two] = (x, y, z)
        if declared == before:
            return False
        self.declared = declared
        self.steps.append(partial(self._take_back, before))
        return True

    def why_not(self, others: Sequence[Any]) -> dict[str, str]:
        """Return why position, zoom or window cannot be linked; what can is left out."""
        found = {}
        if not any(self.to(scan) for scan in others):
            found["position"] = "it is not known which places of the scans are the same"
        reasons = [pairs.why_no_window(self.first, scan) for scan in others]
        if all(reasons):
            found["window"] = "; ".join(dict.fromkeys(reasons))
        if not all(pairs.same_scale(self.first, scan) for scan in others):
            found["zoom"] = "the pixel size is known for only one of them"
        return found

    def _take_back(self, before: dict[tuple[Space, Space], Offset]) -> str:
        self.declared = before
        return "'Same place' was undone."


def layout_for(name: str, first: Any, others: Sequence[Any]) -> str:
    """Return the layout for a first scan and others: pictures without planes have no second one."""
    if name == GRID and all(_is_placed(scan) for scan in (first, *others)):
        return GRID
    return ROW if len(others) > 1 else TWO


def _is_placed(layer: Any) -> bool:
    volume = volume_of(layer)
    return volume is not None and volume.metadata.is_placed

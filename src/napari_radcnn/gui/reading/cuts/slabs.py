"""The menu of slabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from napari_radcnn.gui.reading.bar import Entry
from napari_radcnn.gui.reading.cuts.frames import KIND_NAMES, THICKNESSES, USUAL_THICKNESS, Cuts
from napari_radcnn.reformatting import SlabKind

_KIND_TEXTS: dict[SlabKind, str] = {
    "maximum": "MIP: the maximum",
    "minimum": "MinIP: the minimum",
    "mean": "Mean",
}


class Slabs(Protocol):
    """What shows slabs."""

    cuts: Cuts

    def show_slab(self, thickness: float, kind: SlabKind | None = None) -> None:
        """Show slabs of a thickness, mm; 0 for planes."""
        ...


def slab_entries(desk: Slabs, ask: Callable[[], float | None]) -> Sequence[Entry]:
    """Return the entries of the menu of slabs; `ask` asks for a thickness in mm."""
    cuts = desk.cuts

    def other() -> None:
        thickness = ask()
        if thickness is not None:
            desk.show_slab(thickness)

    def of_kind(kind: SlabKind) -> None:
        desk.show_slab(cuts.thickness or USUAL_THICKNESS, kind)

    return [
        ("None: planes without thickness", "", cuts.thickness == 0, partial(desk.show_slab, 0.0)),
        *(
            (_KIND_TEXTS[kind], "", cuts.thickness > 0 and cuts.kind == kind, partial(of_kind, kind))
            for kind in KIND_NAMES
        ),
        *((f"{one:g} mm", "", cuts.thickness == one, partial(desk.show_slab, one)) for one in THICKNESSES if one > 0),
        ("Another thickness…", "Alt+PgUp, Alt+PgDown", cuts.thickness not in THICKNESSES, other),
    ]

"""The rulers of a viewer: drawn, named, deleted, each step with its way back; and all that they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from napari_radcnn.gui.measure.undo import UndoList, UndoStep
from napari_radcnn.measure.rulers import Kind, Ruler

#: How the kinds are called.
TITLES: dict[Kind, str] = {
    "distance": "Distance",
    "angle": "Angle",
    "cobb": "Cobb angle",
    "bidirectional": "Bidirectional",
    "ellipse": "Ellipse",
    "rectangle": "Rectangle",
    "freehand": "Freehand",
    "sphere": "Sphere",
}


class RulerBook:
    """A list of rulers that remembers what it was, and which of it is on the disk.

    Parameters
    ----------
    changed : callable
        Called after each change.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self.rulers: tuple[Ruler, ...] = ()
        self.steps = UndoList()
        self._saved: tuple[Ruler, ...] = ()
        self._changed = changed

    @property
    def is_unsaved(self) -> bool:
        """Whether rulers would be lost: there are some, and they are not as they were written or read last."""
        return bool(self.rulers) and self.rulers != self._saved

    def note_saved(self) -> None:
        """Keep that all rulers are on the disk as they are now."""
        self._saved = self.rulers
        self._changed()

    def add(self, rulers: Iterable[Ruler], *, are_on_disk: bool = False) -> None:
        """Add rulers; those without a name get the next number of their kind.

        Parameters
        ----------
        rulers : iterable of Ruler
            In order.
        are_on_disk : bool
            Whether they were read from a file.
        """
        found, was_unsaved = list(self.rulers), self.is_unsaved
        for ruler in rulers:
            n = sum(other.kind == ruler.kind for other in found) + 1
            found.append(ruler if ruler.name else replace(ruler, name=f"{TITLES[ruler.kind]} {n}"))
        if are_on_disk and not was_unsaved:
            self._saved = tuple(found)
        self._set("Open" if are_on_disk else "Draw", tuple(found))

    def change(self, number: int, **fields: Any) -> None:
        """Change fields of a ruler, such as its name."""
        changed = replace(self.rulers[number], **fields)
        if changed != self.rulers[number]:
            self._set("Change", (*self.rulers[:number], changed, *self.rulers[number + 1 :]))

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete rulers."""
        gone = set(numbers)
        if gone:
            self._set("Delete", tuple(ruler for n, ruler in enumerate(self.rulers) if n not in gone))

    def _set(self, name: str, rulers: tuple[Ruler, ...]) -> None:
        before = self.rulers
        self.steps.add(UndoStep(name, lambda: self._show(before), lambda: self._show(rulers)))
        self._show(rulers)

    def _show(self, rulers: tuple[Ruler, ...]) -> None:
        self.rulers = rulers
        self._changed()


def tip_text(found: Mapping[str, float | int | None], unit: str) -> str:
    """Return all that a ruler measures, a line each."""
    from napari_radcnn.measure.ruler_table import figure_text
    from napari_radcnn.measure.rulers import units

    named = units(list(found), unit)
    return "\n".join(
        f"{key.rsplit('_', 1)[0] if named[key] and '_' in key else key}: "
        + ("-" if value is None else f"{figure_text(value, 4)} {named[key]}".rstrip())
        for key, value in found.items()
    )

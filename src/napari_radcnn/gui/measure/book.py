"""The rulers of a viewer: drawn, named, deleted, each step with its way back; and all that they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

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
    """A list of rulers that remembers what it was.

    Parameters
    ----------
    changed : callable
        Called after each change.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self.rulers: tuple[Ruler, ...] = ()
        self._before: list[tuple[Ruler, ...]] = []
        self._changed = changed

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to be taken back."""
        return bool(self._before)

    def add(self, rulers: Iterable[Ruler]) -> None:
        """Add rulers; those without a name get the next number of their kind."""
        found = list(self.rulers)
        for ruler in rulers:
            n = sum(other.kind == ruler.kind for other in found) + 1
            found.append(ruler if ruler.name else replace(ruler, name=f"{TITLES[ruler.kind]} {n}"))
        self._set(tuple(found))

    def change(self, number: int, **fields: Any) -> None:
        """Change fields of a ruler, such as its name."""
        changed = replace(self.rulers[number], **fields)
        if changed != self.rulers[number]:
            self._set((*self.rulers[:number], changed, *self.rulers[number + 1 :]))

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete rulers."""
        gone = set(numbers)
        if gone:
            self._set(tuple(ruler for n, ruler in enumerate(self.rulers) if n not in gone))

    def undo(self) -> None:
        """Take the last step back."""
        if self._before:
            self.rulers = self._before.pop()
            self._changed()

    def _set(self, rulers: tuple[Ruler, ...]) -> None:
        self._before.append(self.rulers)
        self.rulers = rulers
        self._changed()


def tip_text(found: Mapping[str, float | int | None], unit: str) -> str:
    """Return all that a ruler measures, a line each."""
    from napari_radcnn.measure.rulers import units

    named = units(list(found), unit)
    return "\n".join(
        f"{key.rsplit('_', 1)[0] if named[key] and '_' in key else key}: "
        + ("-" if value is None else f"{value:.4g} {named[key]}".rstrip())
        for key, value in found.items()
    )

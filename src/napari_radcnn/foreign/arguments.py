"""Arguments out of a foreign configuration: each is asked for by name and type, and none may be left over."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from napari_radcnn.errors import ModelError

_MISSING = object()


#: Where a value stands in nested mappings and lists: names, and numbers from 0.
Place = tuple[str | int, ...]


class Arguments:
    """The arguments of one `_target_`, or the keys of a mapping: each is asked for by name, and none may be left over.

    Parameters
    ----------
    shown : str
        The file, for messages.
    values : mapping
        Names to values.
    lines : mapping, optional
        On which line of the file each value stands, see `napari_radcnn.foreign.sidecar.lines`.
    place : tuple, optional
        Where in the file the mapping itself stands.
    what : str, optional
        What the mapping is, for messages: ``"intensity step 'range'"``.
    """

    def __init__(
        self,
        shown: str,
        values: Mapping[str, Any],
        lines: Mapping[Place, int] | None = None,
        place: Place = (),
        what: str = "",
    ) -> None:
        self._shown, self._lines, self._place, self._what = shown, lines or {}, place, what
        self._left = {key: value for key, value in values.items() if not key.startswith("_")}
        self._asked: list[str] = []

    def inside(self, values: Mapping[str, Any], *place: str | int, what: str) -> Arguments:
        """Return the arguments of a mapping within this one."""
        return Arguments(self._shown, values, self._lines, (*self._place, *place), what)

    def has(self, name: str) -> bool:
        """Return whether an argument is there; it is not taken."""
        return name in self._left

    def assume(self, name: str, value: Any) -> None:
        """Take this for the value of an argument that is left out."""
        self._left.setdefault(name, value)

    def take(self, name: str, default: Any = _MISSING) -> Any:
        """Return an argument as it is, or `default` where it is left out."""
        self._asked.append(name)
        if name not in self._left and default is _MISSING:
            raise self.wrong(f"'{name}' is missing")
        return self._left.pop(name, None if default is _MISSING else default)

    def text(self, name: str, default: Any = _MISSING) -> str:
        """Return a string."""
        value = self.take(name, default)
        if not isinstance(value, str):
            raise self.wrong(f"'{name}' must be a string, got {_brief(value)}", name)
        return value

    def ignore(self, *names: str) -> None:
        """Leave out arguments that change nothing here."""
        for name in names:
            self._left.pop(name, None)

    def number(self, name: str, default: Any = _MISSING) -> float:
        """Return a number."""
        return self._number(name, self.take(name, default))

    def number_or_none(self, name: str, default: Any = _MISSING) -> float | None:
        """Return a number, or None where none is given."""
        value = self.take(name, default)
        return None if value is None else self._number(name, value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = one_value(self.take(name, default))
        value = {"True": True, "False": False}.get(value, value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise self.wrong(f"'{name}' must be true or false, got {str(value)[:60]!r}", name)
        return value

    def counts(self, name: str, default: Any = _MISSING, length: int = 3) -> tuple[int, ...]:
        """Return `length` whole numbers; a single one stands for all."""
        value = self.take(name, default)
        values = value if isinstance(value, list | tuple) else [value] * length
        if len(values) != length or not all(type(n) is int and -1 <= n < 1 << 20 for n in values):
            raise self.wrong(f"'{name}' must be {length} whole numbers, got {str(value)[:60]}", name)
        return tuple(values)

    def only(self, name: str, allowed: Sequence[Any], default: Any) -> Any:
        """Take an argument of which we can do no more than `allowed`."""
        value = one_value(self.take(name, default))
        if value not in allowed:
            raise self.wrong(
                f"{name}={_brief(value)} is not supported; supported: {', '.join(repr(a) for a in allowed)}", name
            )
        return value

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """Return one or more numbers, or None where none are given."""
        value = self.take(name, None)
        if value is None:
            return None
        return tuple(self._number(name, n) for n in (value if isinstance(value, list | tuple) else [value]))

    def done(self) -> None:
        """Refuse arguments that nobody asked for."""
        if self._left:
            name = sorted(self._left)[0]
            near = difflib.get_close_matches(name, self._asked, 1) if self._lines else []
            meant = f"; did you mean '{near[0]}'?" if near else ""
            raise self.wrong(f"the argument '{name[:40]}' is not supported{meant}", name)

    def wrong(self, cause: str, *place: str | int) -> ModelError:
        """Return an error that says what is wrong with this item, and on which line of the file it stands.

        Parameters
        ----------
        cause : str
            What is wrong.
        *place : str or int
            The value within this mapping; without it, or where its line is not known, the mapping.
        """
        where = self.where(*place)
        told = f"{where}: {self._what}: {cause}" if self._what else f"{where}: {cause}"
        return ModelError(told if told.endswith(("?", ".")) else f"{told}.")

    def where(self, *place: str | int) -> str:
        """Return the file and the line of a value, for the beginning of a message."""
        line = self._lines.get((*self._place, *place)) or (self._lines.get(self._place) if self._place else None)
        return self._shown if line is None else f"{self._shown}, line {line}"

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
            raise self.wrong(f"'{name}' must be a number, got {str(value)[:60]}", name)
        return float(value)


def _brief(value: Any) -> str:
    return repr(value) if value is None or isinstance(value, bool | int | float) else repr(str(value)[:60])


def one_value(value: Any) -> Any:
    """Return the single value of a list whose values are all the same: one for each key."""
    return value[0] if isinstance(value, list | tuple) and value and all(v == value[0] for v in value) else value


def is_orientation(axes: Any) -> bool:
    """Whether it is three letters that name one direction of each of L/R, P/A and S/I."""
    return (
        isinstance(axes, str)
        and len(axes) == 3
        and {frozenset("LR"), frozenset("PA"), frozenset("SI")}
        == {pair for letter in axes for pair in map(frozenset, ("LR", "PA", "SI")) if letter in pair}
    )

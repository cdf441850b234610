"""Arguments out of a foreign configuration: each is asked for by name and type, and none may be left over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_radcnn.errors import ModelError

_MISSING = object()


class Arguments:
    """The arguments of one `_target_`: each is asked for by name, and none may be left over."""

    def __init__(self, shown: str, values: Mapping[str, Any]) -> None:
        self._shown = shown
        self._left = {key: value for key, value in values.items() if not key.startswith("_")}

    def take(self, name: str, default: Any = _MISSING) -> Any:
        """Return an argument as it is, or `default` where it is left out."""
        if name not in self._left and default is _MISSING:
            raise self.wrong(f"'{name}' is missing")
        return self._left.pop(name, None if default is _MISSING else default)

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
            raise self.wrong(f"'{name}' must be true or false, got {str(value)[:60]!r}")
        return value

    def counts(self, name: str, default: Any = _MISSING, length: int = 3) -> tuple[int, ...]:
        """Return `length` whole numbers; a single one stands for all."""
        value = self.take(name, default)
        values = value if isinstance(value, list | tuple) else [value] * length
        if len(values) != length or not all(type(n) is int and -1 <= n < 1 << 20 for n in values):
            raise self.wrong(f"'{name}' must be {length} whole numbers, got {str(value)[:60]}")
        return tuple(values)

    def only(self, name: str, allowed: Sequence[Any], default: Any) -> Any:
        """Take an argument of which we can do no more than `allowed`."""
        value = one_value(self.take(name, default))
        if value not in allowed:
            raise self.wrong(
                f"{name}={_brief(value)} is not supported; supported: {', '.join(repr(a) for a in allowed)}"
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
            raise self.wrong(f"the argument '{sorted(self._left)[0][:40]}' is not supported")

    def wrong(self, cause: str) -> ModelError:
        """Return an error that says what is wrong with this item."""
        return ModelError(f"{self._shown}: {cause}.")

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
            raise self.wrong(f"'{name}' must be a number, got {str(value)[:60]}")
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

"""Settings as frozen dataclasses that command line and dock are generated from.

A setting is described once, beside its default; `describe` reads it back for whoever builds a parser or a form.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_radcnn.errors import OptionError

_KEY = "radcnn"


@dataclass(frozen=True)
class OptionField:
    """One setting.

    Attributes
    ----------
    name : str
        Of the dataclass field; the command line writes ``_`` as ``-``.
    kind : type
        ``bool``, ``int``, ``float`` or ``str``.
    default : object
        Used where the user says nothing.
    title, help : str
        Short and long description.
    low, high : float or None
        Inclusive range.
    step : float or None
        What one click changes.
    unit : str
        ``"mm"``, ``"ml"``, ...; empty for a plain number.
    choices : tuple of str
        Allowed values of a ``str``; empty for any.
    """

    name: str
    kind: type
    default: Any
    title: str
    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """Return `value` as this setting's type.

        Raises
        ------
        OptionError
            If it has another type, is out of range, or is not among the choices.
        """
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not self.kind:
            raise OptionError(f"'{self.name}' must be of type {self.kind.__name__}, got {value!r}.")
        if self.choices and value not in self.choices:
            raise OptionError(f"'{self.name}' must be one of {', '.join(self.choices)}, got {value!r}.")
        if isinstance(value, int | float) and self.kind is not bool:
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            if not low <= value <= high:
                raise OptionError(
                    f"'{self.name}' must be between {low:g} and {high:g} {self.unit}".rstrip() + f", got {value}."
                )
        return value


def option(
    default: Any,
    *,
    title: str,
    help: str,  # noqa: A002  the field's word, as in argparse
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field that carries its own description; see `OptionField`."""
    described = OptionField("", type(default), default, title, help, low, high, step, unit, choices)
    return dataclasses.field(default=default, metadata={_KEY: described})


def describe(options: type) -> tuple[OptionField, ...]:
    """Return the settings of an options dataclass, in order."""
    return tuple(dataclasses.replace(entry.metadata[_KEY], name=entry.name) for entry in dataclasses.fields(options))


class CheckedOptions:
    """Base of options dataclasses: every value is checked when the object is made."""

    def __post_init__(self) -> None:
        for entry in describe(type(self)):
            object.__setattr__(self, entry.name, entry.check(getattr(self, entry.name)))


def make_options(options: type, values: object) -> Any:
    """Return an instance of `options` from an instance, a mapping of names to values, or None for the defaults.

    Raises
    ------
    OptionError
        If a name is unknown or a value out of range.
    """
    if isinstance(values, options):
        return values
    if values is None:
        return options()
    if not isinstance(values, Mapping):
        raise OptionError(f"Options must be a {options.__name__} or a mapping, got {type(values).__name__}.")
    known = [entry.name for entry in describe(options)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise OptionError(
            f"Unknown option '{unknown[0]}'; the options of this model are: {', '.join(known) or 'none'}."
        )
    return options(**values)

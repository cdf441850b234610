"""Clinical values beside the scans of a network: age, sex, laboratory; each a setting, checked, told where missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.spec.options import CheckedOptions, describe, option


@dataclass(frozen=True)
class ClinicalValue:
    """One value.

    Attributes
    ----------
    name : str
        Of its setting: ``"age"``.
    title : str
        What is shown.
    unit : str
        UCUM's code; empty for a choice.
    limits : (low, high) or None
        What it can be, in the unit.
    choices : tuple of (str, float)
        Words, and the number that each stands for; empty for a number.
    mean, std : float
        Of the training: the network is given (value - mean) / std.
    missing : float or None
        The number that stands for a value that is not known; None where the network cannot do without.
    """

    name: str
    title: str = ""
    unit: str = ""
    limits: tuple[float, float] | None = None
    choices: tuple[tuple[str, float], ...] = ()
    mean: float = 0.0
    std: float = 1.0
    missing: float | None = None

    def number(self, text: str) -> float:
        """Return the number that a text means.

        Raises
        ------
        OptionError
            If it is no number, or out of range.
        """
        if self.choices:
            return dict(self.choices)[text]
        try:
            value = float(text)
        except ValueError as error:
            raise OptionError(
                f"'{self.name}' must be a number, got '{text[:40]}'; empty where it is not known."
            ) from error
        unit = f" {self.unit}" if self.unit else ""
        if not math.isfinite(value):
            raise OptionError(f"'{self.name}' must be a finite number, got '{text[:40]}'; empty where it is not known.")
        if self.limits is not None and not self.limits[0] <= value <= self.limits[1]:
            raise OptionError(
                f"'{self.name}' must be between {self.limits[0]:g} and {self.limits[1]:g}{unit}, got {value:g}: check "
                "the value and its unit."
            )
        return value


@dataclass(frozen=True)
class ClinicalOptions(CheckedOptions):
    """Settings of a network that is given clinical values; empty where one is not known."""

    clinical: ClassVar[tuple[ClinicalValue, ...]] = ()

    def __post_init__(self) -> None:
        for entry in describe(type(self)):
            given = getattr(self, entry.name)
            if entry.kind is not str:
                continue
            if isinstance(given, int | float) and not isinstance(given, bool):
                object.__setattr__(self, entry.name, "" if math.isnan(given) else f"{given:.12g}")
            elif given is None:
                object.__setattr__(self, entry.name, "")
        super().__post_init__()
        for one in self.clinical:
            if text := getattr(self, one.name).strip():
                one.number(text)


@dataclass(frozen=True)
class AnswerOptions(CheckedOptions):
    """Settings of a foreign network that answers once for a scan."""

    explain: bool = option(
        False,
        title="Evidence",
        help="Also make an evidence map, which shows what the answer is based on: its change where a part of the scan "
        "is covered (occlusion); the network is run a few hundred times",
    )


def can_explain(task: str, is_apart: bool) -> bool:
    """Return whether evidence can be made: of one number on one grid."""
    return task in ("classification", "regression", "survival") and not is_apart


def options_of(values: Sequence[ClinicalValue], explains: bool = True) -> type:
    """Return a dataclass with a setting for each value, and whether evidence is asked for."""
    base = AnswerOptions if explains else CheckedOptions
    fields: list[Any] = []
    for one in values:
        about = f"in {one.unit}, {one.limits[0]:g} to {one.limits[1]:g}" if one.limits is not None else f"in {one.unit}"
        lacking = "required by the model" if one.missing is None else "empty where it is not known"
        choices = ("", *(word for word, _ in one.choices)) if one.choices else ()
        told = lacking if one.choices or not one.unit else f"{about}; {lacking}"
        title = f"{one.title or one.name}{f' [{one.unit}]' if one.unit else ''}"
        fields.append((one.name, str, option("", title=title, help=told.capitalize(), choices=choices)))
    made = make_dataclass("ClinicalOptions", fields, bases=(ClinicalOptions, base), frozen=True)
    made.clinical = tuple(values)  # type: ignore[attr-defined]
    made.__doc__ = "Clinical values that the model takes in addition to the scan."
    return made


def told_of(values: Sequence[ClinicalValue], options: object) -> list[str]:
    """Return what to tell of values that are not known."""
    told = []
    for one in values:
        if _text(options, one):
            continue
        if one.missing is None:
            told.append(f"'{one.title or one.name}' is missing, but the model needs it.")
        else:
            word = next((name for name, number in one.choices if number == one.missing), f"{one.missing:g} {one.unit}")
            told.append(f"'{one.title or one.name}' is not known: the model uses {word.strip()} instead.")
    return told


def vector_of(values: Sequence[ClinicalValue], options: object) -> npt.NDArray[np.float32]:
    """Return the numbers that the network is given.

    Raises
    ------
    OptionError
        If one that it needs is not stated.
    """
    found = []
    for one in values:
        text = _text(options, one)
        if not text and one.missing is None:
            raise OptionError(f"'{one.name}' is missing, but the model needs it: enter it, such as {_example(one)}.")
        number = one.number(text) if text else float(one.missing or 0.0)
        found.append((number - one.mean) / one.std)
    return np.array(found, np.float32)


def _text(options: object, one: ClinicalValue) -> str:
    return str(getattr(options, one.name, "")).strip()


def _example(one: ClinicalValue) -> str:
    word = one.choices[0][0] if one.choices else f"{one.limits[1] if one.limits else 1:g}"
    return f"--{one.name.replace('_', '-')} {word}"

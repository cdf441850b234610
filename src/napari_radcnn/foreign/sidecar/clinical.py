"""The part of a ``model.json`` for what a network takes besides one scan: clinical values, and several views."""

from __future__ import annotations

import keyword
from collections.abc import Mapping

from napari_radcnn.foreign.answers.clinical import ClinicalValue
from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.foreign.sidecar.maps import read_limits

_MOST = 64
#: Names of settings that `radcnn run` has of its own.
_TAKEN = frozenset(
    {
        *("device", "precision", "output", "overwrite", "plan", "select", "trust", "anyway"),
        *("evidence", "explain", "model", "help"),
    }
)


def read_values(a: Arguments) -> tuple[ClinicalValue, ...]:
    """Return the clinical values, in the network's order."""
    given = a.take("values", [])
    if not isinstance(given, list) or len(given) > _MOST or not all(isinstance(item, Mapping) for item in given):
        raise a.wrong('\'values\' must be a list such as [{"name": "age", "unit": "a", "limits": [0, 120]}]', "values")
    found: list[ClinicalValue] = []
    for number, item in enumerate(given):
        inner = a.inside(item, "values", number, what=f"clinical value {number + 1}")
        name = inner.text("name")
        if not name.isidentifier() or name != name.lower() or keyword.iskeyword(name) or name in _TAKEN:
            raise inner.wrong("'name' must be small letters, digits and _, and no setting of its own", "name")
        if name in {one.name for one in found}:
            raise inner.wrong(f"'{name}' is named twice", "name")
        limits, choices = read_limits(inner), _choices(inner)
        unit, mean, std = inner.text("unit", ""), inner.number("mean", 0.0), inner.number("std", 1.0)
        missing = inner.number_or_none("missing", None)
        title = inner.text("title", "")
        inner.done()
        if bool(choices) == bool(unit):
            raise inner.wrong("a value has either a 'unit' or 'choices'; the unit of a plain number is \"1\"", "unit")
        if choices and limits is not None:
            raise inner.wrong("choices have no 'limits'", "limits")
        if std <= 0:
            raise inner.wrong("'std' must be more than 0", "std")
        found.append(ClinicalValue(name, title, unit, limits, choices, mean, std, missing))
    return tuple(found)


def _choices(a: Arguments) -> tuple[tuple[str, float], ...]:
    given = a.take("choices", {})
    is_table = isinstance(given, Mapping) and all(type(value) in (int, float) for value in given.values())
    if not is_table or (given and (len(given) < 2 or not all(given))):
        raise a.wrong('\'choices\' must give numbers for two or more words, such as {"F": 0, "M": 1}', "choices")
    return tuple((str(word), float(number)) for word, number in given.items())


def read_views(a: Arguments, inputs: int) -> bool:
    """Return whether the scans are pictures that are brought to the patch one by one, not put on one grid."""
    is_apart = a.flag("views")
    if is_apart and inputs < 2:
        raise a.wrong("'views' are two or more 'inputs'", "views")
    return is_apart


def read_parts(a: Arguments, scans: int, channels: int, values: int) -> tuple[int, ...]:
    """Return the channels of each image that the network takes as an input of its own; empty where it has one input.

    Clinical values are then a further input, a row of numbers, after the images.
    """
    scans_as = a.only("scans_as", ["channels", "inputs"], "channels")
    values_as = a.only("values_as", ["input", "channels"], "input")
    if scans_as == "inputs" and scans < 2:
        raise a.wrong("one scan is one input: omit 'scans_as'", "scans_as")
    if scans_as == "inputs":
        if values and values_as == "channels":
            raise a.wrong("if each scan is an input, the values are an input as well: omit 'values_as'", "values_as")
        return (1,) * scans
    return (channels,) if values and values_as == "input" else ()

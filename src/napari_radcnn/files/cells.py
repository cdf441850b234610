"""Text in the cells of tables: words that a spreadsheet would compute get an apostrophe, which is taken off again."""

from __future__ import annotations

from typing import Any

#: What a spreadsheet takes for the beginning of a formula (CWE-1236).
_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


def as_cell(value: Any) -> Any:
    r"""Return what is written into a cell for a value: text that looks like a formula with an apostrophe before it.

    Names come from files of others, and a spreadsheet would run ``=HYPERLINK(...)`` in one. Numbers stay as they are.

    Examples
    --------
    >>> as_cell("=1+1"), as_cell("-3.5"), as_cell("left kidney"), as_cell(-3.5)
    ("'=1+1", '-3.5', 'left kidney', -3.5)
    """
    if not isinstance(value, str) or not _looks_computed(value):
        return value
    return f"'{value}"


def from_cell(text: str) -> str:
    """Return the text that `as_cell` was given.

    Examples
    --------
    >>> from_cell("'=1+1"), from_cell("'tis"), from_cell("-3.5")
    ('=1+1', "'tis", '-3.5')
    """
    return text[1:] if text.startswith("'") and _looks_computed(text) else text


def _looks_computed(text: str) -> bool:
    if not text.lstrip("'").startswith(_BEGINNINGS) or len(text) == 1:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False

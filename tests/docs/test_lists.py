"""The lists of the documentation are whole: every decision has its line, every word its place."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
DECISIONS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md")
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)` \|$", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_every_decision_is_listed_once_and_in_order():
    text = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) [^|]+ \| [^|]{10,120} \|$", text, re.MULTILINE)
    assert [name for _, name in listed] == [path.name for path in DECISIONS]
    assert [number for number, _ in listed] == [path.name[:4] for path in DECISIONS]
    assert len(DECISIONS) >= 25


def test_numbers_of_decisions_are_used_once():
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_words_stand_once_and_in_order():
    words = [word.casefold() for word, _, _ in ROWS]
    assert words == sorted(set(words))
    assert len(words) >= 50


@pytest.mark.parametrize(("word", "place"), [(word, place) for word, _, place in ROWS])
def test_the_place_of_a_word_is_there(word, place):
    if not place.startswith("napari_radcnn"):
        assert (DOCS.parent / place).exists()
        return
    module, _, name = place.partition(":")
    found = import_module(module)
    assert not name or hasattr(found, name)

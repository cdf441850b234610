"""Every example in a docstring of the package runs and gives what it shows."""

from __future__ import annotations

import doctest
import io
from importlib import import_module
from pathlib import Path

import pytest

import stand_ins

SOURCES = Path(__file__).parents[2] / "src"
TEXTS = {path: path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.py"))}
WITH_EXAMPLES = [path for path, text in TEXTS.items() if ">>> " in text]


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=_module_name)
def test_the_examples_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [one for one in doctest.DocTestFinder().find(import_module(_module_name(path))) if one.examples]
    assert sum(len(one.examples) for one in found) == TEXTS[path].count(">>> ")  # none lies where doctest never looks
    for one in found:
        stand_ins.lay_out(one.docstring, tmp_path)
        said = io.StringIO()
        result = doctest.DocTestRunner().run(one, out=said.write)
        assert result.failed == 0, said.getvalue()
        assert result.attempted == len(one.examples)


def test_no_example_is_left_out():
    assert len(WITH_EXAMPLES) >= 10
    assert [str(path) for path in WITH_EXAMPLES if "+SKIP" in TEXTS[path]] == []

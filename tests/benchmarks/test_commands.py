"""What the Makefile and the documents call is there."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("benchmarks", reason="the benchmarks lie in the repository only")
from benchmarks.__main__ import _PARTS

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*")]
TEXTS += [*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.md")]


def _named(pattern: str) -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in TEXTS if path.suffix in ("", ".md", ".py") and path.is_file()]
    return {name for text in texts for name in re.findall(pattern, text)}


def test_every_module_that_is_called_can_be_run():
    called = _named(r"-m (benchmarks(?:\.\w+)*)")
    assert {"benchmarks", "benchmarks.interactive", "benchmarks.engine"} <= called
    for name in called:
        found = find_spec(name)
        assert found is not None, name
        assert found.submodule_search_locations is None or find_spec(f"{name}.__main__"), name


def test_every_file_that_is_named_is_there():
    named = {name for name in _named(r"\b(benchmarks/[\w./-]+\.(?:py|md|json))\b") if "FOLDER" not in name}
    assert "benchmarks/results/interactive.md" in named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("name", _PARTS.values())
def test_every_part_of_the_figures_reports(name):
    found = find_spec(f"benchmarks.{name}")
    assert re.search(r"^def report\(\) -> str:$", Path(found.origin).read_text(encoding="utf-8"), re.MULTILINE)

"""The documentation's site: every public name and every page is on it, and nothing is fetched when it is read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import napari_radcnn as radcnn

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path.read_text(encoding="utf-8") for path in sorted((DOCS / "api").glob("*.md"))]
#: Modules of which some names are documented that are no names of the package itself.
PARTS = ("napari_radcnn.interactive.tools.", "napari_radcnn.results.")


def documented(page):
    """The names that a page documents one by one, in full."""
    module = "napari_radcnn"
    for kind, name in re.findall(
        r"^\.\. (currentmodule|auto(?:function|class|exception)):: ([\w.]+)$", page, re.MULTILINE
    ):
        if kind == "currentmodule":
            module = name
        else:
            yield name if name.startswith("napari_radcnn.") else f"{module}.{name}"


def test_every_public_name_stands_once_in_the_reference():
    names = [name for page in PAGES for name in documented(page)]
    assert len(names) == len(set(names))
    public = {name.rpartition(".")[2] for name in names if not name.startswith(PARTS)}
    assert public == set(radcnn.__all__) - {"__version__", "cohort", "measure"}  # these have pages of their own


def test_every_page_of_the_reference_is_listed():
    listed = re.search(r"```\{toctree\}\n(.*?)```", (DOCS / "api" / "index.md").read_text(encoding="utf-8"), re.DOTALL)
    assert set(listed[1].split()[2:]) == {path.stem for path in (DOCS / "api").glob("*.md")} - {"index"}


def test_the_index_of_decisions_names_each_once():
    listed = re.findall(r"^\| \[(\d{4})\]\((\1-[\w-]+\.md)\)", (DOCS / "decisions/README.md").read_text(), re.MULTILINE)
    assert [name for _, name in listed] == sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    assert len({number for number, _ in listed}) == len(listed)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build(DOCS, folder / "html", folder / "doctrees")
    return folder / "html"


@pytest.mark.slow
def test_every_page_is_built_and_reached(site):
    start = (site / "index.html").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).with_suffix(".html") for path in sorted(DOCS.rglob("*.md"))]
    assert len(pages) >= 50
    for page in pages:
        assert (site / page).is_file()
        if page.parts[0] != "api" and page.name != "index.html":
            assert f'href="{page.as_posix()}"' in start


@pytest.mark.slow
def test_the_reference_describes_every_public_name(site):
    anchors = set(re.findall(r' id="([\w.]+)"', "".join(p.read_text() for p in (site / "api").glob("*.html"))))
    for name in (name for page in PAGES for name in documented(page)):
        assert name in anchors
    assert {"napari_radcnn.Volume.read_block", "napari_radcnn.spec.model.ModelSpec"} <= anchors


@pytest.mark.slow
def test_nothing_is_fetched(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)=\"(?:https?:)?//[^\"]*", text) == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import\s)[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "conf.py").write_text('extensions = ["myst_parser"]\n')
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[gone](gone.md)\n")
    with pytest.raises(AssertionError, match=r"gone\.md"):
        build(tmp_path / "docs", tmp_path / "html", tmp_path / "doctrees")


def build(docs: Path, site: Path, doctrees: Path) -> None:
    """Run what the Makefile runs."""
    (command,) = re.findall(
        r"^\t\.venv/bin/python (-m sphinx .*) docs build/docs$", (ROOT / "Makefile").read_text(), re.M
    )
    words = [sys.executable, *command.split(), "-d", str(doctrees), str(docs), str(site)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr

"""Sphinx's settings for the documentation: ``make docs`` builds it, with warnings as errors, and reads no network.

Pages that lie outside this folder (the cards that ship with the package, the list of changes) are copied to
``docs/generated``, which git ignores.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PACKAGE = ROOT / "src" / "napari_radcnn"
GENERATED = DOCS / "generated"
sys.path.insert(0, str(ROOT / "src"))

from napari_radcnn.version import __version__  # noqa: E402

project = "napari-radcnn"
author = "The napari-radcnn developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"{project} {version}"
html_static_path: list[str] = []
html_show_copyright = False
html_copy_source = False
nitpicky = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

default_role = "py:obj"  # docstrings write `name` for what they refer to
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "exclude-members": "__init__"}
napoleon_google_docstring = False
napoleon_use_ivar = True  # the attributes of a class do not become entries beside those that autodoc makes
python_use_unqualified_type_names = True

#: Links to files of the repository: in a checkout they lead there, on the site they are names.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+(?:src|tests|benchmarks|scripts)/[^)]*)\)")


def cards() -> dict[str, Path]:
    """Return by name the cards that ship with the package and have no page in ``docs/models``."""
    shipped = {path.stem: path for path in sorted(PACKAGE.rglob("*.md"))}
    return {name: path for name, path in shipped.items() if not (DOCS / "models" / path.name).exists()}


def copy_pages(_app: Sphinx) -> None:
    """Copy what lies outside, if it is not there as it is."""
    GENERATED.mkdir(exist_ok=True)
    wanted = {f"card-{name}.md": path for name, path in cards().items()}
    wanted |= {"changes.md": ROOT / "CHANGELOG.md", "contributing.md": ROOT / "CONTRIBUTING.md"}
    for old in GENERATED.iterdir():
        if old.name not in wanted:
            old.unlink()
    for name, path in wanted.items():
        target = GENERATED / name
        if not target.exists() or target.read_bytes() != path.read_bytes():
            shutil.copyfile(path, target)


def _on_the_site(link: re.Match[str]) -> str:
    text, path = link[1], link[2]
    if (card := Path(path)).suffix == ".md" and card.stem in cards():
        return f"[{text}](../generated/card-{card.stem}.md)"
    inner = path.lstrip("./")
    return f"`{inner}`" if text == inner or text == Path(inner).name else f"{text} (`{inner}`)"


def mend_links(_app: Sphinx, name: str, source: list[str]) -> None:
    """Make links out of this folder lead to pages of the site, or to nowhere."""
    if name.startswith("generated/"):
        source[0] = source[0].replace("](docs/", "](../")  # as seen from the root of the repository
    source[0] = _OUTSIDE.sub(_on_the_site, source[0])


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", mend_links)

"""A package with entry points that is on `sys.path` for the length of a test, as pip leaves one: whole or broken."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree

FOLDER = Path(__file__).parents[1] / "data" / "toy_package"
NAME, MODULE = "toy-radcnn", "toy_radcnn"
FORMAT, MODEL, ENGINE = "NPZ", "toy-threshold", "toy-similar"
GROUPS = tuple(f"napari_radcnn.{kind}" for kind in ("formats", "models", "engines"))
#: Beginning of a module that holds a model which is all right, to be spoiled.
A_MODEL = (
    "import dataclasses\n"
    "from napari_radcnn.models.nlm_denoise.spec import SPEC as NLM\n"
    "SPEC = dataclasses.replace(NLM, name='{name}')\n"
)


def project() -> dict:
    """Return what the toy package's pyproject.toml says."""
    return tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lay_out(place: Path) -> Path:
    """Put the toy package and its metadata into a folder, and return that."""
    described = project()
    copytree(FOLDER / MODULE, place / MODULE, ignore=lambda *_: ["__pycache__"])
    _write_metadata(place, described["name"], described["version"], described["entry-points"])
    return place


def lay_out_module(place: Path, package: str, text: str, entries: Mapping[str, Mapping[str, str]]) -> Path:
    """Put a package of one module, named like the package, and its metadata into a folder, and return that.

    Parameters
    ----------
    entries : mapping of str to mapping of str to str
        Entry points, by group and name.
    """
    place.mkdir(exist_ok=True)
    (place / f"{package.replace('-', '_')}.py").write_text(text, encoding="utf-8")
    _write_metadata(place, package, "0.1", entries)
    return place


@contextmanager
def installed(*places: Path) -> Iterator[None]:
    """Let packages in folders be found; what was imported from there is forgotten at the end."""
    before = list(sys.path)
    sys.path[:0] = [str(place) for place in places]
    try:
        yield
    finally:
        sys.path[:] = before
        inside = tuple(f"{place}/" for place in places)
        files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
        theirs = [name for name, file in files.items() if file.startswith(inside)]
        for name in theirs:
            del sys.modules[name]


def _write_metadata(place: Path, name: str, version: str, entries: Mapping[str, Mapping[str, str]]) -> None:
    folder = place / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = [
        line
        for group, declared in entries.items()
        for line in (f"[{group}]", *(f"{entry} = {where}" for entry, where in declared.items()), "")
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")

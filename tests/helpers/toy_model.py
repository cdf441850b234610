"""A model folder that is dropped into the catalogue for the length of a test, whole or broken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from shutil import copytree

import napari_radcnn

NAME, FOLDER = "toy-doubling", "toy_model"
_TOY = Path(__file__).parents[1] / "data" / FOLDER
#: Folders that cannot be used: the name, what is in the file that is wrong, and what must be said of it.
BROKEN = {
    "broken_empty": ("spec.py", "", "its spec.py has neither SPEC nor SPECS"),
    "broken_import": ("spec.py", "import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
    "broken_kind": ("spec.py", "SPEC = 'toy'\n", "SPEC is a str, expected a ModelSpec"),
    "broken_name": ("spec.py", "SPEC = undefined\n", "NameError: name 'undefined' is not defined"),
    "broken_syntax": ("spec.py", "SPEC = (\n", "SyntaxError: '(' was never closed (spec.py, line 1)"),
    "without_spec": ("run.py", "", "No module named 'napari_radcnn.models.without_spec.spec'"),
}


def drop_in(place: Path) -> Path:
    """Put the folder of a model that works into a folder, and return where it lies."""
    return copytree(_TOY, place / FOLDER, ignore=lambda *_: ["__pycache__"])


def drop_in_broken(place: Path, name: str) -> Path:
    """Put one of the folders that cannot be used into a folder, and return where it lies."""
    file, text, _ = BROKEN[name]
    folder = place / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / file).write_text(text, encoding="utf-8")
    return folder


@contextmanager
def also_looked_into(package: str, place: Path) -> Iterator[None]:
    """Let a package have the folders of another place, too; what was imported from there is forgotten at the end."""
    module = import_module(package)
    before = module.__path__
    module.__path__ = [*before, str(place)]
    try:
        yield
    finally:
        module.__path__ = before
        for folder in (path.name for path in place.iterdir()):
            vars(module).pop(folder, None)
            for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.{folder}.")]:
                del sys.modules[name]


def linked_package(place: Path) -> Path:
    """Return the folder ``models`` of a package of links to this one, which lies in `place`."""
    source, copy = Path(napari_radcnn.__file__).parent, place / "napari_radcnn"
    catalogue = copy / "models"
    catalogue.mkdir(parents=True)
    for folder, target in ((source, copy), (source / "models", catalogue)):
        for path in folder.iterdir():
            if path.name not in ("models", "__pycache__"):
                (target / path.name).symlink_to(path)
    return catalogue

"""What the folders of the models hold, found by looking into them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def modules(name: str) -> list[ModuleType]:
    """Return the modules of that name, ``"measure"`` or ``"failures"``, from the folders that have one, in order."""
    paths = sorted(HERE.glob(f"*/{name}.py"))
    return [import_module(f"{__package__}.{path.parent.name}.{name}") for path in paths]


def figures_path(module: ModuleType, name: str) -> Path:
    """Return where the figures of a model lie: beside the module that measures them."""
    return Path(str(module.__file__)).with_name(f"{name}.figures.json")

"""Parts of this package that are found by looking into its folders, so that nobody keeps a list of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from napari_radcnn.errors import CatalogueWarning, RadcnnError

Taken = TypeVar("Taken")
#: What a module may raise that is imported for the first time; whatever it is, all others stay.
BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RadcnnError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
#: Characters of somebody else's error that a warning repeats.
_LONGEST = 200


def look_into(package: str, module: str, take: Callable[[ModuleType], Taken], what: str) -> Iterator[tuple[str, Taken]]:
    """Yield the folders of a package, by name, with what a module in each holds.

    A folder that cannot be imported is named in a `CatalogueWarning` and left out.

    Parameters
    ----------
    package : str
        Import name of the package whose folders are looked into; all places of its ``__path__`` count.
    module : str
        Name of the module in each folder; empty for the folder's own ``__init__``.
    take : callable
        Returns what is wanted of the module; what it raises counts as the folder's fault.
    what : str
        What is left out of a folder that is broken, for the warning: ``"models"``.

    Yields
    ------
    folder : str
        Its name.
    taken : object
        What `take` returned.
    """
    for folder in _folders(package):
        try:
            taken = take(import_module(".".join(filter(None, (package, folder, module)))))
        except BROKEN as error:
            leave_out(package, folder, what, reason_of(error))
        else:
            yield folder, taken


def leave_out(package: str, folder: str, what: str, reason: str) -> None:
    """Warn that what a folder holds is not used."""
    where = "/".join((*package.split(".")[1:], folder))
    warnings.warn(
        f"The {what} of the folder '{where}' are left out: {reason}. Repair the folder, or remove it.",
        CatalogueWarning,
        stacklevel=2,
    )


def reason_of(error: BaseException) -> str:
    """Return what a module raised as part of a line, without a full stop; with its kind, where the text needs it."""
    kind = "" if isinstance(error, RadcnnError | ImportError) else f"{type(error).__name__}: "
    return (kind + " ".join(str(error).split())[:_LONGEST]).rstrip(".: ")


def _folders(package: str) -> list[str]:
    """Return the names of the folders that hold modules, in order."""
    places = [Path(place) for place in import_module(package).__path__]
    found = {folder for place in places if place.is_dir() for folder in place.iterdir() if folder.name.isidentifier()}
    return sorted({folder.name for folder in found if not folder.name.startswith("_") and any(folder.glob("*.py"))})

"""Versions: of this package, and of what is installed beside it."""

import importlib.metadata

__version__ = "0.1.0"


def package_version(name: str) -> str:
    """Return the version of an installed package, ``"none"`` if it is not."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"

"""Versions: of this package, and of what is installed beside it."""

__version__ = "0.1.0"


def package_version(name: str) -> str:
    """Return the version of an installed package, ``"none"`` if it is not."""
    import importlib.metadata  # takes longer than all else that `import napari_radcnn` does

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"

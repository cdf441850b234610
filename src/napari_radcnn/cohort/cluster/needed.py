"""What a cluster needs besides this package."""

from __future__ import annotations

from importlib.util import find_spec

from napari_radcnn.errors import ResourceError


def needed(*names: str) -> None:
    """Check that packages of the extra ``cluster`` are installed.

    Raises
    ------
    ResourceError
        If one is not.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ResourceError(f"A cluster needs {', '.join(missing)}: pip install 'napari-radcnn[cluster]'.")

"""A radiology workbench inside napari: open clinical scans in their place in the patient, run networks on them.

Importing costs nothing: the public names, listed in ``__init__.pyi``, are resolved when they are first used.
"""

from importlib import import_module
from typing import Any

import lazy_loader

from napari_radcnn.version import __version__ as __version__

_attached, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "models":  # a package that can itself be called
        return import_module(f"{__name__}.models")
    return _attached(name)

"""Which plugin napari opens our formats with, in napari's own settings; changed only when the user says so."""

from __future__ import annotations

from typing import Any

from napari_radcnn.io.formats import PICTURE, readable_suffixes

PLUGIN = "napari-radcnn"


def patterns() -> tuple[str, ...]:
    """Return the file name patterns in question, without those of pictures; the last one is every folder."""
    return (*(f"*{suffix}" for suffix in readable_suffixes() if suffix not in PICTURE.suffixes), "*/")


def is_default() -> bool:
    """Whether napari opens at least one pattern with this plugin."""
    return PLUGIN in _settings().extension2reader.values()


def taken() -> dict[str, str]:
    """Return the patterns that the user has given to another plugin."""
    known = _settings().extension2reader
    return {pattern: known[pattern] for pattern in patterns() if known.get(pattern, PLUGIN) != PLUGIN}


def others() -> list[str]:
    """Return all patterns that the user has given to another plugin, of our formats or not."""
    return [pattern for pattern, plugin in _settings().extension2reader.items() if plugin != PLUGIN]


def make_default() -> None:
    """Let napari open our formats with this plugin; what the user gave to another plugin stays there."""
    settings = _settings()
    settings.extension2reader = {**dict.fromkeys(patterns(), PLUGIN), **settings.extension2reader}


def undo_default() -> None:
    """Take back `make_default`."""
    settings = _settings()
    settings.extension2reader = {
        pattern: plugin for pattern, plugin in settings.extension2reader.items() if plugin != PLUGIN
    }


def _settings() -> Any:
    from napari.settings import get_settings

    return get_settings().plugins

"""Saving from Python: `viewer.layers.save` and `layer.save` write scans and labels with their place, or say before.

For a name without suffix npe2 takes whichever writer was found first, and that may be napari's, which writes an array
alone. A manifest cannot say which writer comes first (npe2 has no field for it); remove this when one can.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY

_PLUGIN = "napari-radcnn"
#: Of formats that hold an array and no place.
WITHOUT_PLACE = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".npz", ".npy", ".lsm", ".stk")


def guard_saving(viewer: Any) -> None:
    """Let a viewer's layers, and each of them, be saved by our writers where no other is named."""
    layers = getattr(viewer, "__wrapped__", viewer).layers
    if isinstance(vars(layers).get("save"), _Save):
        return
    layers.save = _Save(layers)
    for layer in layers:
        _guard(layer)
    layers.events.inserted.connect(_on_inserted)


def _on_inserted(event: Any) -> None:
    _guard(event.value)


def _guard(layer: Any) -> None:
    if _keeps_place(layer) and not isinstance(vars(layer).get("save"), _Save):
        layer.save = _Save(layer)


class _Save:
    """Stands for the method `save` of a list of layers, or of one.

    Parameters
    ----------
    owner : LayerList or Layer
        Kept by a weak reference.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = weakref.ref(owner)

    def __call__(self, path: Any, *, selected: bool = False, plugin: str | None = None, **more: Any) -> Any:
        """Write as the method does, with our plugin where the name has no suffix; warn of one that keeps no place."""
        from napari.layers import Layer

        owner: Any = self._owner()
        if isinstance(owner, Layer):
            chosen = [owner]
        else:
            more["selected"] = selected
            chosen = [layer for layer in owner if not selected or layer in owner.selection]
        is_named = plugin is not None or any(value is not None for key, value in more.items() if key != "selected")
        if not is_named and any(_keeps_place(layer) for layer in chosen):
            plugin = _plugin_for(Path(path), chosen)
        return type(owner).save(owner, path, plugin=plugin, **more)


def _plugin_for(path: Path, layers: Sequence[Any]) -> str | None:
    """Return the plugin for a name; None for what is plainly meant otherwise."""
    from napari.utils.notifications import show_warning

    if not path.suffix:
        return _PLUGIN
    if path.suffix.lower() in WITHOUT_PLACE and len(layers) == 1:  # of several our writer refuses it
        show_warning(
            f"{path.name}: a {path.suffix[1:].upper()} file cannot store position in the patient, units or names; "
            "use a name without suffix, or with .nii.gz or .nrrd."
        )
    return None


def _keeps_place(layer: Any) -> bool:
    """Whether a layer is a scan, labels or findings of ours, and none of a session's marks."""
    kept = layer.metadata.get(METADATA_KEY)
    return isinstance(kept, dict) and not kept.get("is_session", False)

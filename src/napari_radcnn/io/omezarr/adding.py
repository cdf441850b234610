"""Add a label image to the store of its scan, ``STORE.ome.zarr/labels/NAME``, and touch nothing else in it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import drop, together, write_error, write_text
from napari_radcnn.io.omezarr.folder import take_name
from napari_radcnn.io.omezarr.read import read_omezarr
from napari_radcnn.io.omezarr.store import Group, open_group
from napari_radcnn.io.omezarr.write import foreign_in_store, write_beside
from napari_radcnn.results import LabelMap
from napari_radcnn.schemas import label_store
from napari_radcnn.volume import Volume

#: How far a corner of the labels' grid may lie from that of the scan's, mm.
_TOLERANCE_MM = 0.01


def write_label_image(obj: Volume | LabelMap, path: Path, overwrite: bool = False) -> None:
    """Write labels into the store of the scan that they lie on.

    The labels have their place before the list of labels names them, so that no reader meets half of them.

    Parameters
    ----------
    obj : LabelMap or Volume
        Labels on the grid of an image of the store.
    path : path
        ``STORE.ome.zarr/labels/NAME``; the store is of OME-Zarr 0.5.
    overwrite : bool
        Whether labels of that name may exist; only such as this program wrote are replaced.

    Raises
    ------
    WriteError
        If there is no such store, it holds no image of that grid, or the labels are in the way.
    """
    store = label_store(path)
    if store is None or (isinstance(obj, Volume) and not obj.metadata.is_label):
        raise WriteError(
            f"{path}: only labels can be added to a store, but this is an image; write *.ome.zarr instead."
        )
    _check_image(obj, path, store)
    _check_place(obj, path, store, overwrite)
    names = _listed(path.parent, path)
    temporary = store.with_name(f".radcnn-{secrets.token_hex(4)}-{path.name}")
    try:
        write_beside(obj, temporary, path, {"source": {"image": "../../"}})
        path.parent.mkdir(exist_ok=True)
        with together():
            take_name(temporary, path)
            if path.name not in names:
                write_text(path.parent / "zarr.json", _listing([*names, path.name], path.parent), overwrite=True)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        drop(temporary)


def _check_image(obj: Volume | LabelMap, path: Path, store: Path) -> None:
    try:
        root = _group(store)
        if root.zarr_format != 3 or "multiscales" not in root.ome:
            raise WriteError(f"{path}: labels can only be added to an OME-Zarr 0.5 image, which '{store.name}' is not.")
        images = [volume for volume in read_omezarr(store) if not volume.metadata.is_label]
    except ReadError as error:
        raise WriteError(f"{path}: labels cannot be added to this store: {error}") from error
    if not any(image.geometry.is_close(obj.geometry, _TOLERANCE_MM) for image in images):
        raise WriteError(
            f"{path}: the grid of the labels differs from that of the image in the store; write *.ome.zarr instead."
        )


def _check_place(obj: Volume | LabelMap, path: Path, store: Path, overwrite: bool) -> None:
    if not (path.exists() or path.is_symlink()):
        return
    if not overwrite:
        raise WriteError(
            f"{path}: the store already has labels of this name; choose another name, or pass overwrite=True."
        )
    source = obj.metadata.source
    is_read_from_it = obj.metadata.is_label and source is not None and source.resolve() == store.resolve()
    if is_read_from_it or path.is_symlink() or not path.is_dir() or foreign_in_store(path):
        raise WriteError(
            f"{path}: labels that another program wrote, or that this result was read from, are not replaced; choose "
            "another name."
        )


def _group(folder: Path) -> Group:
    root = folder.resolve()
    return open_group(root, folder.name, root)


def _listed(folder: Path, path: Path) -> list[str]:
    """Return the names in the group ``labels``."""
    if not folder.exists() and not folder.is_symlink():
        return []
    try:
        group = _group(folder)
    except ReadError as error:
        raise WriteError(f"{path}: labels cannot be added to the store: {error}") from error
    names = group.ome.get("labels", [])
    if group.zarr_format != 3 or not isinstance(names, list):
        raise WriteError(f"{path}: the list of labels in the store is damaged or of OME-Zarr 0.4; nothing was added.")
    return names


def _listing(names: list[str], folder: Path) -> str:
    """Return the metadata of the group ``labels``: as it was, with other names."""
    file = folder / "zarr.json"
    node: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5"}}}
    if file.is_file():
        node = json.loads(file.read_bytes())
    attributes = node.setdefault("attributes", {})
    attributes.setdefault("ome", {"version": "0.5"})["labels"] = names
    return json.dumps(node, indent=2) + "\n"

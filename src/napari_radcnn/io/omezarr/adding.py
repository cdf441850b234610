"""Add a label image to the store of its scan, ``STORE.ome.zarr/labels/NAME``, and touch nothing else in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import drop, give_name, hidden_path, make_ready, owning, sync, together
from napari_radcnn.io.omezarr.folder import take_name
from napari_radcnn.io.omezarr.read import read_omezarr
from napari_radcnn.io.omezarr.store import Group, open_group
from napari_radcnn.io.omezarr.write import foreign_in_store, write_beside
from napari_radcnn.results import LabelMap
from napari_radcnn.schemas import beside_store, label_store
from napari_radcnn.volume import Volume

#: What stands in ``image-label`` of labels in the store of their scan.
IMAGE_OF_LABELS = {"source": {"image": "../../"}}
#: How long another process may take to add its own labels, s.
_WAIT_SECONDS = 30.0
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
    check_label_target(obj, path, store, overwrite)
    place = beside_store(path)
    with owning(place):
        temporary = hidden_path(place)
        try:
            write_beside(obj, temporary, path, IMAGE_OF_LABELS)
            with together():
                give_label_name(obj, temporary, path, store, overwrite)
        finally:
            drop(temporary)


def check_label_target(obj: Volume | LabelMap, path: Path, store: Path, overwrite: bool) -> None:
    """Refuse labels that cannot be added to a store under a name.

    Parameters
    ----------
    obj : LabelMap or Volume
        The labels; only their grid, and where they were read from, are looked at.
    path, store : path
        ``STORE.ome.zarr/labels/NAME``, and the store.
    overwrite : bool
        Whether labels of that name may exist.

    Raises
    ------
    WriteError
        As of `write_label_image`.
    """
    if store.parent.is_dir():
        make_ready(store.parent)
    _check_image(obj, path, store)
    _check_place(obj, path, store, overwrite)
    if (path.parent / "zarr.json").is_file():  # another process may just be making it
        _listed(path.parent, path)


def give_label_name(obj: Volume | LabelMap, temporary: Path, path: Path, store: Path, overwrite: bool) -> None:
    """Give labels that lie whole beside a store their place in it, and name them in its list, in a `together`.

    Parameters
    ----------
    obj, path, store, overwrite
        As of `check_label_target`, which is done again: other processes add labels, too.
    temporary : path
        Where the labels lie.

    Raises
    ------
    WriteError
        As of `write_label_image`, or if the store itself is being written.
    """
    with together() as group:
        group.own(store, wait=_WAIT_SECONDS)
        check_label_target(obj, path, store, overwrite)
        names = _listed(path.parent, path)
        path.parent.mkdir(exist_ok=True)
        take_name(temporary, path)
        if path.name not in names:
            listing = hidden_path(beside_store(path))
            listing.write_text(_listing([*names, path.name], path.parent), encoding="utf-8")
            sync(listing)
            give_name(listing, path.parent / "zarr.json", overwrite=True)


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
    """Return the names in the group ``labels``; a folder without anything is what a killed process left."""
    if not folder.is_symlink() and not (folder.exists() and any(folder.iterdir())):
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

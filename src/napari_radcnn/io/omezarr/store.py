"""The folders and the JSON of a Zarr store, as untrusted input: everything must lie in the store, links resolved."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size

_MOST_JSON = 16 << 20


@dataclass(frozen=True)
class Group:
    """A folder of a store and the attributes it has.

    Attributes
    ----------
    folder : Path
        Links resolved.
    shown : str
        As errors call it.
    zarr_format : int
        2 or 3.
    attributes : mapping
        All of them.
    """

    folder: Path
    shown: str
    zarr_format: int
    attributes: Mapping[str, Any]

    @property
    def ome(self) -> Mapping[str, Any]:
        """The attributes of OME-Zarr: under ``ome`` since 0.5, plainly before."""
        inner = self.attributes.get("ome")
        return inner if isinstance(inner, Mapping) else self.attributes


def open_group(folder: Path, shown: str, root: Path) -> Group:
    """Read the attributes of a group.

    Parameters
    ----------
    folder : Path
        Of the group.
    shown : str
        What errors call it.
    root : Path
        Folder of the store, links resolved; nothing outside of it is read.

    Raises
    ------
    ReadError
        If there is no group, or its metadata cannot be read.
    """
    if (folder / "zarr.json").exists():
        node = read_json(folder / "zarr.json", shown, root)
        if node.get("zarr_format") != 3:
            raise ReadError(f"{shown}: the metadata (zarr.json) is of Zarr format {short(node.get('zarr_format'))}.")
        if node.get("node_type") != "group":
            raise ReadError(f"{shown}: a bare Zarr array, without OME-Zarr metadata (multiscales) that places it.")
        attributes = node.get("attributes", {})
        if not isinstance(attributes, dict):
            raise ReadError(f"{shown}: the metadata (zarr.json) is damaged: its attributes are not a JSON object.")
        return Group(folder, shown, 3, attributes)
    if not any((folder / name).exists() for name in (".zattrs", ".zgroup")):
        if (folder / ".zarray").exists():
            raise ReadError(f"{shown}: a bare Zarr array, without OME-Zarr metadata (multiscales) that places it.")
        raise ReadError(f"{shown}: no Zarr metadata (zarr.json, .zgroup or .zattrs) in the folder.")
    if (folder / ".zgroup").exists():
        read_json(folder / ".zgroup", shown, root)
    attributes = read_json(folder / ".zattrs", shown, root) if (folder / ".zattrs").exists() else {}
    return Group(folder, shown, 2, attributes)


def read_json(path: Path, shown: str, root: Path) -> dict[str, Any]:
    """Return the JSON object in a file of the store.

    Raises
    ------
    ReadError
        If the file is missing, lies outside of `root`, or holds no JSON object.
    """
    path = inside(path, path.name, shown, root)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ReadError(f"{shown}: its metadata ({path.name}) is not a regular file.")
        if path.stat().st_size > _MOST_JSON:
            raise ReadError(f"{shown}: its metadata ({path.name}) is larger than {binary_size(_MOST_JSON)}.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReadError(f"{shown}: its metadata ({path.name}) is missing; copy the whole folder again.") from error
    except (ValueError, RecursionError) as error:
        raise ReadError(
            f"{shown}: its metadata ({path.name}) is damaged: not valid JSON ({error}); copy the folder again."
        ) from error
    if not isinstance(found, dict):
        raise ReadError(f"{shown}: its metadata ({path.name}) is damaged: not a JSON object.")
    return found


def child(group: Group, path: object, root: Path) -> Path:
    """Return the folder that a path in the metadata of `group` names, if it lies in the store, links resolved.

    Raises
    ------
    ReadError
        If it leads elsewhere, or there is no such folder.
    """
    if not isinstance(path, str) or not path or "\0" in path:
        raise ReadError(f"{group.shown}: the metadata contains an invalid path: {short(path)}.")
    parts = path.replace("\\", "/").split("/")
    if "://" in path or "::" in path or ":" in parts[0]:
        raise ReadError(
            f"{group.shown}: the path '{path[:80]}' is an address or a drive outside the store, which is refused."
        )
    if path[0] in "/\\" or ".." in parts:
        raise ReadError(f"{group.shown}: the path '{path[:80]}' points outside the store, which is refused.")
    folder = inside(group.folder / "/".join(parts), path[:80], group.shown, root)
    if not folder.is_dir():
        raise ReadError(f"{group.shown}: the dataset '{path[:80]}' is missing: no such folder in the store.")
    return folder


def inside(path: Path, named: str, shown: str, root: Path) -> Path:
    """Return `path`, which the metadata calls `named`, with links resolved.

    Raises
    ------
    ReadError
        If it then lies outside of `root`.
    """
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise ReadError(f"{shown}: the path '{named}' cannot be followed ({error}).") from error
    if not resolved.is_relative_to(root):
        raise ReadError(f"{shown}: the path '{named}' points outside the store through a link, which is refused.")
    return resolved


def short(value: object) -> str:
    """Return the value as an error may show it, on one line and not endless."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

"""The schemas of the files that this package writes besides images, and what a newer version wrote, refused."""

from __future__ import annotations

import re
from pathlib import Path

from napari_radcnn.errors import RadcnnError

#: What made a result, beside it.
MANIFEST = "radcnn-manifest/1"
#: The header of an interactive session.
SESSION = "radcnn-session/1"
#: How two scans lie to each other.
ALIGNMENT = "radcnn-alignment/1"
#: What a model pack holds.
PACK = "radcnn-pack/1"

#: How the names of manifests end.
MANIFEST_SUFFIX = ".radcnn.json"
#: The file in each session's folder, and how it begins.
JOURNAL_NAME = "journal.radcnn"
JOURNAL_START = b"radcnn-session"
#: The list in each model pack.
PACK_LIST = "pack.json"


def check_schema(schema: object, known: str, where: object, error: type[RadcnnError]) -> None:
    """Refuse what a newer version of this package wrote; whether a file is of the kind at all is not judged here.

    Parameters
    ----------
    schema : object
        What the file says, such as ``"radcnn-pack/2"``.
    known : str
        What this version reads, such as ``"radcnn-pack/1"``.
    where : str or path
        The file.
    error : type of RadcnnError
        What is raised.

    Raises
    ------
    RadcnnError
        If both name the same kind of file, and `schema` a later version of it.
    """
    kind, _, number = known.partition("/")
    found = re.fullmatch(rf"{re.escape(kind)}/(\d{{1,9}})", schema) if isinstance(schema, str) else None
    if found is not None and int(found[1]) > int(number):
        raise error(
            f"{where}: written by a newer version of napari-radcnn ({schema}; this version reads {known}): update "
            "napari-radcnn."
        )


def label_store(path: Path) -> Path | None:
    """Return the store that a label image is to be part of, by its name alone; None for any other path.

    Examples
    --------
    >>> label_store(Path("scan.ome.zarr/labels/liver")).name
    'scan.ome.zarr'
    >>> label_store(Path("scan.ome.zarr/labels/liver.nii.gz")) is None
    True
    """
    path = Path(path)
    store = path.parent.parent
    is_inside = path.parent.name == "labels" and store.name.lower().endswith(".zarr") and "." not in path.name
    return store if is_inside and path.name else None


def beside_store(path: Path) -> Path:
    """Return the name beside its store that stands for a label image in one; any other path as it is.

    Examples
    --------
    >>> beside_store(Path("scan.ome.zarr/labels/liver")).name
    'scan.ome.zarr.liver'
    """
    store = label_store(path)
    return Path(path) if store is None else store.with_name(f"{store.name}.{Path(path).name}")

"""Write a folder completely or not at all, as `napari_radcnn.files` does for a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_radcnn.errors import WriteError
from napari_radcnn.files import drop, give_name, hidden_path, make_ready, owning, sync_tree


@contextmanager
def atomic_folder(
    target: Path, overwrite: bool, is_ours: Callable[[Path], bool], foreign: Callable[[Path], str]
) -> Iterator[Path]:
    """Give a temporary path beside `target`; move the folder that was made there into place when the block ends.

    An old folder steps aside, the new one takes its name, and only then is the old one removed; see `together`.

    Parameters
    ----------
    target : Path
        The folder to make.
    overwrite : bool
        Whether `target` may exist.
    is_ours : callable
        Whether an existing folder is of the kind that may be replaced; any other is never removed.
    foreign : callable
        Returns the name of something in such a folder that was not written here, which is not removed either; else
        an empty text.

    Raises
    ------
    WriteError
        If `target` exists and may not be replaced, its parent is missing or not writable, or the disk is full.
    """
    check_folder_target(target, overwrite, is_ours, foreign)
    with owning(target):
        temporary = hidden_path(target)
        try:
            yield temporary
            take_name(temporary, target)
        finally:
            drop(temporary)


def check_folder_target(
    target: Path, overwrite: bool, is_ours: Callable[[Path], bool], foreign: Callable[[Path], str]
) -> None:
    """Refuse a target that may not be made or replaced; parameters and errors as of `atomic_folder`."""
    if not target.parent.is_dir():
        raise WriteError(f"{target}: the folder '{target.parent}' does not exist; create it first.")
    make_ready(target.parent)
    if not target.exists() and not target.is_symlink():
        return
    if not overwrite:
        raise WriteError(
            f"{target}: the folder already exists; choose another name, or pass overwrite=True (--overwrite)."
        )
    if target.is_symlink() or not target.is_dir() or not is_ours(target):
        raise WriteError(
            f"{target}: this is a file or folder other than a Zarr store and is not replaced; choose another name."
        )
    name = foreign(target)
    if name:
        raise WriteError(
            f"{target}: the store contains '{name}', which was not written with it and would be lost; choose "
            "another name."
        )


def take_name(temporary: Path, target: Path) -> None:
    """Give a complete folder its name once its bytes are on the disk; an old folder of that name goes.

    Raises
    ------
    OSError
        If the disk is full; the old folder is then still there.
    WriteError
        If somebody took the name meanwhile.
    """
    sync_tree(temporary)
    give_name(temporary, target, overwrite=target.exists())

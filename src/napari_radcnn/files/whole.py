"""Files written completely or not at all; how names and sizes are put into words."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from napari_radcnn.errors import WriteError, WriteWarning
from napari_radcnn.files.leftovers import sweep
from napari_radcnn.files.together import drop, give_name, hidden_path, owning, recover, sync_folder

#: Bytes of a name: 255, less what a hidden file, a lock and a manifest of that name have more.
_LONGEST = 200


@contextmanager
def atomic_path(target: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `target`; move what was written there into place when the block ends.

    The file's bytes are on the disk before it gets its name, so that a crash leaves the old file or the new one
    and never a half of either. When the block raises, the temporary file is removed.

    Parameters
    ----------
    target : path
        What to write. The temporary name keeps all of its suffixes, since writers choose the format by them.
    overwrite : bool
        Whether `target` may exist.

    Yields
    ------
    Path
        Write here. A writer may put further files of this stem beside it; moving those is the caller's work.

    Raises
    ------
    WriteError
        If `target` exists and `overwrite` is false, its folder is missing or not writable, the disk is full, or another
        process writes it just now.
    """
    target = Path(target)
    check_target(target, overwrite)
    with owning(target):
        temporary = hidden_path(target)
        try:
            yield temporary
            sync(temporary)
            give_name(temporary, target, overwrite)
        finally:
            drop(temporary)


def check_name(target: Path) -> None:
    """Refuse a name that no file system takes, together with what is put before and behind it for a while.

    Raises
    ------
    WriteError
        With what to do about it.
    """
    try:
        length = len(os.fsencode(target.name))
    except ValueError as error:
        raise WriteError(
            f"{target}: the name contains characters that file names cannot have; choose another one."
        ) from error
    if length > _LONGEST:
        raise WriteError(
            f"{target.name[:30]}...: the name is too long ({length} bytes, at most {_LONGEST}); choose a shorter one."
        )
    if "\0" in str(target):
        raise WriteError(
            f"{str(target)!r}: the name contains a null character, which file names cannot have; choose another one."
        )


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a target that exists, is a folder, lies in a folder that does not exist, or has no possible name.

    Raises
    ------
    WriteError
        With what to do about it.
    """
    check_name(target)
    if not target.parent.is_dir():
        raise WriteError(f"{target}: the folder '{target.parent}' does not exist; create it first.")
    make_ready(target.parent)
    if target.is_dir():
        raise WriteError(f"{target}: this is a folder; enter the name of a file.")
    if not overwrite and (target.exists() or target.is_symlink()):
        raise WriteError(
            f"{target}: the file already exists; choose another name, or pass overwrite=True (--overwrite)."
        )


def make_ready(folder: Path) -> None:
    """Finish in a folder what killed processes had begun to name, and remove what else they left hidden there.

    Warns
    -----
    WriteWarning
        Saying what was removed.
    """
    recover(folder)
    removed = sweep(folder)
    if removed:
        size = binary_size(sum(one.n_bytes for one in removed))
        warnings.warn(
            f"{folder}: {len(removed)} hidden file{'s' * (len(removed) > 1)} ({size}) that a killed process had left "
            "half-written were removed.",
            WriteWarning,
            stacklevel=2,
        )


def replace_text(path: Path, text: str) -> None:
    """Write a file as UTF-8, whole or not at all, in a folder that nobody else writes to.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    sync_folder(path.parent)


def write_text(path: str | Path, text: str, overwrite: bool = False) -> Path:
    """Write `text` as UTF-8, atomically, and return the path.

    Raises
    ------
    WriteError
        As `atomic_path` does.
    """
    with atomic_path(path, overwrite) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return Path(path)


def sync(path: Path) -> None:
    """Wait until the bytes of the file are on the disk; a full disk may only show here."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until everything in a folder is on the disk; a full disk may only show here."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent, name))
        sync_folder(Path(parent))


def file_hash(path: Path, only: Iterable[Path] | None = None) -> str:
    """Return the SHA-256 of a file's bytes; of a folder, that of the names and hashes of the files in it.

    Parameters
    ----------
    path : path
        A file or a folder.
    only : iterable of path, optional
        The files of the folder that count; by default all.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    inside = (one for one in path.rglob("*") if one.is_file()) if only is None else only
    files = sorted((one.relative_to(path).as_posix(), one) for one in inside)
    lines = (f"{file_hash(one)}  {name}\n" for name, one in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def some_names(paths: Sequence[Path], most: int = 3) -> str:
    """Return ``"a.dcm, b.dcm, c.dcm and 7 more"``."""
    names = [path.name for path in paths[:most]]
    rest = len(paths) - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")


#: No file is as large as this, bytes.
_BEYOND = 1 << 50


def binary_size(n_bytes: int) -> str:
    """Return ``"3.2 GiB"``."""
    if n_bytes >= _BEYOND:  # what a damaged header announces may have hundreds of digits
        return "more than 1024 TiB"
    size = float(n_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{n_bytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError  # not reached: the last unit always returns

"""ZIP archives, unpacked with limits on their size, and never to a place outside the folder."""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel, report

MOST_MEMBERS = 10_000
MOST_BYTES = 5 << 30
#: Scans compress to a half or a tenth; what compresses to less than a hundredth is made to fill a disk.
MOST_RATIO = 100
#: Small archives may hold this much whatever their ratio.
_FREE_BYTES = 1 << 20
_PIECE = 1 << 20
#: What reading a damaged archive raises.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def unpack(path: Path, folder: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> None:
    """Unpack a ZIP archive into an empty folder.

    Parameters
    ----------
    path : Path
        The archive.
    folder : Path
        Where its members go; none may lead out of it.
    progress : callable, optional
        Called as ``progress(done, total, message)``.
    cancel : threading.Event, optional
        Set it to stop.

    Raises
    ------
    ReadError
        If the archive is damaged or encrypted; if a member is a link or leads out of the folder; if there are more
        than `MOST_MEMBERS`, more than `MOST_BYTES`, or more than `MOST_RATIO` times the size of the archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            members = [info for info in members if not info.filename.startswith("__MACOSX/")]
            _check_members(path, members, folder)
            left = min(MOST_BYTES, max(MOST_RATIO * path.stat().st_size, _FREE_BYTES))
            for n, info in enumerate(members):
                checked_cancel(cancel)
                if n % 20 == 0:
                    report(progress, n, len(members), f"Unpacking {path.name}")
                left = _write(path, archive, info, folder, left)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ReadError(f"{path.name}: the ZIP archive is damaged or of an unsupported kind ({reason}).") from error
    except OSError as error:
        raise ReadError(f"{path.name}: the ZIP archive cannot be unpacked: {error.strerror or error}.") from error


def _check_members(path: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    """Refuse what the archive's own directory gives away, before anything is written."""
    if len(members) > MOST_MEMBERS:
        raise ReadError(
            f"{path.name}: the archive contains {len(members)} files, expected at most {MOST_MEMBERS}; unpack it "
            "yourself."
        )
    total = sum(info.file_size for info in members)
    if total > MOST_BYTES or total > max(MOST_RATIO * path.stat().st_size, _FREE_BYTES):
        raise _too_large(path, total)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise ReadError(
            f"{path.name}: the archive needs {binary_size(total)} when unpacked, but {folder.parent.parent} has "
            f"{binary_size(free)} left; free some space or unpack it elsewhere."
        )
    for info in members:
        if info.flag_bits & 1:
            raise ReadError(f"{path.name}: the archive is encrypted; unpack it with its password and open the folder.")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ReadError(f"{path.name}: the archive contains a link or a device, which is not allowed.")
        _inside(path, info, folder)


def _inside(path: Path, info: zipfile.ZipInfo, folder: Path) -> Path:
    """Return where a member goes."""
    name = info.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or any(":" in part or "\0" in part for part in parts):
        raise ReadError(
            f"{path.name}: the archive contains a file whose name points outside the archive ('{name[:60]}'), which "
            "is not allowed."
        )
    target = folder.joinpath(*parts)
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ReadError(
            f"{path.name}: the archive contains a file that points outside the archive, which is not allowed."
        )
    return target


def _write(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Write one member, and return how many bytes the rest may have: its directory may have lied."""
    target = _inside(path, info, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("xb") as out:
        while piece := source.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise _too_large(path, MOST_BYTES - left)
            out.write(piece)
    return left


def _too_large(path: Path, total: int) -> ReadError:
    size = path.stat().st_size
    return ReadError(
        f"{path.name}: the archive of {binary_size(size)} would need {binary_size(total)} or more when unpacked, "
        f"expected at most {binary_size(MOST_BYTES)} and {MOST_RATIO} times its size; unpack it yourself."
    )

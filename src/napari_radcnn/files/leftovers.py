"""What processes that were killed left hidden in a folder: found, told, removed.

Whoever writes has the lock of the target for as long as there is something hidden of it. A lock whose process has ended
therefore says which hidden files nobody will give a name any more.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_radcnn.errors import WriteError
from napari_radcnn.files.lock import MAKING, PREFIX, is_held, lock_files, owned, owner_of
from napari_radcnn.files.owner import ELSEWHERE_SECONDS
from napari_radcnn.files.together import LIST

#: How the name of a run's part begins; the target's name follows.
PARTIAL = ".radcnn-partial-"
_NEW = re.compile(r"\.radcnn-[0-9a-f]{8}-new-(?P<target>.+)", re.DOTALL)
#: As earlier versions named what they were making; those had no locks.
_EARLIER = re.compile(r"\.radcnn-[0-9a-f]{8}(-(?!new-|old-).+|\.mhd|\.zraw)?", re.DOTALL)


@dataclass(frozen=True)
class Leftover:
    """Something hidden that a process made while it wrote.

    Attributes
    ----------
    path : path
        Where it lies.
    what : str
        In words.
    n_bytes : int
        Its size.
    seconds : float
        How long ago it was last written.
    owner : str
        Which process made it, in words; empty where that is not known.
    is_alive : bool
        Whether that process still runs, or may run on another computer: it must stay.
    can_go_on : bool
        Whether the same run would go on with it.
    """

    path: Path
    what: str
    n_bytes: int
    seconds: float
    owner: str
    is_alive: bool
    can_go_on: bool = False


def leftovers(folder: Path) -> list[Leftover]:
    """Return what lies hidden in a folder, by name; what belongs to a process that still runs as well.

    Parameters
    ----------
    folder : path
        What lies in folders below it is not looked at. One that is not there or cannot be read holds nothing.
    """
    # Names first and locks after: what a living process makes, it makes after its lock, and removes before it.
    try:
        names = sorted(path.name for path in folder.iterdir() if path.name.startswith(".radcnn-"))
    except OSError:
        return []
    return [found for name in names for found in _look_at(folder / name)]


def sweep(folder: Path) -> list[Leftover]:
    """Remove what processes that have ended were still making in a folder, and return it.

    Parts of runs that can go on stay, and what has no lock: it may be of an earlier version, which still runs.
    """
    removed = []
    for found in leftovers(folder):
        is_lock = found.path.name.startswith(PREFIX)
        if found.is_alive or found.can_go_on or not found.owner:
            continue
        remove(found)
        removed += [] if is_lock else [found]
    return removed


def clear(folder: Path) -> list[Leftover]:
    """Remove all that is hidden in a folder and belongs to no process that runs, and return it.

    Parts of runs that could go on are removed as well, and what earlier versions left, once it is half a day old.
    """
    removed = []
    for found in leftovers(folder):
        if found.is_alive:
            continue
        if found.can_go_on:  # the run may be going on by now: it has the lock then
            try:
                with owned(folder / found.path.name.removeprefix(PARTIAL)):
                    remove(found)
            except (WriteError, OSError):
                continue
        else:
            remove(found)
        removed += [] if os.path.lexists(found.path) else [found]
    return removed


def remove(found: Leftover) -> None:
    """Remove it; what cannot be removed is left there."""
    with suppress(OSError):
        if found.path.is_dir() and not found.path.is_symlink():
            shutil.rmtree(found.path, ignore_errors=True)
        else:
            found.path.unlink(missing_ok=True)


def _look_at(path: Path) -> Iterator[Leftover]:
    name = path.name
    made = _NEW.fullmatch(name)
    if name.startswith(PARTIAL):
        target = path.with_name(name.removeprefix(PARTIAL))
        yield from _of_target(path, target, f"the partial result '{target.name}' of a run", can_go_on=True)
    elif name.startswith(PREFIX):
        yield from _of_lock(path, path, "the lock of a file that was being written")
    elif made is not None:
        target = path.with_name(made["target"])
        yield from _of_target(path, target, f"'{target.name}', half-written")
    elif name.endswith(MAKING):
        yield from _of_lock(path, path, "a lock that was being created")
    elif name.endswith(LIST):
        yield from _made(path, "a list of reserved names", "", is_alive=True)
    elif _EARLIER.fullmatch(name):
        is_young = time.time() - _newest(path) < ELSEWHERE_SECONDS
        yield from _made(path, "a file that was being written", "", is_alive=is_young)


def _of_target(path: Path, target: Path, what: str, *, can_go_on: bool = False) -> Iterator[Leftover]:
    """Yield what belongs to whoever has the lock of a target."""
    locks = lock_files(target.parent, f"{PREFIX}{target.name}-")
    if locks:
        yield from _of_lock(path, locks[-1], what, can_go_on=can_go_on)
        return
    # Whoever made it has ended: it had a lock, which somebody removed since.
    is_young = time.time() - _newest(path) < ELSEWHERE_SECONDS
    yield from _made(path, what, "", is_alive=is_young and not can_go_on, can_go_on=can_go_on)


def _of_lock(path: Path, lock: Path, what: str, *, can_go_on: bool = False) -> Iterator[Leftover]:
    owner = owner_of(lock)
    is_alive = is_held(lock, [path])
    if owner is not None and not is_alive and owner_of(lock) != owner:
        return  # released while it was looked at, and perhaps taken by another process
    if owner is None and lock.exists() and not is_alive:
        yield from _made(path, what, "an unknown process", is_alive=False, can_go_on=can_go_on)
    elif owner is not None or is_alive:
        yield from _made(path, what, str(owner or ""), is_alive=is_alive, can_go_on=can_go_on)


def _made(path: Path, what: str, owner: str, *, is_alive: bool, can_go_on: bool = False) -> Iterator[Leftover]:
    with suppress(OSError):
        seconds = max(time.time() - _newest(path), 0.0)
        yield Leftover(path, what, _size(path), seconds, owner, is_alive, can_go_on)


def _files(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from (Path(parent, name) for parent, _, names in os.walk(path) for name in names)


def _newest(path: Path) -> float:
    return max((one.lstat().st_mtime for one in _files(path) if os.path.lexists(one)), default=0.0)


def _size(path: Path) -> int:
    return sum(one.lstat().st_size for one in _files(path) if not one.is_dir() and os.path.lexists(one))

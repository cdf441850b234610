"""Several files that are one result get their names together: all of them or none, also where the process is killed.

What is to be done is written down first (``.radcnn-...-names.json``), when every new file is whole and on the disk.
Then the old files step aside, the new ones take their names, and only then are the old ones removed. An error takes all
of it back; after a kill, whoever next reads or writes there goes on with what was written down (`recover`).
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_radcnn.errors import WriteError
from napari_radcnn.files.lock import Hold, hold, owned
from napari_radcnn.files.owner import Owner

#: How the name of a list of names ends.
LIST = "-names.json"


@dataclass(frozen=True)
class _Step:
    """One name that changes: what gets it (None: the name goes), and where what has it now steps aside to."""

    target: Path
    temporary: Path | None
    aside: Path | None
    number: int | None

    @property
    def is_placed(self) -> bool:
        """Whether the new file has its name; it keeps its number in the file system when it is renamed."""
        return _number(self.target) == self.number

    @property
    def can_go_on(self) -> bool:
        return self.temporary is None or os.path.lexists(self.temporary) or self.is_placed

    def forward(self) -> None:
        """Give the name, wherever a kill left it."""
        if self.temporary is not None and os.path.lexists(self.temporary):
            if self.is_placed:  # the second name of the same file
                self.temporary.unlink()
                return
            if os.path.lexists(self.target) and self.aside is not None and not os.path.lexists(self.aside):
                self.target.rename(self.aside)
            _remove_folder(self.target)
            self.temporary.replace(self.target)
        elif self.temporary is None and self.aside is not None and not os.path.lexists(self.aside):
            with suppress(FileNotFoundError):
                self.target.rename(self.aside)

    def back(self) -> None:
        """Give the old file its name again; what was placed goes back to its temporary name."""
        if self.temporary is not None and self.is_placed:
            if os.path.lexists(self.temporary):
                self.target.unlink()
            else:
                self.target.rename(self.temporary)
        if self.aside is not None and os.path.lexists(self.aside):
            if _number(self.aside) == _number(self.target):  # two names of one file: a rename would leave both
                self.aside.unlink()
            else:
                self.aside.replace(self.target)


@dataclass
class Together:
    """What `together` gives: the names that change when its block ends."""

    _moves: dict[Path, tuple[Path | None, bool]] = field(default_factory=dict)
    _held: dict[Path, Hold] = field(default_factory=dict)

    @property
    def targets(self) -> list[Path]:
        """What gets a new file, in the order of writing."""
        return [target for target, (temporary, _) in self._moves.items() if temporary is not None]

    def add(self, temporary: Path, target: Path, overwrite: bool) -> None:
        """Let a file or folder that is whole get its name with the others."""
        self._moves[target] = (temporary, overwrite)

    def own(self, target: Path, *, wait: float = 0.0) -> None:
        """Let no other process write a target before the names are given; parameters and errors are those of `hold`."""
        if target not in self._held:
            self.keep(hold(target, wait=wait))

    def keep(self, held: Hold) -> None:
        """Release what is held when the names are given."""
        self._held[held.target] = held

    def remove(self, target: Path) -> None:
        """Let a file go with the others, if it is there."""
        if os.path.lexists(target):
            self._moves[target] = (None, True)

    def where(self, target: Path) -> Path:
        """Return where what gets a name lies for now: under a temporary name, or where it always was."""
        return self._moves.get(target, (None, False))[0] or target

    def commit(self) -> None:
        """Give all names.

        Raises
        ------
        WriteError
            If one cannot be given; all is then as it was.
        """
        for target, (temporary, overwrite) in self._moves.items():
            if temporary is not None and not overwrite and os.path.lexists(target):
                raise write_error(target, FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)))
        if not self._moves:
            return
        first = next(iter(self._moves))
        try:
            (temporary, overwrite), *others = self._moves.values()
            if others or temporary is None or temporary.is_dir():
                self._commit_all()
            elif overwrite:
                temporary.replace(first)
            else:
                _move_without_overwriting(temporary, first)
        except OSError as error:
            raise write_error(first, error) from error
        sync_folder(first.parent)

    def discard(self) -> None:
        """Remove what has not got its name, and let other processes write again."""
        for temporary, _ in self._moves.values():
            if temporary is not None:
                _remove(temporary)
        self._moves.clear()
        for held in self._held.values():
            held.release()
        self._held.clear()

    def _commit_all(self) -> None:
        token = secrets.token_hex(4)
        steps = []
        for target, (temporary, _) in self._moves.items():
            aside = target.with_name(f".radcnn-{token}-old-{target.name}") if os.path.lexists(target) else None
            steps.append(_Step(target, temporary, aside, None if temporary is None else _number(temporary)))
        listed = _write_list(steps, token)
        try:
            # The names that the other ones belong to are free while the first changes: nothing wrong stands beside it.
            for step in reversed(steps):
                if step.aside is not None:
                    _step_aside(step.target, step.aside, keeps_name=step is steps[0] and step.temporary is not None)
            for step, (_, overwrite) in zip(steps, self._moves.values(), strict=True):
                if step.temporary is not None:
                    _place(step.temporary, step.target, overwrite)
        except BaseException:
            for step in steps:
                with suppress(OSError):
                    step.back()
            with suppress(OSError):
                listed.unlink()
            raise
        for folder in {step.target.parent for step in steps}:
            sync_folder(folder)
        _finish(steps, listed)


_GROUP: ContextVar[Together | None] = ContextVar("together", default=None)


@contextmanager
def together() -> Iterator[Together]:
    """Give what is written in the block its names when the block ends, all or none; a block within a block joins it.

    Yields
    ------
    Together
        The names that will change.

    Raises
    ------
    WriteError
        If one of the names cannot be given; what was there before is there still.
    """
    outer = _GROUP.get()
    if outer is not None:
        yield outer
        return
    group = Together()
    token = _GROUP.set(group)
    try:
        yield group
        group.commit()
    finally:
        _GROUP.reset(token)
        group.discard()


def hidden_path(target: Path) -> Path:
    """Return a new path beside a target, where it is made before it gets its name.

    The name ends as the target's does, since writers choose the format by suffixes. It belongs to whoever has the lock
    of the target: see `napari_radcnn.files.leftovers`.
    """
    return target.with_name(f".radcnn-{secrets.token_hex(4)}-new-{target.name}")


@contextmanager
def owning(target: Path) -> Iterator[None]:
    """Let no other process write a target in the block, or until the `together` around it has given its names.

    Raises
    ------
    WriteError
        If another process is at it, or its folder cannot be written to.
    """
    group = _GROUP.get()
    try:
        if group is not None:
            group.own(target)
            yield
        else:
            with owned(target):
                yield
    except OSError as error:
        raise write_error(target, error) from error


def give_name(temporary: Path, target: Path, overwrite: bool) -> None:
    """Give a file or folder that is whole its name: now, or with the others of a `together`.

    Raises
    ------
    WriteError
        If the name cannot be given.
    """
    group = _GROUP.get()
    if group is not None:
        group.add(temporary, target, overwrite)
        return
    alone = Together()
    alone.add(temporary, target, overwrite)
    alone.commit()


def where(target: Path) -> Path:
    """Return where what was written as `target` lies: under a temporary name, within a `together`."""
    group = _GROUP.get()
    return target if group is None else group.where(target)


def drop(temporary: Path) -> None:
    """Remove a temporary file or folder, unless it gets its name with others later."""
    group = _GROUP.get()
    if group is None or all(group.where(target) != temporary for target in group.targets):
        _remove(temporary)


def recover(folder: Path) -> None:
    """Finish in a folder what a killed process had begun: give the names that it wrote down, or take them back.

    Nothing is done to what a running process is about to name, nor where the folder cannot be written to.
    """
    try:
        lists = [entry for entry in folder.iterdir() if entry.name.startswith(".radcnn-") and entry.name.endswith(LIST)]
    except OSError:
        return
    for listed in lists:
        with suppress(OSError, ValueError, KeyError, TypeError):  # another was faster, or it is damaged: left alone
            _recover(listed)


def write_error(target: Path, error: OSError) -> WriteError:
    """Say in one line why the operating system did not write `target`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WriteError(f"{target}: the disk is full; free some space or write elsewhere. Nothing was written.")
    if error.errno == errno.EROFS:
        return WriteError(f"{target}: the disk is read-only; write elsewhere. Nothing was written.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return WriteError(f"{target}: permission denied: you may not write to '{target.parent}'.")
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return WriteError(
            f"{target}: the file already exists; choose another name, or pass overwrite=True (--overwrite)."
        )
    if error.errno == errno.ENAMETOOLONG:
        return WriteError(f"{target}: the name is too long for this file system; choose a shorter one.")
    return WriteError(f"{target}: cannot be written: {error.strerror or error}.")


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive the end of power, where the system can."""
    with suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# -- names ------------------------------------------------------------------------------------------------------------


def _step_aside(target: Path, aside: Path, *, keeps_name: bool) -> None:
    """Give an old file a second name, or where that is not possible or not wanted, another one."""
    if keeps_name and target.is_file() and not target.is_symlink():
        try:
            os.link(target, aside)
        except OSError:  # no hard links here (FAT, some network shares)
            target.rename(aside)
        return
    target.rename(aside)


def _place(temporary: Path, target: Path, overwrite: bool) -> None:
    if temporary.is_dir():
        temporary.rename(target)
    elif overwrite:
        temporary.replace(target)
    else:
        _move_without_overwriting(temporary, target)


def _move_without_overwriting(temporary: Path, target: Path) -> None:
    """Give the file its name, failing if another program took the name meanwhile, where the file system can."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (FAT, some network shares); the check before writing has to do
        temporary.replace(target)
        return
    with suppress(OSError):
        temporary.unlink()


def _number(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_folder(path: Path) -> None:
    """Make room for a folder's name; a file is replaced as it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)


# -- what is written down --------------------------------------------------------------------------------------------


def _write_list(steps: list[_Step], token: str) -> Path:
    """Write down what is about to be done, whole or not at all."""
    folder = Path(os.path.commonpath([step.target.parent.absolute() for step in steps]))
    listed, made = folder / f".radcnn-{token}{LIST}", hidden_path(folder / steps[0].target.name)
    names = [
        {
            "target": os.path.relpath(step.target, folder),
            "temporary": None if step.temporary is None else os.path.relpath(step.temporary, folder),
            "aside": None if step.aside is None else step.aside.name,
            "number": step.number,
        }
        for step in steps
    ]
    try:
        with made.open("w", encoding="utf-8") as file:
            json.dump({"owner": asdict(Owner.this_process()), "names": names}, file)
            file.flush()
            os.fsync(file.fileno())
        made.rename(listed)
    except BaseException:
        _remove(made)
        raise
    sync_folder(folder)
    return listed


def _recover(listed: Path) -> None:
    found = json.loads(listed.read_text(encoding="utf-8"))
    if Owner.from_dict(found["owner"]).is_alive(listed.stat().st_mtime):
        return
    steps = [_read_step(listed.parent, one) for one in found["names"]]
    if all(step.can_go_on for step in steps):
        for step in steps:
            step.forward()
    else:
        for step in steps:
            step.back()
            if step.temporary is not None:
                _remove(step.temporary)
    _finish(steps, listed)


def _read_step(folder: Path, one: dict[str, Any]) -> _Step:
    """Return what a list says, which may have come with a folder from elsewhere.

    Raises
    ------
    ValueError
        If it leads out of the folder, or would remove what is no hidden file of ours.
    """
    target = _inside(folder, one["target"])
    temporary = None if one["temporary"] is None else _inside(folder, one["temporary"])
    aside = None if one["aside"] is None else target.with_name(one["aside"])
    if any(path is not None and not path.name.startswith(".radcnn-") for path in (temporary, aside)):
        raise ValueError(one)
    return _Step(target, temporary, aside, one["number"])


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if ".." in path.parts or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise ValueError(name)
    return path


def _finish(steps: list[_Step], listed: Path) -> None:
    """Remove what stepped aside, and the list last."""
    for step in steps:
        if step.aside is not None and (step.temporary is None or os.path.lexists(step.target)):
            _remove(step.aside)
    with suppress(OSError):
        listed.unlink()

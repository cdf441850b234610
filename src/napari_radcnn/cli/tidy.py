"""``radcnn tidy``: what killed processes left hidden in a folder, and removing it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size, recover
from napari_radcnn.files.leftovers import Leftover, clear, leftovers


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    tidy = commands.add_parser(
        "tidy",
        help="list what killed processes left hidden in a folder, or remove it",
        description="List what processes that were killed left hidden in a folder: results that were half-written, and "
        "the parts of streamed runs, with which the same run goes on. What belongs to a process that still runs is "
        "listed, too, and is never removed; nor is, for half a day, what was written from another computer.",
    )
    tidy.add_argument("folder", metavar="FOLDER", type=Path)
    tidy.add_argument("--clear", action="store_true", help="remove it, the parts of runs as well")
    tidy.add_argument("--json", action="store_true", help="as JSON")
    tidy.set_defaults(command=_tidy)


def _tidy(parsed: argparse.Namespace) -> None:
    if not parsed.folder.is_dir():
        raise ReadError(f"{parsed.folder}: there is no such folder.")
    recover(parsed.folder)
    found = leftovers(parsed.folder)
    removed = clear(parsed.folder) if parsed.clear else []
    gone = {one.path for one in removed}
    if parsed.json:
        described = [_described(one, is_removed=one.path in gone) for one in found]
        print(json.dumps({"folder": str(parsed.folder), "leftovers": described}, indent=2))
        return
    for one in found:
        print(f"{'removed: ' if one.path in gone else ''}{one.path}")
        print(f"    {_line(one)}")
    if not found:
        print("nothing hidden was left here")
    elif not parsed.clear and any(not one.is_alive for one in found):
        print(f"remove what no process is working on any more: radcnn tidy {parsed.folder} --clear")


def _line(one: Leftover) -> str:
    goes_on = "; the same run would go on with it" if one.can_go_on and not one.is_alive else ""
    if one.is_alive:
        state = f"being written by {one.owner or 'an unknown process'}"
    else:
        state = f"left by {one.owner or 'an unknown process'}, which has ended"
    return f"{one.what} · {binary_size(one.n_bytes)} · {one.seconds / 60:.0f} min ago · {state}{goes_on}"


def _described(one: Leftover, *, is_removed: bool) -> dict[str, object]:
    return {
        "path": str(one.path),
        "what": one.what,
        "bytes": one.n_bytes,
        "seconds": round(one.seconds),
        "owner": one.owner or None,
        "is_alive": one.is_alive,
        "can_go_on": one.can_go_on,
        "removed": is_removed,
    }

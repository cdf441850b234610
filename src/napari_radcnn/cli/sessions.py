"""``radcnn sessions``: the interactive sessions that are kept on the disk, listed, exported, removed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_radcnn.cli.common import (
    Progress,
    add_on_irregular,
    add_select,
    check_result_target,
    choose,
    keeping,
    read_volumes,
    warn,
)
from napari_radcnn.cli.signals import cancelling
from napari_radcnn.errors import JournalError
from napari_radcnn.interactive.journal.saved import (
    SavedSession,
    discard,
    old_sessions,
    saved_session,
    saved_sessions,
    sessions_folder,
)
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import manifest_path
from napari_radcnn.results import LabelMap
from napari_radcnn.tasks import numbers_of


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    sessions = commands.add_parser(
        "sessions",
        help="list, export or remove interactive sessions that were kept",
        description="Interactive sessions are kept on the disk with every step until their result is saved: in "
        "RADCNN_SESSIONS, or the user's folder of data. A session is named by its folder, as `list` shows it, or by "
        "a path.",
    )
    actions = sessions.add_subparsers(required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="list them, the last one first")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(command=_list)

    export = actions.add_parser(
        "export",
        help="write what was segmented in one",
        description="Write the objects of a session with their manifest. The session stays as it is, and is still "
        "offered by the viewer.",
    )
    export.add_argument("session", metavar="SESSION", help="its name or path")
    export.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="label map to write")
    export.add_argument("--scan", metavar="PATH", type=Path, help="where its scan is now, if it was moved")
    add_select(export)
    add_on_irregular(export)
    export.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    export.set_defaults(command=_export)

    remove = actions.add_parser("remove", help="remove some for good, with all their steps")
    remove.add_argument("sessions", metavar="SESSION", nargs="*", help="names or paths")
    remove.add_argument(
        "--old", action="store_true", help="those older than 90 days, and all but the last 20 that are not finished"
    )
    remove.set_defaults(command=_remove, parser=remove)


def _list(parsed: argparse.Namespace) -> None:
    found = saved_sessions()
    if parsed.json:
        print(json.dumps({"folder": str(sessions_folder()), "sessions": [_described(one) for one in found]}, indent=2))
        return
    if not found:
        print(f"no sessions are kept in {sessions_folder()}")
    for one in found:
        print(one.path.name)
        print(f"    {one.problem or _line(one)}")


def _export(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io import check_source
    from napari_radcnn.session import PromptSession

    saved = _named(parsed.session)
    if saved.problem:
        raise JournalError(saved.problem)
    path = _scan_of(saved, parsed.scan)
    check_result_target(parsed.output, LabelMap, parsed.overwrite, [path])
    with cancelling() as cancel, keeping(parsed.output):
        progress = Progress()
        try:
            volume = choose(read_volumes(path, progress, cancel, parsed.on_irregular), path, parsed.select)
            check_source(LabelMap, parsed.output, volume)
            warn(volume.warnings)
            with PromptSession.resume(saved, volume, progress=progress, cancel=cancel) as session:
                warn(session.warnings)
                result = session.result()
        finally:
            progress.close()
        write_with_manifest(result, parsed.output, overwrite=parsed.overwrite)
    for name, value in numbers_of(result, "interactive"):
        print(f"{name}: {value}")
    print(f"written: {parsed.output}")
    print(f"manifest: {manifest_path(parsed.output)}")


def _remove(parsed: argparse.Namespace) -> None:
    if not parsed.sessions and not parsed.old:
        parsed.parser.error("name the sessions to remove, or give --old")
    chosen = [_named(name) for name in dict.fromkeys(parsed.sessions)]
    if parsed.old:
        named = {one.path for one in chosen}
        chosen += [one for one in old_sessions() if one.path not in named]
    for one in chosen:
        if one.is_alive:
            raise JournalError(f"{one.path}: this session is open in another window or process: close it there first.")
    for one in chosen:
        discard(one)
        print(f"removed: {one.path.name}")
    if not chosen:
        print("no old sessions are kept")


def _named(name: str) -> SavedSession:
    """Return a session by its folder's name or its path."""
    kept = sessions_folder() / name
    return saved_session(kept if Path(name).name == name and kept.is_dir() else Path(name))


def _scan_of(saved: SavedSession, given: Path | None) -> Path:
    """Return where the scan of a session is to be read from."""
    if given is not None:
        return given
    known = _input(saved).get("path")
    if not known:
        raise JournalError(f"{saved.path}: its scan was not read from a file: say where it is with --scan.")
    if not Path(known).exists():
        raise JournalError(f"{saved.path}: its scan {known} is not there any more: say where it is now with --scan.")
    return Path(known)


def _line(saved: SavedSession) -> str:
    steps = "1 step" if saved.steps == 1 else f"{saved.steps} steps"
    when = f"{saved.saved.astimezone():%Y-%m-%d %H:%M}"
    name, path = _input(saved).get("name", "?"), _input(saved).get("path") or "not read from a file"
    return f"{name} · {path} · {saved.header.get('engine') or '?'} · {steps} · {when} · {_state(saved)}"


def _state(saved: SavedSession) -> str:
    if saved.is_alive:
        return "open now"
    return "finished" if saved.is_finished else "unfinished"


def _described(saved: SavedSession) -> dict[str, Any]:
    return {
        "name": saved.path.name,
        "path": str(saved.path),
        "engine": saved.header.get("engine"),
        "steps": saved.steps,
        "saved": saved.saved.isoformat(timespec="seconds"),
        "is_open": saved.is_alive,
        "is_finished": saved.is_finished,
        "problem": saved.problem or None,
        "input": dict(_input(saved)),
    }


def _input(saved: SavedSession) -> Mapping[str, Any]:
    known = saved.header.get("input")
    return known if isinstance(known, Mapping) else {}

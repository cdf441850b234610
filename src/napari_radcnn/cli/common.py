"""What the commands share: options, reading, warnings, progress and cancel."""

from __future__ import annotations

import argparse
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from napari_radcnn.errors import CatalogueWarning, ReadError, WriteError, WriteWarning
from napari_radcnn.files import check_name, owned, write_error
from napari_radcnn.manifest import manifest_path
from napari_radcnn.schemas import beside_store, label_store
from napari_radcnn.spec.options import describe
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.io import OnIrregular
    from napari_radcnn.operations import Replay


def add_select(parser: argparse.ArgumentParser) -> None:
    """Let the user choose one of several volumes."""
    parser.add_argument(
        "--select",
        metavar="N",
        type=int,
        help=("which volume to use if IN contains several; `radcnn info IN` lists their numbers"),
    )


def add_on_irregular(parser: argparse.ArgumentParser) -> None:
    """Let the user choose what happens to unevenly spaced slices."""
    from napari_radcnn.io import OnIrregular

    parser.add_argument(
        "--on-irregular",
        choices=get_args(OnIrregular),
        default="refuse",
        help="what to do with a DICOM series with unevenly spaced slices, such as a missing one: refuse it, resample "
        "it to an even grid, or split it where the spacing changes (default: refuse)",
    )


def add_pixel_size(parser: argparse.ArgumentParser) -> None:
    """Let the user type the size of pixels that a picture's file does not say."""
    parser.add_argument(
        "--pixel-size",
        metavar="MM",
        type=float,
        help="width and height of the pixels of a picture whose file does not say it, such as a radiograph as PNG",
    )


def add_options(group: argparse._ArgumentGroup, options: type) -> None:
    """Make a flag of every field of a dataclass of options."""
    for entry in describe(options):
        flag = "--" + entry.name.replace("_", "-")
        unit = f" {entry.unit}" if entry.unit else ""
        text = f"{entry.help} (default: {entry.default}{unit})".replace("%", "%%")
        if entry.kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=entry.default, help=text)
        elif entry.choices:
            group.add_argument(flag, choices=entry.choices, default=entry.default, help=text)
        else:
            group.add_argument(
                flag, type=entry.kind, default=entry.default, help=text, metavar=entry.unit.upper() or "VALUE"
            )


def read_volumes(
    path: Path,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    on_irregular: OnIrregular = "refuse",
    pixel_size: float | None = None,
) -> list[Volume]:
    """Return the volumes at a path."""
    from napari_radcnn.io import read

    return read(path, progress=progress, cancel=cancel, on_irregular=on_irregular, pixel_size=pixel_size)


def choose(volumes: list[Volume], path: Path, select: int | None) -> Volume:
    """Return the volume that the user chose, or the only one.

    Raises
    ------
    ReadError
        If there are several and none was chosen; lists them.
    """
    if select is None and len(volumes) == 1:
        return volumes[0]
    if select is not None and 1 <= select <= len(volumes):
        return volumes[select - 1]
    listing = "; ".join(f"{number}: {volume.name}" for number, volume in enumerate(volumes[:12], 1))
    more = f"; and {len(volumes) - 12} more" if len(volumes) > 12 else ""
    raise ReadError(f"{path} contains {len(volumes)} volumes: choose one with --select N ({listing}{more}).")


def print_same(replayed: Replay) -> None:
    """Print whether a replay gave the voxels or numbers that its manifest says; nothing where it does not say."""
    if replayed.is_same is not None:
        name = replayed.manifest.get("output", "the result")
        print(f"{'identical' if replayed.is_same else 'different'}: the {replayed.compared} of {name}")


def check_result_target(target: Path, kind: type, overwrite: bool, sources: Sequence[Path]) -> None:
    """Refuse before the work what its result, of the class `kind`, could not be written to, the `sources` above all."""
    from napari_radcnn.io import check_suffix
    from napari_radcnn.io.targets import refuse_sources

    check_name(target)
    refuse_sources(target, sources)
    for path in (target, manifest_path(target)):
        check_output(path, overwrite)
    check_suffix(kind, target)


@contextmanager
def keeping(target: Path) -> Iterator[None]:
    """Let no other process write a target while its result is computed.

    Raises
    ------
    WriteError
        If another process is at it, or its folder cannot be written to.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(owned(beside_store(target)))
        except OSError as error:
            raise write_error(target, error) from error
        yield


def check_output(target: Path, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    check_name(target)
    if target.exists() and not overwrite:
        raise WriteError(f"{target} already exists: pass --overwrite to replace it.")
    folder = label_store(target) or target.parent
    if not folder.is_dir():
        raise WriteError(f"{target} cannot be written: the folder {folder} does not exist.")


def warn(texts: Sequence[str]) -> None:
    """Print warnings to stderr, one a line."""
    for warning in texts:
        print(f"radcnn: warning: {warning}", file=sys.stderr)


@contextmanager
def telling() -> Iterator[None]:
    """Print what a writer or the list of models warns of as our own warnings, one line, and not as Python does."""
    ours = (CatalogueWarning, WriteWarning)
    shown = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        if issubclass(category, ours):
            warn([str(message)])
        else:
            shown(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        for category in ours:
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield


class Progress:
    """Progress on stderr: a bar on a terminal, otherwise a line a step."""

    _WIDTH = 24

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = ""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Show a step; as `napari_radcnn.progress.Progress`."""
        if self._is_terminal:
            filled = self._WIDTH * done // max(total, 1)
            bar = "#" * filled + "-" * (self._WIDTH - filled)
            print(f"\r[{bar}] {done}/{total} {message}\033[K", end="", file=sys.stderr, flush=True)
        elif message != self._last:
            print(f"{done}/{total} {message}", file=sys.stderr, flush=True)
        self._last = message

    def close(self) -> None:
        """End the line of the bar."""
        if self._is_terminal and self._last:
            print(file=sys.stderr)

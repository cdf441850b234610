"""How far a store has grown: which blocks were written, with a checksum each, so that a run goes on with nothing else.

The file is written after all that it names is on the disk. A block that is missing or damaged later is found when the
run goes on: it goes on before that block, and nothing of the store that was not compared is kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.files import replace_text, sync, sync_folder
from napari_radcnn.geometry import Box

#: Beside the store's own files while it grows.
PROGRESS = "radcnn-progress.json"
#: Of the time, at most about this share goes into waiting for the disk, where that takes long.
_SHARE, _LONG_SECONDS = 0.1, 0.05

_Block = list[int]


class GrownBlocks:
    """The blocks of a store that were written so far.

    Parameters
    ----------
    folder : path
        The store.
    about : mapping
        What must be the same for a run to go on: the fingerprint of the run, and the shape.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self._about = folder, dict(about)
        self._marks: list[tuple[int, list[_Block]]] = []
        self._pending: list[_Block] = []
        self._synced_at, self._seconds = -1.0, 0.0

    def anew(self) -> GrownBlocks:
        """Return the same without any block."""
        return GrownBlocks(self.folder, self._about)

    # -- while it grows -----------------------------------------------------------------------------------------------

    def add(self, box: Box, values: npt.NDArray[Any]) -> None:
        """Note that a block was written, as it was written."""
        self._pending.append([*(edge for side in box for edge in (side.start, side.stop)), _checksum(values)])

    def mark(self, reached: int, level: Any) -> None:
        """Note that all of the run up to `reached` is written, once it is on the disk.

        Where the disk is slow, not every call is followed.

        Parameters
        ----------
        reached : int
            What the number counts is the run's own business.
        level : zarr.Array
            The full resolution.

        Raises
        ------
        OSError
            If the disk is full or cannot be written to.
        """
        started = time.monotonic()
        is_slow = self._seconds > _LONG_SECONDS
        if is_slow and started - self._synced_at < self._seconds / _SHARE:
            return
        self._sync(level)
        self._marks.append((reached, self._pending))
        self._pending = []
        described = {**self._about, "reached": reached, "marks": self._marks, "metadata": self._metadata()}
        replace_text(self.folder / PROGRESS, json.dumps(described, separators=(",", ":")))
        self._synced_at = time.monotonic()
        self._seconds = self._synced_at - started

    def _sync(self, level: Any) -> None:
        """Let the blocks' files, and their names, be on the disk."""
        files = {path for block in self._pending for path in self._files(level, _box(block)) if path.is_file()}
        for path in files:
            sync(path)
        for folder in {parent for path in files for parent in path.parents if parent.is_relative_to(self.folder)}:
            sync_folder(folder)

    def _metadata(self) -> dict[str, str]:
        """Return the hashes of what describes the store."""
        found = [self.folder / "zarr.json", *sorted(self.folder.glob("*/zarr.json"))]
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found
        }

    def _files(self, level: Any, box: Box) -> Iterator[Path]:
        """Yield the files of the chunks that a box lies in."""
        spans = (range(side.start // n, -(-side.stop // n)) for side, n in zip(box, level.chunks, strict=True))
        yield from (self.folder.joinpath("0", "c", *map(str, numbers)) for numbers in product(*spans))

    # -- after a kill -------------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Take over what an earlier process noted; return whether there was a run with the same fingerprint."""
        try:
            state = json.loads((self.folder / PROGRESS).read_text(encoding="utf-8"))
            same = all(state[key] == value for key, value in self._about.items())
            self._marks = [
                (int(reached), [list(map(int, block)) for block in blocks]) for reached, blocks in state["marks"]
            ]
            whole = all(len(block) == 7 for _, blocks in self._marks for block in blocks)
            return same and whole and state["metadata"] == self._metadata()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or damaged
            return False

    def keep_sound(self, level: Any) -> tuple[int, int]:
        """Compare what was noted with what is there, and remove whatever is not what was noted.

        Parameters
        ----------
        level : zarr.Array
            The full resolution.

        Returns
        -------
        reached : int
            How far everything is as it was written.
        lost : int
            How many blocks after that are missing or damaged, or depend on one that is.
        """
        sound: list[tuple[int, list[_Block]]] = []
        for reached, blocks in self._marks:
            if not all(_is_sound(level, block) for block in blocks):
                break
            sound.append((reached, blocks))
        lost = sum(len(blocks) for _, blocks in self._marks[len(sound) :])
        self._marks = sound
        kept = {path for _, blocks in sound for block in blocks for path in self._files(level, _box(block))}
        for path in [path for path in (self.folder / "0" / "c").rglob("*") if path.is_file() and path not in kept]:
            path.unlink()
        for coarser in self.folder.glob("[1-9]*"):
            shutil.rmtree(coarser / "c", ignore_errors=True)
        return (sound[-1][0] if sound else 0), lost

    def finish(self) -> None:
        """Remove the file: the store is whole."""
        with suppress(FileNotFoundError):
            (self.folder / PROGRESS).unlink()


def _checksum(values: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


def _box(block: _Block) -> Box:
    k, k_end, j, j_end, i, i_end, _ = block
    return slice(k, k_end), slice(j, j_end), slice(i, i_end)


def _is_sound(level: Any, block: _Block) -> bool:
    try:
        return _checksum(np.asarray(level[_box(block)])) == block[-1]
    except (OSError, ValueError, RuntimeError, IndexError):  # of the decoder, whose chunk is damaged
        return False

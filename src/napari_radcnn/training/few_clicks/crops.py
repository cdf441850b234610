"""Cubes of scans with one object each, made ahead of time and kept in files that are read in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Cubes in one folder of the cache.
IN_A_SHARD = 250


@dataclass(frozen=True, eq=False)
class Crop:
    """A cube with an object.

    Attributes
    ----------
    picture : (n, n, n) array of float32
        In units; see `napari_radcnn.interactive.engines.few_clicks.channels`.
    target : (n, n, n) array of bool
        The object.
    proposal : (n, n, n) array of bool
        What another engine made of `click`.
    inside : (n, n, n) array of bool
        What lies in the scan.
    click : (3,) array of int
        A voxel of the object.
    low, high : float
        Ends of the scan's own scale, in units.
    zoom : float
        mm between voxels.
    extent : float
        Voxels along the largest side of the whole object, which may reach beyond the cube.
    is_fit : bool
        Whether the zoom was chosen by the object's size.
    """

    picture: Array
    target: Mask
    proposal: Mask
    inside: Mask
    click: npt.NDArray[np.int64]
    low: float
    high: float
    zoom: float
    extent: float
    is_fit: bool


def write_shard(folder: Path, number: int, crops: list[Crop]) -> Path:
    """Write cubes as a folder of the cache, all or nothing; one that another process has written stays."""
    path = folder / f"{number:05d}"
    temporary = folder / f".{number:05d}-{os.getpid()}"
    temporary.mkdir(parents=True, exist_ok=True)
    np.save(temporary / "pictures.npy", np.stack([crop.picture for crop in crops]).astype(np.float16))
    masks = [np.stack([crop.target, crop.proposal, crop.inside]).reshape(3, -1) for crop in crops]
    np.save(temporary / "masks.npy", np.packbits(np.stack(masks), axis=-1))
    facts = [[*crop.click, crop.low, crop.high, crop.zoom, crop.extent, crop.is_fit] for crop in crops]
    np.save(temporary / "facts.npy", np.array(facts, np.float32))
    if path.exists():
        shutil.rmtree(temporary)
    else:
        temporary.rename(path)
    return path


class Cache:
    """The cubes in a folder, as many as there are when one is asked for.

    Parameters
    ----------
    folder : Path
        Of the folders that `write_shard` writes.

    Raises
    ------
    ReadError
        If it holds none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: list[tuple[npt.NDArray, npt.NDArray, npt.NDArray]] = []
        self._known: set[str] = set()
        if not self.look():
            raise ReadError(f"{folder} holds no cubes.")

    def look(self) -> int:
        """Open what has come since, and return the number of cubes."""
        for path in shards(self._folder):
            if path.name not in self._known:
                self._known.add(path.name)
                pictures, masks = (np.load(path / f"{name}.npy", mmap_mode="r") for name in ("pictures", "masks"))
                self._shards.append((pictures, masks, np.load(path / "facts.npy")))
        return sum(len(facts) for _, _, facts in self._shards)

    def take(self, rng: np.random.Generator) -> Crop:
        """Return any cube, with its axes swapped and mirrored at random."""
        pictures, masks, facts = self._shards[int(rng.integers(len(self._shards)))]
        n = int(rng.integers(len(facts)))
        size = pictures.shape[1]
        flat = np.unpackbits(masks[n], axis=-1, count=size**3).reshape(3, size, size, size).astype(bool)
        order = rng.permutation(3)
        steps = np.where(rng.random(3) < 0.5, -1, 1)
        turned = tuple(slice(None, None, int(step)) for step in steps)
        target, proposal, inside = (np.ascontiguousarray(mask.transpose(order)[turned]) for mask in flat)
        picture = np.ascontiguousarray(pictures[n].transpose(order)[turned], np.float32)
        click = facts[n, :3].astype(np.int64)[order]
        click = np.where(steps > 0, click, size - 1 - click)
        low, high, zoom, extent, is_fit = (float(v) for v in facts[n, 3:])
        return Crop(picture, target, proposal, inside, click, low, high, zoom, extent, bool(is_fit))


def shards(folder: Path) -> Iterator[Path]:
    """Yield the finished folders of a cache, in order."""
    yield from sorted(path for path in folder.glob("[0-9]" * 5) if path.is_dir())

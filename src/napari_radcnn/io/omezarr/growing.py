"""A label image that grows on the disk block by block, survives a kill, and takes its name when it is whole."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import hold, together, write_error
from napari_radcnn.files.leftovers import PARTIAL
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.io.omezarr.adding import IMAGE_OF_LABELS, check_label_target, give_label_name
from napari_radcnn.io.omezarr.folder import check_folder_target, take_name
from napari_radcnn.io.omezarr.progress import GrownBlocks
from napari_radcnn.io.omezarr.read import holds_zarr, read_omezarr
from napari_radcnn.io.omezarr.write import create_level, foreign_in_store, pyramid, store_attributes
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.schemas import beside_store, label_store
from napari_radcnn.voxels import box_ends

_MAX_LABEL = 65535


class GrowingLabels:
    """Where a run that is larger than memory puts its labels.

    Blocks are written to a hidden folder beside the target, which is left there if the process is killed, so that the
    same run can go on where it was. Nothing has the target's name before `finish`. One process at a time may do that.

    Parameters
    ----------
    target : Path
        ``*.ome.zarr`` or ``*.zarr``, or ``STORE.ome.zarr/labels/NAME``, which is added to the store of the scan.
    geometry : Geometry
        The grid of the labels.
    labels : mapping of int to Label
        The classes, without background.
    fingerprint : str
        Of the run: model, options, input. A folder that a run with another fingerprint left is not gone on with.
    overwrite : bool
        Whether `target` may exist.
    each_block : callable, optional
        Called as ``each_block(box, values)`` after a block was written, in the thread that writes.

    Raises
    ------
    WriteError
        If the target is in the way, another process writes it, or its folder cannot be written to.
    """

    def __init__(
        self,
        target: Path,
        geometry: Geometry,
        labels: Mapping[int, Label],
        *,
        fingerprint: str,
        overwrite: bool = False,
        each_block: Callable[[Box, npt.NDArray[Any]], None] | None = None,
    ) -> None:
        self.target, self.geometry, self.labels = target, geometry, dict(labels)
        self._store = label_store(target)
        self.dtype = np.dtype(np.uint8 if max(self.labels, default=0) < 256 else np.uint16)
        if max(self.labels, default=0) > _MAX_LABEL:
            raise WriteError(f"{target}: a label of {max(self.labels)} does not fit into 16 bits.")
        if self._store is None:
            check_folder_target(target, overwrite, holds_zarr, foreign_in_store)
        else:
            check_label_target(self._empty(), target, self._store, overwrite)
        place = beside_store(target)
        self.folder = place.with_name(f"{PARTIAL}{place.name}")
        self._overwrite, self._each_block = overwrite, each_block
        #: What of an earlier run's part could not be gone on with, and why, a line each.
        self.notes: tuple[str, ...] = ()
        try:
            self._hold = hold(place, signs=[self.folder])
        except OSError as error:
            raise write_error(target, error) from error
        try:
            self._blocks = GrownBlocks(self.folder, {"fingerprint": fingerprint, "shape": list(geometry.shape)})
            #: How far an earlier run came: what was last passed to `mark`; 0 for a run from the start.
            self.mark_reached = self._resume()
            if not self.mark_reached:
                self._begin()
            self._level = self._open(0)
        except BaseException:
            self._hold.release()
            raise

    # -- while it grows -----------------------------------------------------------------------------------------------

    def write(self, box: Box, values: npt.NDArray[Any]) -> None:
        """Put labels in their place.

        Parameters
        ----------
        box : three slices
            Along ``(k, j, i)``.
        values : (k, j, i) array of unsigned integer
            Of the box's shape.

        Raises
        ------
        WriteError
            If the disk is full or cannot be written to.
        """
        k, j, i = (slice(*ends) for ends in box_ends(box, self.geometry.shape))
        kept = np.asarray(values, self.dtype)
        try:
            self._level[k, j, i] = kept
        except OSError as error:
            raise write_error(self.target, error) from error
        self._blocks.add((k, j, i), kept)
        if self._each_block is not None:
            self._each_block(box, values)

    def mark(self, reached: int) -> None:
        """Note that all of the run up to `reached` is written; what the number counts is the run's own business.

        Raises
        ------
        WriteError
            If the disk is full or cannot be written to.
        """
        self.mark_reached = reached
        self._hold.give_sign()
        try:
            self._blocks.mark(reached, self._level)
        except OSError as error:
            raise write_error(self.target, error) from error

    def discard(self) -> None:
        """Remove what was written, as after a cancel or an error that a second run would meet again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let other processes write the target; what was written stays where it is."""
        self._hold.release()

    def finish(self) -> dict[int, int]:
        """Make the coarser resolutions, read everything back, and give the store its name.

        Returns
        -------
        dict of int to int
            Number of voxels of every label that occurs, background included.

        Raises
        ------
        WriteError
            If it cannot be written, or what is read back is not what it should be; the store is removed then.
        """
        try:
            counts = self._coarser()
            self._read_back(counts)
            self._blocks.finish()
            with together() as group:
                group.keep(self._hold)
                if self._store is None:
                    take_name(self.folder, self.target)
                else:
                    give_label_name(self._empty(), self.folder, self.target, self._store, self._overwrite)
        except OSError as error:
            raise write_error(self.target, error) from error
        return counts

    # -- inside -------------------------------------------------------------------------------------------------------

    def _empty(self) -> LabelMap:
        """Return a label map without memory of its own: grid and classes are all that the attributes are made from."""
        return LabelMap(np.broadcast_to(self.dtype.type(0), self.geometry.shape), self.geometry, self.labels)

    def _resume(self) -> int:
        if not self.folder.is_dir():
            return 0
        if not self._blocks.read():
            is_begun = (self.folder / "0" / "c").is_dir()
            text = "of another run, or damaged: another model, option, scan or version; it was computed from the start"
            self.notes = (f"{self.target.name}: the part that an earlier run left is {text}.",) if is_begun else ()
            return 0
        level = self._open(0)
        reached, lost = self._blocks.keep_sound(level)
        if lost:
            what = "1 block" if lost == 1 else f"{lost} blocks"
            self.notes = (
                f"{self.target.name}: {what} of the part that an earlier run left were missing or damaged, or lay "
                "behind one that was; they were computed again.",
            )
        return reached

    def _begin(self) -> None:
        import zarr

        shutil.rmtree(self.folder, ignore_errors=True)
        self._blocks = self._blocks.anew()
        empty = self._empty()
        factors = pyramid(empty)
        attributes = store_attributes(empty, empty.array, factors, is_label=True)
        if self._store is not None:
            attributes["ome"]["image-label"].update(IMAGE_OF_LABELS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zarr, on types that Zarr 3 has not settled yet
            try:
                store = zarr.storage.LocalStore(self.folder)
                group = zarr.create_group(store=store, zarr_format=3, attributes=attributes)
                for n, factor in enumerate(factors):
                    shape = tuple(-(-size // f) for size, f in zip(self.geometry.shape, factor, strict=True))
                    create_level(group, str(n), shape, self.dtype)
            except OSError as error:
                raise write_error(self.target, error) from error
        self._level = self._open(0)
        self.mark(0)

    def _open(self, level: int) -> Any:
        import zarr

        return zarr.open_array(store=zarr.storage.LocalStore(self.folder), path=str(level), mode="r+")

    def _chunk_file(self, box: Box) -> Path:
        numbers = (str(extent.start // size) for extent, size in zip(box, self._level.chunks, strict=True))
        return self.folder.joinpath("0", "c", *numbers)

    def _coarser(self) -> dict[int, int]:
        """Fill every further level from the full resolution, chunk by chunk; return the counts of the labels."""
        factors = pyramid(self._empty())[1:]
        levels = [self._open(n) for n in range(1, len(factors) + 1)]
        counts = np.zeros(2 ** (8 * self.dtype.itemsize), np.int64)
        for box in _chunks(self._level):
            block = np.asarray(self._level[box])
            if not self._chunk_file(box).is_file():  # nothing was found there; a missing chunk would count as lost
                self._level[box] = block
            counts += np.bincount(block.ravel(), minlength=len(counts))
            for factor, level in zip(factors, levels, strict=True):
                _thin(block, box, factor, self.geometry.shape, level)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}

    def _read_back(self, counts: Mapping[int, int]) -> None:
        """Compare grid and counts with what anybody reads from the store."""
        try:
            (back,) = read_omezarr(self.folder, None, None)
            distance = float(np.abs(back.geometry.corners - self.geometry.corners).max())
            found = np.zeros(max(counts) + 1, np.int64)
            for box in _chunks(self._level):
                values = np.bincount(np.asarray(back.read_block(box)).ravel(), minlength=len(found))
                found[: len(values)] += values[: len(found)]
        except (ReadError, ValueError) as error:
            self.discard()
            raise WriteError(
                f"{self.target}: the written data cannot be read back ({error}); it was removed."
            ) from error
        wrong = [value for value, count in counts.items() if found[value] != count]
        if back.geometry.shape != self.geometry.shape or distance > 0.01 or wrong:
            self.discard()
            raise WriteError(
                f"{self.target}: the data read back differs (shape {back.geometry.shape}, {distance:.2f} mm off, "
                f"labels {wrong}); it was removed. Write another format, and please report this."
            )


def _chunks(array: Any) -> Iterator[Box]:
    """Yield the boxes of an array's chunks."""
    ranges = [range(0, size, chunk) for size, chunk in zip(array.shape, array.chunks, strict=True)]
    for starts in product(*ranges):
        ends = (
            slice(start, min(start + chunk, size))
            for start, chunk, size in zip(starts, array.chunks, array.shape, strict=True)
        )
        k, j, i = ends
        yield k, j, i


def _thin(
    block: npt.NDArray[Any], box: Box, factor: tuple[int, int, int], shape: tuple[int, int, int], level: Any
) -> None:
    """Copy the voxels nearest to the centers of blocks of `factor` that lie in `box` to a coarser level."""
    inner, outer = [], []
    for extent, f, size in zip(box, factor, shape, strict=True):
        picked = np.minimum(np.arange(-(-size // f)) * f + f // 2, size - 1)
        first, last = np.searchsorted(picked, (extent.start, extent.stop))
        inner.append(picked[first:last] - extent.start)
        outer.append(slice(int(first), int(last)))
    if all(len(axis) for axis in inner):
        level[tuple(outer)] = block[np.ix_(*inner)]

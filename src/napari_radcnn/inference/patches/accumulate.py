"""The weighted mean of overlapping patches, plane by plane, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.patches.planes import FilePlanes, Floats, MemoryPlanes, Planes
from napari_radcnn.inference.patches.positions import clipped


def blending_bytes(shape: Shape, classes: int, patch: Shape, budget_bytes: int) -> tuple[int, int]:
    """Return what `Blend` will take of memory and of disk.

    Parameters
    ----------
    shape, classes, patch, budget_bytes
        As for `Blend`.

    Returns
    -------
    memory, disk : int
        Bytes; disk is 0 where the budget suffices.
    """
    height, depth = min(patch[0], shape[0]), min(patch[1], shape[1])
    row = 4 * (classes + 1) * shape[2]
    if row * height * shape[1] <= budget_bytes:
        return row * height * shape[1], 0
    return row * height * depth, row * height * shape[1]


class Blend:
    """Collects patches and gives their weighted mean, for the planes that no further patch touches.

    Only the planes between the last one released and the last one touched exist. They are held in memory where they
    fit into the budget. Otherwise they lie in a temporary file, and only a rod of them (the height and depth of a
    patch, all along the last axis) is in memory; the sums are the same to the last bit.

    Parameters
    ----------
    shape : tuple of int
        Of the volume, without padding.
    classes : int
        Of the network's answer.
    patch : tuple of int
        The largest box that will be added.
    budget_bytes : int
        Memory it may take; a single rod is taken even if it is larger.
    workspace : Path or None
        Folder of the temporary file; None takes the system's.
    first_plane : int
        Planes below are not wanted.
    empty : sequence of float or None
        Logits of a voxel that no patch covers, one a class; None for zeros.

    Raises
    ------
    ResourceError
        If the temporary file cannot be made, or the disk is full.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        patch: Shape,
        budget_bytes: int,
        workspace: Path | None = None,
        *,
        first_plane: int = 0,
        empty: Sequence[float] | None = None,
    ) -> None:
        self.shape = shape
        self.classes = classes
        self._first = first_plane
        self._empty = np.zeros(classes, np.float32) if empty is None else np.asarray(empty, np.float32)
        if self._empty.shape != (classes,):
            raise ValueError(f"one empty logit per class is needed: {classes}, got {self._empty.size}")
        plane = (classes + 1, shape[1], shape[2])  # the last channel is the sum of the weights
        disk = blending_bytes(shape, classes, patch, budget_bytes)[1]
        self.is_spilled = disk > 0
        self._planes: Planes = FilePlanes(plane, workspace, disk) if self.is_spilled else MemoryPlanes(plane)

    def go_to(self, planes: slice, rows: slice) -> None:
        """Say where the next patches lie; before the first of every row of patches along the last axis."""
        self._planes.go_to(*self._inside(planes, rows))

    def _inside(self, planes: slice, rows: slice) -> tuple[slice, slice]:
        k, j, _ = clipped((planes, rows, slice(0, 1)), self.shape)
        return slice(max(k.start, self._first), max(k.stop, self._first)), j

    def add(self, box: Box, answer: Floats, weights: Floats) -> None:
        """Add a patch.

        Parameters
        ----------
        box : tuple of slice
            Where it lies, within what `go_to` was told; what reaches outside the volume is left out.
        answer : (classes, k, j, i) array of float32
            The network's answer, of the shape of `box`.
        weights : (k, j, i) array of float32
            How much each voxel counts.
        """
        k, j = self._inside(box[0], box[1])
        i = clipped(box, self.shape)[2]
        part = (
            slice(j.start - box[1].start, j.stop - box[1].start),
            slice(i.start - box[2].start, i.stop - box[2].start),
        )
        product = np.empty((self.classes, j.stop - j.start, i.stop - i.start), np.float32)
        for plane in range(k.start, k.stop):
            sums = self._planes.window(plane, j)[:, :, i]
            weight = weights[plane - box[0].start][part]
            np.multiply(answer[:, plane - box[0].start][(slice(None), *part)], weight, out=product)
            sums[:-1] += product
            sums[-1] += weight

    def settle(self) -> None:
        """Make what was added readable; after every row of patches along the first axis."""
        self._planes.flush()

    def read(self, box: Box) -> Floats:
        """Return the mean logits of a box, ``(classes, k, j, i)``; every plane of it final and not yet released."""
        k, j, i = box
        if k.start < self._first:
            raise ValueError(f"plane {k.start} was released; the first that is left is {self._first}")
        logits = np.empty((self.classes, k.stop - k.start, j.stop - j.start, i.stop - i.start), np.float32)
        for plane in range(k.start, k.stop):
            target = logits[:, plane - k.start]
            found = self._planes.load(plane, j)
            if found is None:
                target[:] = self._empty[:, None, None]
                continue
            sums = found[:, :, i]
            weight = sums[-1]
            covered = weight > 0
            if covered.all():
                np.divide(sums[:-1], weight, out=target)
            else:
                target[:] = self._empty[:, None, None]
                np.divide(sums[:-1], weight, out=target, where=covered[None])
        return logits

    def release(self, first: int) -> None:
        """Forget the planes below `first`; they are not asked for again."""
        self._first = max(self._first, first)
        self._planes.release(self._first)

    def close(self) -> None:
        """Give memory and disk back."""
        self._planes.close()


#: An answer up to this size is copied, so that the network may compute the next one meanwhile.
_COPIED_BYTES = 2**28


class BlendingThread:
    """Adds to a blend in a thread of its own, one answer after the other, while the network computes the next.

    What goes wrong there is raised by the next call here.

    Parameters
    ----------
    blend : Blend
        Nobody else may use it before `settle` has returned.
    """

    def __init__(self, blend: Blend) -> None:
        self._blend = blend
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="radcnn-blend")
        self._running: Future[None] | None = None
        self._copy: Floats | None = None

    def go_to(self, planes: slice, rows: slice) -> None:
        """See `Blend.go_to`."""
        self._wait()
        self._running = self._pool.submit(self._blend.go_to, planes, rows)

    def add(self, box: Box, answer: Floats, weights: Floats) -> None:
        """See `Blend.add`; `answer` may be overwritten when this returns."""
        self._wait()
        if answer.nbytes > _COPIED_BYTES:
            self._blend.add(box, answer, weights)
            return
        if self._copy is None or self._copy.shape != answer.shape:
            self._copy = np.empty(answer.shape, np.float32)
        np.copyto(self._copy, answer)
        self._running = self._pool.submit(self._blend.add, box, self._copy, weights)

    def settle(self) -> None:
        """See `Blend.settle`."""
        self._wait()
        self._blend.settle()

    def _wait(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """End the thread; what it is doing is finished, what went wrong is not raised."""
        self._pool.shutdown()

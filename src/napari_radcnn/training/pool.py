"""A pool of samples that a second process keeps filling, so that the network never waits for one."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.synchronize import Event as ProcessEvent, Lock as ProcessLock
from types import TracebackType

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ResourceError

#: Draws samples: pictures in about -1..1 and masks, all cubes of the pool's size.
Draw = Callable[[], list[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]]


#: Seconds between samples once the pool is full, so that the trainer gets the processor.
_PAUSE = 0.25


class Pool:
    """Samples in shared memory: a process writes them round and round, the trainer takes any.

    Parameters
    ----------
    make : callable
        Called once in the process; returns what draws the samples. Must be picklable by name.
    arguments : tuple
        What `make` is called with.
    size : int
        Voxels along a side.
    capacity : int
        Number of samples kept.
    """

    def __init__(self, make: Callable[..., Draw], arguments: tuple, size: int, capacity: int) -> None:
        self._size, self._capacity = size, capacity
        voxels = size**3
        self._images = SharedMemory(create=True, size=2 * voxels * capacity)
        self._masks = SharedMemory(create=True, size=voxels * capacity)
        context = multiprocessing.get_context("spawn")
        self._count = context.Value("q", 0)
        self._stop = context.Event()
        self._lock = context.Lock()
        names = (self._images.name, self._masks.name)
        self._process = context.Process(
            target=_fill,
            args=(make, arguments, names, size, capacity, self._count, self._stop, self._lock),
            daemon=True,
        )

    def __enter__(self) -> Pool:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._process.join(30)
        for memory in (self._images, self._masks):
            memory.close()
            memory.unlink()

    @property
    def drawn(self) -> int:
        """Number of samples that were drawn so far."""
        return int(self._count.value)

    def wait(self, count: int) -> None:
        """Return when `count` samples have been drawn.

        Raises
        ------
        ResourceError
            If the process that draws them has ended.
        """
        while self.drawn < count:
            if not self._process.is_alive():
                raise ResourceError("The process that draws the samples has stopped; see its message above.")
            time.sleep(0.5)

    def take(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return a copy of any sample."""
        slot = int(rng.integers(min(self.drawn, self._capacity)))
        images, masks = _views(self._images, self._masks, self._size, self._capacity)
        with self._lock:  # a sample may be written over by the next
            return images[slot].astype(np.float32), masks[slot].copy()


def _views(
    images: SharedMemory, masks: SharedMemory, size: int, capacity: int
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
    shape = (capacity, size, size, size)
    return np.ndarray(shape, np.float16, images.buf), np.ndarray(shape, np.bool_, masks.buf)


def _fill(
    make: Callable[..., Draw],
    arguments: tuple,
    names: tuple[str, str],
    size: int,
    capacity: int,
    count: multiprocessing.Value,  # type: ignore[valid-type]
    stop: ProcessEvent,
    lock: ProcessLock,
) -> None:
    """Draw samples until told to stop; the process's own part."""
    memories = [SharedMemory(name=name) for name in names]
    images, masks = _views(memories[0], memories[1], size, capacity)
    draw = make(*arguments)
    while not stop.is_set():
        if count.value >= capacity:  # type: ignore[attr-defined]
            stop.wait(_PAUSE)
        for image, mask in draw():
            slot = count.value % capacity  # type: ignore[attr-defined]
            with lock:
                images[slot], masks[slot] = image, mask
            count.value += 1  # type: ignore[attr-defined]
    del images, masks
    for memory in memories:
        memory.close()

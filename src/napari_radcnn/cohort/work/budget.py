"""How much memory all processes may take together: each asks before a step, and waits for others where it must."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from napari_radcnn.memory import free_memory


class MemoryBudget:
    """Memory that is lent to steps, in the order they ask.

    Parameters
    ----------
    n_bytes : int, optional
        How much there is; by default what is free now.
    """

    def __init__(self, n_bytes: int | None = None) -> None:
        self.n_bytes = free_memory() if n_bytes is None else n_bytes
        self._lent: dict[object, int] = {}
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        #: The most that was lent at a time.
        self.peak = 0

    def lend(self, who: object, n_bytes: int, is_gone: Callable[[], bool] = lambda: False) -> bool:
        """Wait until there is enough for a step, and lend it.

        A step that needs more than there is at all is lent it when nobody else has any: it then finds out itself.

        Parameters
        ----------
        who : object
            Whose step; has one loan at a time.
        n_bytes : int
            How much.
        is_gone : callable
            Whether it does not wait any more.

        Returns
        -------
        bool
            Whether it was lent.
        """
        with self._changed:
            self._waiting.append(who)
            try:
                while not self._can_lend(who, n_bytes):
                    if is_gone():
                        return False
                    self._changed.wait(0.1)
            finally:
                self._waiting.remove(who)
                self._changed.notify_all()
            self._lent[who] = n_bytes
            self.peak = max(self.peak, sum(self._lent.values()))
            return True

    def give_back(self, who: object) -> None:
        """Take a loan back, if there is one."""
        with self._changed:
            self._lent.pop(who, None)
            self._changed.notify_all()

    def _can_lend(self, who: object, n_bytes: int) -> bool:
        # In their order: a large step would wait for ever if small ones went past it.
        return self._waiting[0] is who and (not self._lent or sum(self._lent.values()) + n_bytes <= self.n_bytes)

"""No search for cycles of dead objects while files are listed: it stops all threads, the window's too.

Python searches all that it holds, once enough has been made since the last time. With a viewer open that takes a fifth
of a second on a quiet computer and half of one on a busy one, and the thousands of headers of a folder start it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_LOCK = Lock()
#: How many are at work, and whether Python searched by itself before the first of them.
_STATE = {"at work": 0, "was on": True}


@contextmanager
def unswept() -> Iterator[None]:
    """Keep Python from searching for dead cycles meanwhile, in all threads; for short work that makes no cycles.

    Work on several threads may ask for it at the same time: the last one to end turns the search on again, unless it
    was off before.
    """
    with _LOCK:
        if not _STATE["at work"]:
            _STATE["was on"] = gc.isenabled()
            gc.disable()
        _STATE["at work"] += 1
    try:
        yield
    finally:
        with _LOCK:
            _STATE["at work"] -= 1
            if not _STATE["at work"] and _STATE["was on"]:
                gc.enable()

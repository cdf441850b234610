"""How much memory this process may still take: of the computer, and of the limits that somebody set for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def free_memory() -> int:
    """Return the bytes that can still be taken without swapping, and within every limit of the process.

    Limits are the address space and the data segment (``ulimit -v``, ``ulimit -d``) and the control groups that
    containers and batch systems use, versions 1 and 2. What a limit counts besides this process, such as the other
    processes of a container, is taken off.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_process_limits(), *_cgroup_limits()]))


def _process_limits() -> Iterator[int]:
    """Yield what is left of the limits set for this process alone."""
    if sys.platform == "win32":
        return
    import resource

    import psutil

    used = psutil.Process().memory_info()
    for limit, taken in (("RLIMIT_AS", used.vms), ("RLIMIT_DATA", getattr(used, "data", used.rss))):
        if not hasattr(resource, limit):
            continue
        most, _ = resource.getrlimit(getattr(resource, limit))
        if most != resource.RLIM_INFINITY:
            yield int(most - taken)


def _cgroup_limits() -> Iterator[int]:
    """Yield what is left of the limit of every control group that this process is in, up to the root."""
    try:
        lines = _OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, most, used, idle = (
            (_CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else (_CGROUPS, "memory.max", "memory.current", "inactive_file")
        )
        folder = root / group.lstrip("/")
        for place in (folder, *folder.parents):
            limit, taken = _number(place / most), _number(place / used)
            if limit is not None and taken is not None:
                # pages of files that nobody waits for are given back before the limit is met
                yield limit - taken + _statistic(place / "memory.stat", idle)
            if place == root:
                break


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and int(text) < 1 << 60 else None  # "max", and version 1's way to say none


def _statistic(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = (line.split() for line in lines)
    return next((int(words[1]) for words in found if len(words) == 2 and words[0] == name), 0)

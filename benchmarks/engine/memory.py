"""Memory of a run from OME-Zarr to OME-Zarr, for scans of several sizes; and what a limit on the process does to it.

Every run is a process of its own; its peak resident memory is what the operating system says at its end. The scan is
smooth noise, written block by block. ``--limits`` runs each size under a limit of its address space, in GiB: it must
finish, or refuse before it begins; a process that is killed or runs out of memory midway is a failure.

The light network of 1024^3 and larger takes up to half an hour; `peers.py many` makes a model of 118 classes.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine, table
from napari_radcnn.errors import ExitStatus


def main() -> None:
    """Make the scans, run the model on each, print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a foreign model, such as that of benchmarks/engine")
    parser.add_argument("--folder", type=Path, required=True, help="where the scans are made")
    parser.add_argument("--sizes", nargs="+", default=["512x512x512", "2048x1024x1024"])
    parser.add_argument("--mode", choices=("reference", "fast"), default="fast")
    parser.add_argument("--limits", nargs="*", type=float, default=[], help="GiB")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parsed = parser.parse_args()
    rows = []
    for size in parsed.sizes:
        shape = tuple(int(n) for n in size.split("x"))
        scan = make_scan(parsed.folder, shape)
        for limit in parsed.limits or [None]:
            rows.append(_row(size, limit, _run(parsed.model, scan, limit, parsed.mode)))
            print(rows[-1], file=sys.stderr)
    head = ("scan", "limit GiB", "outcome", "peak resident GiB", "planned besides the scan GiB", "seconds")
    text = f"{machine()}\n\n{table(head, rows)}"
    print(text)
    parsed.out.mkdir(parents=True, exist_ok=True)
    kind = "limits" if parsed.limits else "memory"
    name = f"engine-{kind}-{time.strftime('%Y-%m-%d')}.md"
    about = f"`{parsed.model.name}` network, {parsed.mode} mode"
    (parsed.out / name).write_text(f"# python -m benchmarks.engine.memory\n\n{about}\n\n{text}\n", encoding="utf-8")


def make_scan(folder: Path, shape: tuple[int, ...]) -> Path:
    """Write smooth noise as an OME-Zarr scan of one resolution, slab by slab, unless it is there."""
    import zarr

    path = folder / f"{'x'.join(str(n) for n in shape)}.ome.zarr"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    shutil.rmtree(temporary, ignore_errors=True)
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 0.7, 0.7]}]
    levels = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    group = zarr.create_group(
        store=zarr.storage.LocalStore(temporary),
        zarr_format=3,
        attributes={"ome": {"version": "0.5", "multiscales": levels}},
    )
    chunk = 128
    array = group.create_array("0", shape=shape, chunks=tuple(min(chunk, n) for n in shape), dtype="int16")
    rng = np.random.default_rng(0)
    tile = rng.integers(-900, 300, (chunk // 8,) * 3).repeat(8, 0).repeat(8, 1).repeat(8, 2).astype(np.int16)
    slab = np.tile(tile, (1, -(-shape[1] // chunk), -(-shape[2] // chunk)))[:, : shape[1], : shape[2]]
    for first in range(0, shape[0], chunk):
        depth = min(chunk, shape[0] - first)
        array[first : first + depth] = slab[:depth]
    temporary.rename(path)
    return path


def _run(model: Path, scan: Path, limit: float | None, mode: str) -> dict[str, Any]:
    target = scan.with_name("labels.ome.zarr")
    for old in (
        target,
        target.with_name(f"{target.name}.radcnn.json"),
        target.with_name(f".radcnn-partial-{target.name}"),
    ):
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    words = ["run", str(model), str(scan), "-o", str(target), "--mode", mode, "--no-mirroring"]

    def limited() -> None:
        if limit is not None:
            most = int(limit * 2**30)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    started = time.perf_counter()
    plan = subprocess.run(
        [sys.executable, "-m", "napari_radcnn.cli", *words, "--plan"], capture_output=True, text=True, check=False
    )
    code = (
        "import resource, sys\n"
        "from napari_radcnn.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
        "sys.exit(status)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, preexec_fn=limited
    )
    peaks = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("PEAK")]
    errors = [line for line in done.stderr.splitlines() if line.startswith("radcnn: ") and "warning" not in line]
    return {
        "status": done.returncode,
        "peak": peaks[0] if peaks else None,
        "seconds": time.perf_counter() - started,
        "plan": plan.stdout.strip(),
        "error": errors[-1] if errors else done.stderr.strip()[-300:],
        "began": any("patch 1 of" in line for line in done.stderr.splitlines()),
    }


def _row(size: str, limit: float | None, found: dict[str, Any]) -> tuple[str, ...]:
    if found["status"] == 0:
        outcome = "finished"
    elif found["status"] == ExitStatus.RESOURCES and not found["began"]:
        outcome = "refused before it began"
    else:
        outcome = f"FAILED ({found['status']}): {json.dumps(found['error'])}"
    planned = next((part for part in found["plan"].split(" · ") if part.endswith("memory")), "-")
    return (
        size,
        "-" if limit is None else f"{limit:g}",
        outcome,
        "-" if found["peak"] is None else f"{found['peak'] / 2**30:.2f}",
        planned.removesuffix(" GiB memory"),
        f"{found['seconds']:.0f}",
    )


if __name__ == "__main__":
    main()

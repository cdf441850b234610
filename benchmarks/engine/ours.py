"""One run of ours for `benchmarks.engine`, in a process of its own so that its memory can be told."""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn


def main() -> None:
    """Predict the benchmark's volume and print what was measured as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--mode", choices=("reference", "fast"), default="reference")
    parser.add_argument("--precision", default="auto")
    parsed = parser.parse_args()
    array = np.load(parsed.folder / "volume.npy")
    affine = np.array([[0, 0, 0.7, 0], [0, 0.7, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    volume = radcnn.Volume(
        array, radcnn.Geometry(array.shape, affine), radcnn.VolumeMetadata(name="chest", modality="CT")
    )
    spec = radcnn.open_model(parsed.folder / parsed.network)
    options = {"mode": parsed.mode, "mirroring": False}
    expected = radcnn.plan(volume, spec, options, precision=parsed.precision)
    before = _resident()
    started = time.perf_counter()
    labels = radcnn.segment(volume, spec, options, precision=parsed.precision)
    seconds = time.perf_counter() - started
    out = parsed.folder / f"{parsed.network}-ours-{parsed.mode}-{parsed.precision}.npy"
    np.save(out, labels.array)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    facts = dict(labels.provenance["facts"])
    print(
        json.dumps(
            {
                "seconds": seconds,
                "peak_bytes": peak - before,
                "labels": str(out),
                "planned_seconds": expected.seconds,
                "planned_bytes": expected.memory_bytes,
                "patches": expected.patches,
                "precision": labels.provenance["precision"],
                "facts": facts,
                "warnings": list(labels.warnings),
            }
        )
    )


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()

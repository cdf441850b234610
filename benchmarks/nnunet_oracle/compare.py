"""Our pipeline against what nnU-Net's own predictor said: Dice of every class, for every model of `train.py`.

Runs in the project's own environment, see README.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.common import dice, table
from napari_radcnn.foreign.nnunet.open import open_nnunet

_PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Print one line a model, choice of folds and scan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--precisions", nargs="+", default=list(_PRECISIONS))
    arguments = parser.parse_args()
    rows = []
    for folder in sorted((arguments.models / "results").glob(f"*{arguments.only}*/*__*__*")):
        kept = arguments.reference / folder.parent.name
        for choice in sorted((kept / folder.name.rpartition("__")[2]).iterdir()):
            for case in sorted(choice.glob("*.nii.gz")):
                row = compare(folder, kept, choice, case, arguments.precisions)
                print("  ".join(row), flush=True)
                rows.append(row)
    print(table(("model", "folds", "scan", *arguments.precisions, "nnU-Net against the truth"), rows))


def compare(folder: Path, kept: Path, choice: Path, case: Path, precisions: list[str]) -> tuple[str, ...]:
    """Return the Dice coefficients with nnU-Net's labels, for each class."""
    name = case.name.removesuffix(".nii.gz")
    scans = [radcnn.read(path)[0] for path in sorted((kept / "images").glob(f"{name}_*.nii.gz"))]
    reference, truth = radcnn.read(case)[0].array, radcnn.read(kept / "truth" / case.name)[0].array
    spec = open_nnunet(folder)
    folds, _, rest = choice.name.partition("_")
    options = {"folds": folds.replace("-", ","), "mirroring": "nomirror" not in rest}
    found = []
    for precision in precisions:
        clock = time.perf_counter()
        labels = radcnn.segment(scans if len(scans) > 1 else scans[0], spec, options, device="cpu", precision=precision)
        seconds = time.perf_counter() - clock
        backend = labels.provenance["facts"]["backend"]
        found.append(f"{_each(labels.array, reference, list(spec.labels))} ({backend}, {seconds:.1f} s)")
    row = (folder.parent.name.partition("_")[2] + " " + folder.name.rpartition("__")[2], choice.name, name)
    return (*row, *found, _each(reference, truth, list(spec.labels)))


def _each(first: np.ndarray, second: np.ndarray, values: list[int]) -> str:
    return " ".join(f"{dice(first == value, second == value):.5f}" for value in values)


if __name__ == "__main__":
    main()

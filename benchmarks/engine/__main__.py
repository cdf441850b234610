"""The engine beside MONAI's sliding window and nnU-Net's predictor: same weights, same volume, one after the other.

Needs a Python with nnunetv2 and monai in an environment of its own (``--peers``) and a thin-slice chest CT
(``--scan``); the networks are fitted on one half of it, for ``--minutes`` each, and kept in ``--folder`` for the next
time. Every run is a process of its own; rounds are interleaved, figures are medians. Not part of ``make benchmarks``:
it takes an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, ROOT, machine, table

_PEERS = Path(__file__).with_name("peers.py")
_CLASSES = {1: "lung", 2: "bone", 3: "tissue"}
_OURS = {
    "ours, reference": ("reference", "auto"),
    "ours, reference, float32": ("reference", "float32"),
    "ours, fast": ("fast", "auto"),
}


def main() -> None:
    """Make the networks where they are missing, run everybody, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True, help="Python with nnunetv2 and monai")
    parser.add_argument("--folder", type=Path, required=True, help="where networks and volume are kept")
    parser.add_argument("--scan", type=Path, required=True, help="chest CT, thin slices, HU")
    parser.add_argument("--networks", nargs="+", default=["light", "heavy"])
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the output")
    parsed = parser.parse_args()
    parts = [machine(), f"convolution, bfloat16: {convolution_peak() / 1e12:.2f} TFLOP/s measured"]
    for network in parsed.networks:
        if not (parsed.folder / network / "fold_0" / "checkpoint_final.pth").exists():
            _peer(parsed, "make", network)
        parts.append(measure(parsed, network))
    text = "\n\n".join(parts)
    print(text)
    parsed.out.mkdir(parents=True, exist_ok=True)
    name = f"engine-{time.strftime('%Y-%m-%d')}.md"
    (parsed.out / name).write_text(f"# python -m benchmarks.engine\n\n{text}\n", encoding="utf-8")


def measure(parsed: argparse.Namespace, network: str) -> str:
    """Return the table of one network."""
    runs: dict[str, list[dict[str, Any]]] = {}
    # A first run of ours chooses the backend and remembers it; later runs do as a user's second run does.
    first = {name: _ours(parsed, network, *how) for name, how in _OURS.items()}
    for _ in range(parsed.rounds):
        for name, how in _OURS.items():
            runs.setdefault(name, []).append(_ours(parsed, network, *how))
        runs.setdefault("MONAI, float32", []).append(_peer(parsed, "monai", network))
        runs.setdefault("nnU-Net, float32", []).append(_peer(parsed, "nnunet", network))
    truth = np.load(parsed.folder / "truth.npy")
    labels = {name: np.load(found[-1]["labels"]) for name, found in runs.items()}
    seconds = {name: statistics.median(run["seconds"] for run in found) for name, found in runs.items()}
    rows = []
    for name, found in runs.items():
        last = found[-1]
        agreement = min(_dice(labels[name] == c, labels["nnU-Net, float32"] == c) for c in _CLASSES)
        against = [_dice(labels[name] == c, truth == c) for c in _CLASSES]
        planned = last.get("planned_seconds")
        rows.append(
            (
                name,
                f"{seconds[name]:.1f}",
                f"{seconds['MONAI, float32'] / seconds[name]:.1f}x",
                f"{seconds['nnU-Net, float32'] / seconds[name]:.1f}x",
                f"{last['peak_bytes'] / 2**30:.2f}",
                f"{agreement:.5f}",
                " / ".join(f"{value:.4f}" for value in against),
                "-" if planned is None else f"{planned:.1f} s, {last['planned_bytes'] / 2**30:.2f} GiB",
                f"{first[name]['seconds']:.1f}" if name in first else "-",
            )
        )
    head = (
        f"{network} net",
        "seconds",
        "to MONAI",
        "to nnU-Net",
        "peak GiB",
        "worst Dice to nnU-Net",
        "Dice to truth: " + " / ".join(_CLASSES.values()),
        "planned",
        "first run, s",
    )
    return table(head, rows)


def convolution_peak() -> float:
    """Return the most operations a second that a 3-D convolution reached here in bfloat16, channels last."""
    import torch

    layer = torch.nn.Conv3d(128, 128, 3, padding=1).to(torch.bfloat16).to(memory_format=torch.channels_last_3d)
    image = torch.randn(1, 128, 48, 48, 48, dtype=torch.bfloat16).to(memory_format=torch.channels_last_3d)
    operations = 2 * 48**3 * 128 * 128 * 27
    with torch.inference_mode():
        layer(image)
        seconds = []
        for _ in range(7):
            started = time.perf_counter()
            layer(image)
            seconds.append(time.perf_counter() - started)
    return operations / min(seconds)


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    both = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / both if both else 1.0


def _ours(parsed: argparse.Namespace, network: str, mode: str, precision: str) -> dict[str, Any]:
    return _run(
        [
            sys.executable,
            "-m",
            "benchmarks.engine.ours",
            "--folder",
            str(parsed.folder),
            "--network",
            network,
            "--mode",
            mode,
            "--precision",
            precision,
        ]
    )


def _peer(parsed: argparse.Namespace, what: str, network: str) -> dict[str, Any]:
    command = [str(parsed.peers), str(_PEERS), what, "--network", network]
    command += ["--folder", str(parsed.folder)]
    if what == "make":
        command += ["--scan", str(parsed.scan), "--minutes", str(parsed.minutes)]
    return _run(command)


def _run(command: list[str]) -> dict[str, Any]:
    print(" ".join(command), file=sys.stderr)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    lines = done.stdout.strip().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


if __name__ == "__main__":
    main()

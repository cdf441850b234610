"""Small cohorts for tests: scans with a known number of bright voxels, a cheap model, and what a run left."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
import toy_package
from napari_radcnn.phantom import oblique_geometry

MODEL = "toy-waiting"
#: A model that labels what is brighter than its option says, after a while; some values of the scan spoil it.
_WAITING = """
import os, signal, time
from dataclasses import dataclass
import numpy as np
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome
from napari_radcnn.results import Label
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option


@dataclass(frozen=True)
class Options(CheckedOptions):
    value: float = option(100.0, title="Value", help="What the labels are brighter than")
    seconds: float = option(0.0, title="Time", help="How long it takes.", unit="s")
    rounds: int = option(0, title="Work", help="Rounds of arithmetic, each of the same length.")
    memory_bytes: int = option(1000, title="Memory", help="What it says it needs.")


SPEC = ModelSpec(
    name="toy-waiting", title="Waiting", task="segmentation", version="1", summary="Waits.", modalities=(),
    pipeline=__name__, options=Options, licence="BSD-3-Clause", citation="none", card="card.md",
    labels={1: Label("bright", (1.0, 0.8, 0.0))},
)


def plan(request):
    return Plan(request.spec.name, 1, request.volume.geometry.shape, request.options.memory_bytes)


def run(request, monitor):
    monitor.say("waiting")
    until = time.monotonic() + request.options.seconds
    while time.monotonic() < until:
        time.sleep(0.02)
        monitor.check()
    numbers = np.arange(1 << 16, dtype=np.float64)
    for _ in range(request.options.rounds):
        numbers = np.sqrt(numbers * numbers + 1.0)
    marks = os.environ.get("TOY_MARKS")
    if marks:
        with open(marks, "a") as file:
            file.write(request.volume.name + chr(10))
    corner = float(request.volume.array[0, 0, 0])
    if corner == 9001:
        os.kill(os.getpid(), signal.SIGKILL)
    if corner == 9002:
        time.sleep(3600)
    if corner == 9003:
        raise ZeroDivisionError("a fault of the model")
    if corner == 9004:
        raise MemoryError
    array = (request.volume.array > request.options.value).astype(np.uint8)
    monitor.step("compared")
    return Outcome("cpu", "float32", array=array)
"""


def lay_out_model(place: Path) -> Path:
    """Put the model into a folder that goes to ``PYTHONPATH`` or `toy_package.installed`, and return that."""
    entries = {"napari_radcnn.models": {MODEL: "toy_waiting:SPEC"}}
    return toy_package.lay_out_module(place, "toy-waiting", _WAITING, entries)


def scan(number: int, corner: float = 0.0) -> radcnn.Volume:
    """Return a scan of 5 x 6 x 7 voxels, 10 + `number` of which are brighter than 100."""
    geometry = oblique_geometry((5, 6, 7))
    array = np.random.default_rng(number).integers(1, 90, geometry.shape).astype(np.int16)
    array.reshape(-1)[1 : 11 + number] = 200
    array[0, 0, 0] = corner
    return radcnn.Volume(array, geometry, radcnn.VolumeMetadata(modality="MR", name=f"scan {number}"))


def expected_ml(number: int) -> float:
    """Return what the model finds in it, ml."""
    return (10 + number) * scan(number).geometry.voxel_volume / 1000


def write_cohort(folder: Path, n: int, corners: Mapping[int, float] | None = None) -> Path:
    """Write scans and their list, and return the list."""
    folder.mkdir(exist_ok=True)
    lines = ["case,patient,image,age"]
    for number in range(n):
        radcnn.write(scan(number, (corners or {}).get(number, 0.0)), folder / f"scan{number:03}.nii.gz")
        lines.append(f"c{number:03},p{number // 2},scan{number:03}.nii.gz,{40 + number}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "cases.csv"


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a table, by case, in order."""
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def table_without_times(out: Path) -> list[dict[str, str]]:
    """Return the rows of a table without the column that differs from run to run."""
    return [{key: cell for key, cell in row.items() if key != "seconds"} for row in rows_of(out).values()]


def hashes_of(out: Path) -> dict[str, dict[str, str]]:
    """Return the hashes of all results that the records name, checked against the files."""
    from napari_radcnn.files import file_hash

    found = {}
    for path in sorted((out / "records").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        files = {name: sha256 for step in record["steps"] for name, sha256 in step["files"].items()}
        assert files == {name: file_hash(out / record["folder"] / name) for name in files}
        found[record["case"]] = files
    return found


def environment(models: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process that finds the model."""
    source = Path(radcnn.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (source, models))), "OMP_NUM_THREADS": "1", **more}


@contextmanager
def started(words: Sequence[str], models: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command line in a process of its own; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_radcnn.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(models, **more),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finished(words: Sequence[str], models: Path, **more: str) -> tuple[int, str, str]:
    """Run the command line in a process of its own to its end; return status, output and errors."""
    with started(words, models, **more) as process:
        out, errors = process.communicate(timeout=1800)
        return process.returncode, out, errors

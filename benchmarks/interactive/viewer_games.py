"""Games with a real mouse in the real viewer: six objects, clicked until they are right, and what is seen then.

    python -m benchmarks.interactive.viewer_games --data DIR

The simulated user looks at the viewer's own mask, scrolls to the middle of the largest error and presses a button of
the mouse there, the left one for what is missing, the right one for what is too much. The table and a picture of the
whole window for each object are written into ``results/games``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from qtpy.QtWidgets import QApplication

from benchmarks.common import machine, table
from benchmarks.interactive.loop import Screen, click_at, pump_until
from benchmarks.interactive.scans import SCANS, read_scan, truths
from napari_radcnn.files import atomic_path
from napari_radcnn.interactive.simulate import next_click
from napari_radcnn.interactive.update import Mask
from napari_radcnn.metrics import dice
from napari_radcnn.training.few_clicks.choice import with_lesion
from napari_radcnn.volume import Volume

_OUT = Path(__file__).parents[1] / "results" / "games"
_GOAL, _CLICKS = 0.85, 10
#: Scan and object; a lump is painted into the liver of the first as its tumor.
_OBJECTS = (
    ("example_ct", "liver"),
    ("example_ct", "kidney_right"),
    ("example_ct", "vertebrae_L2"),
    ("example_ct", "tumor"),
    ("cord_t1", "spinal_cord"),
    ("cord_t2_lesion", "lesion_artificial"),
)
#: ml of the tumor; tries to find it a place.
_TUMOR, _TRIES = (4.0, 60.0), 400


def tumor_in(volume: Volume, liver: Mask) -> tuple[Volume, Mask]:
    """Return a scan with a lump painted into its liver, and the lump.

    Raises
    ------
    ValueError
        If no place was met in all tries.
    """
    voxel = float(np.prod(volume.geometry.spacing)) / 1000
    for seed in range(_TRIES):
        made = with_lesion(volume, np.random.default_rng(seed))
        if made is None or not _TUMOR[0] <= np.count_nonzero(made[1]) * voxel <= _TUMOR[1]:
            continue
        if (made[1] & liver).sum() == made[1].sum():
            return made
    raise ValueError(f"{volume.name}: none of {_TRIES} lumps lies in the liver.")


def cases(data: Path) -> Iterator[tuple[str, str, Volume, Mask]]:
    """Yield the name of a scan and of an object, the scan, and the object on its grid."""
    for name in dict.fromkeys(name for name, _ in _OBJECTS):
        scan = next(scan for scan in SCANS if scan.name == name)
        volume = read_scan(scan, data)
        known = dict(truths(scan, data, volume))
        for _, thing in (pair for pair in _OBJECTS if pair[0] == name):
            if thing == "tumor":
                changed, lump = tumor_in(volume, known["liver"])
                yield name, thing, replace(changed, metadata=volume.metadata), lump
            else:
                yield name, thing, volume, known[thing]


def played(volume: Volume, truth: Mask, picture: Path) -> tuple[list[float], list[float]]:
    """Play an object, keep what the window shows at the end, and return the Dice and seconds of every click."""
    screen = Screen(volume)
    screen.viewer.window.resize(1366, 768)
    screen.start("few-clicks")
    if screen.failures:
        raise RuntimeError(screen.failures[0])
    overlaps: list[float] = []
    seconds: list[float] = []
    taken: list[tuple[int, int, int]] = []
    while len(overlaps) < _CLICKS and (not overlaps or overlaps[-1] < _GOAL):
        session = screen.dock.editing.session
        seen = session.mask(session.active) if session.objects else np.zeros_like(truth)
        click = next_click(truth, seen, volume.geometry.spacing, taken)
        if click is None:
            break
        taken.append(click.index)
        seconds.append(click_at(screen, volume, click))
        overlaps.append(dice(truth, session.mask(session.active)))
    middle = next_click(truth, np.zeros_like(truth), volume.geometry.spacing)
    assert middle is not None
    screen.show(volume.geometry.to_world(middle.index))
    pump_until(lambda: False, 1.0)
    picture.parent.mkdir(parents=True, exist_ok=True)
    window = screen.viewer.window
    window.screenshot(str(picture), size=None, flash=False, canvas_only=False)
    screen.dock.end()
    pump_until(lambda: screen.dock.editing is None)
    screen.viewer.close()
    QApplication.processEvents()
    return overlaps, seconds


def report(data: Path, out: Path) -> str:
    """Play all, and return the table as Markdown."""
    rows = []
    for scan, thing, volume, truth in cases(data):
        overlaps, seconds = played(volume, truth, out / f"{scan}-{thing}.png")
        row = [f"{value:.2f}" for value in overlaps]
        rows.append((scan, thing, " ".join(row), len(row), f"{np.median(seconds):.2f}", f"{max(seconds):.2f}"))
        print(*rows[-1], flush=True)
    heads = ("scan", "object", "Dice after each click", "clicks", "median s from press to mask", "longest")
    what = (
        f"Each object is clicked until its Dice is {_GOAL}, {_CLICKS} times at most. The tumor is a lump painted into "
        "the liver of the CT; the maps of the CT are TotalSegmentator's, the cord's was drawn by hand, the lesion was "
        "made artificially. `ct-organs`, which proposes the liver, has learned from this CT; `few-clicks` has not."
    )
    parts = ["# Six objects in the viewer", "Written by `python -m benchmarks.interactive.viewer_games`.", what]
    return "\n\n".join([*parts, table(heads, rows), f"Measured on: {machine()}."])


def main() -> None:
    """Play, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the scans")
    parser.add_argument("--out", type=Path, default=_OUT, help="folder of the table and pictures")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RADCNN_SESSIONS"] = folder
        told = report(parsed.data, parsed.out)
    print(told)
    parsed.out.mkdir(parents=True, exist_ok=True)
    with atomic_path(parsed.out / "games.md", overwrite=True) as path:
        path.write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

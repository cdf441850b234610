"""Draw what each model does worst on data that no training saw: ``python -m benchmarks failures --data DIR``.

What is shown is chosen by a rule, not by hand: the most confident mistakes, the slice with the most wrong voxels. Each
model's picture and a text that says what it shows go to ``docs/models``, where `make cards` puts them under its card.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

import napari_radcnn as radcnn
from benchmarks.models.classifiers import measure as classifiers
from benchmarks.models.ct_denoise import measure as low_dose
from benchmarks.models.lung_nodules import measure as inserted
from benchmarks.models.super_resolution import measure as thick
from napari_radcnn.models import get_model
from napari_radcnn.models.ct_tissues import spec as ct_tissues
from napari_radcnn.training.classifiers import adrenal_mass, cxr_pneumonia
from napari_radcnn.training.classifiers.learn import find_file, load_split

MODELS = Path(__file__).parent.parent / "docs" / "models"
#: Height of a panel in the picture and the space between two, in pixels.
_HEIGHT, _GAP = 220, 8
#: Slices from below, as on a radiologist's screen: axes towards the head, the back and the patient's left.
_AXES = "SPL"
_WORD, _MISSING, _WRONG = (255, 230, 120), (86, 180, 233), (255, 140, 60)
_Floats = npt.NDArray[np.floating[Any]]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Panel:
    """A picture ``(rows, columns)`` in 0..1 with a word on it, and areas that are painted over it."""

    shades: _Floats
    word: str
    missing: _Mask | None = None
    wrong: _Mask | None = None

    def drawn(self) -> Image.Image:
        """Return the picture in the height of all panels."""
        rgb = np.repeat(np.clip(self.shades, 0, 1)[..., None] * 255, 3, axis=-1).astype(np.uint8)
        for area, color in ((self.missing, _MISSING), (self.wrong, _WRONG)):
            if area is not None:
                rgb[area] = (0.4 * rgb[area] + 0.6 * np.array(color)).astype(np.uint8)
        width = round(_HEIGHT * rgb.shape[1] / rgb.shape[0])
        picture = Image.fromarray(rgb).resize((width, _HEIGHT), Image.Resampling.BICUBIC)
        font = ImageFont.load_default(size=13)
        ImageDraw.Draw(picture).text((6, 4), self.word, fill=_WORD, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
        return picture


Failures = tuple[list[Panel], str]


def pneumonia(data: Path) -> Failures:
    """Return the radiographs that `cxr-pneumonia` is most surely wrong about."""
    pictures, truth = load_split(find_file(data, cxr_pneumonia.FILE), "test")
    said = classifiers.probabilities_of(get_model("cxr-pneumonia"), [classifiers.radiograph(one) for one in pictures])
    worst = _most_wrong(said, truth)
    panels = [Panel(pictures[n] / 255, _verdict(said[n], truth[n], "pneumonia")) for n in worst]
    return panels, _confident(said, truth, worst, "radiographs", "pneumonia")


def adrenal(data: Path) -> Failures:
    """Return the glands that `adrenal-mass` is most surely wrong about, seen from the front."""
    masks, truth = load_split(find_file(data, adrenal_mass.FILE), "test")
    said = classifiers.probabilities_of(get_model("adrenal-mass"), [classifiers.gland(one) for one in masks])
    worst = _most_wrong(said, truth)
    panels = [Panel((masks[n] > 0).mean(1) * 3, _verdict(said[n], truth[n], "mass")) for n in worst]
    return panels, _confident(said, truth, worst, "outlined glands", "mass") + " Brightness is depth."


def _most_wrong(said: _Floats, truth: npt.NDArray[np.int64]) -> list[int]:
    """Return three cases that were missed and three false alarms, the surest first."""
    missed, alarms = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    missed, alarms = missed[said[missed] < 0.5], alarms[said[alarms] > 0.5]
    return [*missed[np.argsort(said[missed])][:3], *alarms[np.argsort(-said[alarms])][:3]]


def _verdict(said: float, truth: int, finding: str) -> str:
    return f"{finding} {said:.2f}; is {finding if truth else 'normal'}"


def _confident(said: _Floats, truth: npt.NDArray[np.int64], worst: list[int], what: str, finding: str) -> str:
    missed, alarms = int(np.sum((truth == 1) & (said < 0.5))), int(np.sum((truth == 0) & (said > 0.5)))
    return (
        f"Of the {len(truth)} {what} of the test split, the {len(worst)} it is most surely wrong about (at 0.5 it "
        f"misses {missed} and gives {alarms} false alarms): what it says of {finding}, and what it is."
    )


def brain(data: Path) -> Failures:
    """Return the slice in which `brain-tissue` names FLAIR and T1 of one patient least alike."""
    scans = {
        name: radcnn.read(data / "mr_stroke_t1_t2_flair" / f"{name}.nii.gz")[0].reoriented(_AXES)
        for name in ("T1", "FLAIR")
    }
    found = {name: radcnn.segment(scan, "brain-tissue").array == 3 for name, scan in scans.items()}
    differs = found["T1"] != found["FLAIR"]
    k = int(differs.sum((1, 2)).argmax())
    panels = []
    for name, scan in scans.items():
        shades = scan.array[k] / np.quantile(scan.array[scan.array > 0], 0.99)
        panels.append(Panel(shades, name))
        panels.append(Panel(shades, f"{name}: white matter", missing=found[name][k]))
    return panels, (
        "The slice of the stroke patient in which white matter of FLAIR and of T1 differ most: "
        f"{int(differs[k].sum())} voxels, against {int((found['T1'] & found['FLAIR'])[k].sum())} in which both find it."
    )


def denoise(data: Path) -> Failures:
    """Return the part of the held-out slices where `ct-denoise` is farthest from full dose, at a tenth of it."""
    side, rows = 48, []
    for scan in low_dose.load(data)[:3]:
        low = scan.at(0.1)
        full, given, made = (a[0] for a in (scan.full[low_dose.MIDDLE], low.array, low_dose.ours(low, 0)))
        soft = (full > -160) & (full < 240)
        error = np.where(soft, np.abs(made - full), 0)
        for y, x in np.ndindex(*(n // side for n in full.shape)):
            box = (slice(y * side, (y + 1) * side), slice(x * side, (x + 1) * side))
            rows.append((float(error[box].mean()), scan.name, [one[box] for one in (full, given, made)]))
    worst, name, parts = max(rows, key=lambda row: row[0])
    words = ("full dose", "a tenth of it", "denoised")
    panels = [Panel((part + 160) / 400, word) for part, word in zip(parts, words, strict=True)]
    panels.append(Panel((parts[2] - parts[0] + 60) / 120, "denoised - full dose, 60 HU"))
    return panels, (
        f"Of the held-out single slices at a tenth of the dose, the square of {side} pixels of the largest mean error "
        f"in soft tissue: {name}, {worst:.1f} HU. Fine detail weaker than the noise is lost, and what looks like "
        "structure afterwards may be noise."
    )


def thin_slices(name: str) -> Callable[[Path], Failures]:
    """Return what finds the thin slice that a model of super-resolution is farthest from, at a factor of 5."""

    def draw(data: Path) -> Failures:
        rows = []
        for path in thick.HELD_OUT[name]:
            scan = thick.cut(radcnn.read(data / path)[0].reoriented(_AXES), 96)
            truth, spline, made = thick.made_thin(name, scan, 0, 5, "box")
            error = np.abs(made - truth).mean((1, 2)) / np.ptp(np.quantile(truth, (0.01, 0.99)))
            n = int(error.argmax())
            rows.append((float(error[n]), path, n, [one[n] for one in (truth, spline, made)]))
        worst, path, n, parts = max(rows, key=lambda row: row[0])
        low, high = np.quantile(parts[0], (0.01, 0.99))
        words = ("measured", "spline, factor 5", "network, factor 5")
        panels = [Panel((part - low) / (high - low), word) for part, word in zip(parts, words, strict=True)]
        return panels, (
            f"The thin slice of the held-out scans that it is farthest from when slices five times as thick are all it "
            f"gets: slice {n} of {Path(path).parent.name}, mean error {100 * worst:.1f} % of the range of gray values. "
            "Detail between thick slices is not there."
        )

    return draw


def tissues(data: Path) -> Failures:
    """Return the slice in which `ct-tissues` finds muscle least as the reference does."""
    folder = data / "ct_totalsegmentator"
    names = ("example_ct_sm", "example_seg_tissue_types/skeletal_muscle")
    scan, reference = (radcnn.read(folder / f"{name}.nii.gz")[0].reoriented(_AXES) for name in names)
    theirs = np.asarray(reference.array) > 0
    ours = radcnn.segment(scan, "ct-tissues").array == ct_tissues.MUSCLE
    k = int((theirs != ours).sum((1, 2)).argmax())
    shades = (scan.array[k] + 160) / 400
    missing, wrong = (theirs & ~ours)[k], (ours & ~theirs)[k]
    return [Panel(shades, "CT"), Panel(shades, "muscle: missed, wrongly found", missing, wrong)], (
        f"The slice of the abdomen scan in which muscle differs most from the reference: blue is missed "
        f"({int(missing.sum())} voxels), orange found where the reference (a network's, not a reader's) has none "
        f"({int(wrong.sum())} voxels)."
    )


def nodules(data: Path) -> Failures:
    """Return the synthetic nodules that `lung-nodules` scores lowest, and what it takes for one most surely."""
    rounds = inserted.rounds_of(data / inserted.PULMONARY, 3, 10, 1)
    lowest, wrong = [], []
    for number, one in enumerate(rounds):
        for put in one.put:
            hits = [box.score for box in one.found if inserted.is_hit(box, put.detection)]
            lowest.append((max(hits, default=0.0), number, put))
        there = [put.detection for put in one.put]
        away = [box for box in one.found if not any(inserted.is_hit(box, other) for other in there)]
        wrong += [(box.score, number, box) for box in away]
    lowest = sorted(lowest, key=lambda row: row[0])[:3]
    places = {tuple(round(c / 10) for c in box.center): (score, n, box) for score, n, box in sorted(wrong, key=_score)}
    wrong = sorted(places.values(), key=_score)[:-4:-1]  # each place once: all copies are of one scan
    panels = [
        Panel(
            _around(rounds[number].scan, put.detection.center),
            f"{put.kind} {put.detection.size[0]:.0f} mm: {score:.2f}",
        )
        for score, number, put in lowest
    ]
    panels += [Panel(_around(rounds[n].scan, box.center), f"no nodule: {score:.2f}") for score, n, box in wrong]
    count = sum(len(one.put) for one in rounds)
    return panels, (
        f"Of {count} synthetic nodules in {len(rounds)} copies of a held-out scan, the three with the lowest scores, "
        "and the three places without one that got the highest; each in the middle of a square of 50 mm."
    )


def _score(row: tuple[float, int, radcnn.results.Detection]) -> float:
    return row[0]


def _around(scan: radcnn.Volume, center: tuple[float, float, float]) -> _Floats:
    """Return the part of a slice around a place, 50 mm wide, in the window of the lung."""
    upright = scan.reoriented(_AXES)
    k, j, i = (round(float(n)) for n in upright.geometry.to_index(center))
    rows, columns = (round(25 / step) for step in upright.geometry.spacing[1:])
    padded = np.pad(upright.array[k], ((rows, rows), (columns, columns)), constant_values=-1000)
    return (padded[j : j + 2 * rows + 1, i : i + 2 * columns + 1] + 1100.0) / 1400


DRAWN: Mapping[str, Callable[[Path], Failures]] = {
    "adrenal-mass": adrenal,
    "brain-tissue": brain,
    "ct-denoise": denoise,
    "ct-super-resolution": thin_slices("ct-super-resolution"),
    "ct-tissues": tissues,
    "cxr-pneumonia": pneumonia,
    "lung-nodules": nodules,
    "mr-super-resolution": thin_slices("mr-super-resolution"),
}


def draw(name: str, data: Path) -> None:
    """Write the picture and the text of a model."""
    panels, text = DRAWN[name](data)
    pictures = [panel.drawn() for panel in panels]
    whole = Image.new("RGB", (sum(one.width + _GAP for one in pictures) - _GAP, _HEIGHT), (255, 255, 255))
    left = 0
    for one in pictures:
        whole.paste(one, (left, 0))
        left += one.width + _GAP
    MODELS.mkdir(exist_ok=True)
    whole.save(MODELS / f"{name}.png", optimize=True)
    (MODELS / f"{name}.failures.txt").write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks failures", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the scans")
    parser.add_argument("--only", choices=sorted(DRAWN), action="append", default=None, metavar="NAME")
    chosen = parser.parse_args(arguments)
    for name in chosen.only or DRAWN:
        draw(name, chosen.data)
        print(f"written: docs/models/{name}.png")

"""How much `ct-super-resolution` and `mr-super-resolution` gain over the spline when the scan changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.models.adversary import Step, attacked, other_values
from benchmarks.models.changes import Changed, ct_changes, mr_changes
from benchmarks.models.panels import AXES
from benchmarks.models.robustness import Row, Trial
from benchmarks.models.super_resolution import measure
from napari_radcnn.models.super_resolution.network import CHANNELS
from napari_radcnn.volume import Volume

#: How many thin slices a thick one is made of; voxels of the middle of a scan along each axis.
_FACTOR, _LARGEST = 3, 96
#: Planes among the channels: one unit of the network is 1000 HU, or the brightest tissue of an MR.
_PLANES = tuple(1.0 if n < 3 else 0.0 for n in range(CHANNELS))
_STEPS = {
    "ct-super-resolution": Step(
        "a step of 5 HU against the network", 0.005, _PLANES, other_values, (-1.1, 3.1), is_random=True
    ),
    "mr-super-resolution": Step(
        "a step of 1% of the range against the network", 0.01, _PLANES, other_values, (-1.0, 4.0), is_random=True
    ),
}
#: Share of the gain as it is from which the least one hardly matters; below 0 dB the spline is better.
_HOLDS, _BREAKS = 0.5, 0.0


def trial_of(name: str) -> Callable[[Path], Trial]:
    """Return what tries a model on its held-out scans."""
    changes = ct_changes if name.startswith("ct") else mr_changes

    def trial(data: Path) -> Trial:
        scans = [measure.cut(radcnn.read(data / path)[0].reoriented(AXES), _LARGEST) for path in measure.HELD_OUT[name]]
        plain = float(np.mean([_gain(name, scan, scan) for scan in scans]))
        return Trial(
            f"The {len(scans)} held-out scans, cut, with slices {_FACTOR} times as thick along the patient's long axis",
            "The gain over the cubic spline, against thin slices that were changed in the same way; for noise, against "
            f"those without it. The mean gain as they are: {plain:.2f} dB.",
            "least gain, dB",
            _HOLDS * plain,
            _BREAKS,
            _rows(name, scans, changes),
        )

    return trial


def _rows(name: str, scans: list[Volume], changes: Callable[[Volume], Iterator[Changed]]) -> Iterator[Row]:
    for made in zip(*(changes(scan) for scan in scans), strict=True):
        if any(one.scan.geometry.shape != scan.geometry.shape for one, scan in zip(made, scans, strict=True)):
            continue  # thicker slices are what the factors in the other table are
        gains = [_gain(name, one.scan, one.reference) for one in made]
        yield {"change": made[0].title, "mean gain, dB": float(np.mean(gains)), "least gain, dB": min(gains)}
    with attacked(_STEPS[name]):
        gains = [_gain(name, scan, scan) for scan in scans]
    yield {"change": _STEPS[name].title, "mean gain, dB": float(np.mean(gains)), "least gain, dB": min(gains)}


def _gain(name: str, scan: Volume, reference: Volume) -> float:
    """Return by how many dB the thin slices made of thick ones are nearer to a reference than the spline's."""
    thin, spline, restored = measure.made_thin(name, scan, 0, _FACTOR, "box")
    wanted = np.asarray(reference.array, np.float64)[: len(thin)]
    errors = [float(np.mean((values - wanted) ** 2)) for values in (spline, restored)]
    return 10 * float(np.log10(errors[0] / errors[1]))


#: What tries each model.
ROBUSTNESS = {name: trial_of(name) for name in measure.NAMES}

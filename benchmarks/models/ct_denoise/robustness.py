"""How much noise `ct-denoise` takes off a quarter of the dose when kernel, texture or position change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.models.adversary import Step, attacked, other_values
from benchmarks.models.changes import AIR, DEGREES
from benchmarks.models.ct_denoise import measure
from benchmarks.models.ct_denoise.measure import Floats, Scan
from benchmarks.models.robustness import Row, Trial
from napari_radcnn.metrics.images import body_mask, image_errors
from napari_radcnn.models.ct_denoise.network import CHANNELS, SLICES, UNIT

#: HU, against each of the slices that the network is shown.
_STEP = Step(
    "a step of 5 HU against the network",
    5.0,
    tuple(1 / UNIT if n < SLICES else 0.0 for n in range(CHANNELS)),
    other_values,
    is_random=True,
)
_DOSE = 0.25
#: HU of soft tissue.
_TISSUE = (-160.0, 240.0)
#: Share of what it takes off a scan as it is, from which a change hardly matters, and below which it breaks.
_HOLDS, _BREAKS = 0.9, 0.5


def trial(data: Path) -> Trial:
    """Return how the held-out slices are denoised after each change."""
    scans = measure.load(data)
    plain = np.mean([_taken(scan) for scan in scans])
    return Trial(
        "The held-out slices at a quarter of the dose",
        "How much of the error in soft tissue is taken off; the reference at full dose is changed alike. "
        f"As they are: {plain:.2f}.",
        "taken off",
        float(_HOLDS * plain),
        float(_BREAKS * plain),
        _rows(scans),
    )


def _rows(scans: list[Scan]) -> Iterator[Row]:
    for title, change in _changes().items():
        yield {"change": title, "taken off": float(np.mean([_taken(change(scan)) for scan in scans]))}
    taken = [_taken(scan, _STEP) for scan in scans]
    yield {"change": _STEP.title, "taken off": float(np.mean(taken))}


def _changes() -> dict[str, Callable[[Scan], Scan]]:
    """Return what changes a scan at full dose and its noise, by title."""

    def both(change: Callable[[Floats], Floats]) -> Callable[[Scan], Scan]:
        return lambda scan: Scan(scan.name, change(scan.full), scan.spacing, change(scan.drawn))

    def turned(scan: Scan) -> Scan:
        def turn(array: Floats, outside: float) -> Floats:
            return ndimage.rotate(array, DEGREES, axes=(1, 2), reshape=False, order=1, cval=outside)

        return Scan(scan.name, turn(scan.full, AIR), scan.spacing, turn(scan.drawn, 0.0))

    def white(scan: Scan) -> Scan:
        drawn = np.random.default_rng(0).standard_normal(scan.drawn.shape, np.float32) * scan.drawn.std()
        return Scan(scan.name, scan.full, scan.spacing, drawn)

    return {
        "sharper kernel": both(lambda array: 2 * array - ndimage.gaussian_filter(array, (0, 0.75, 0.75))),
        "softer kernel": both(lambda array: ndimage.gaussian_filter(array, (0, 1.25, 1.25))),
        "white noise of the same strength": white,
        f"turned by {DEGREES:.0f} degrees, interpolated": turned,
        "left and right exchanged": both(lambda array: np.ascontiguousarray(array[..., ::-1])),
    }


def _taken(scan: Scan, step: Step | None = None) -> float:
    """Return the share of the error in soft tissue that is taken off a scan at a lower dose."""
    low = scan.at(_DOSE)
    body = body_mask(scan.full)
    if body is None:
        raise ValueError(f"{scan.name}: no body is left after the change")
    full = scan.full[measure.MIDDLE]
    tissue = body[measure.MIDDLE] & (full > _TISSUE[0]) & (full < _TISSUE[1])
    with attacked(step) if step else nullcontext():
        found = measure.ours(low, 0)
    before, after = (image_errors(full, array, tissue)["rmse"] for array in (low.array, found))
    return 1 - after / before


#: What tries each model.
ROBUSTNESS = {"ct-denoise": trial}

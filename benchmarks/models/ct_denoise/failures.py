"""Where `ct-denoise` is farthest from full dose."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.models.ct_denoise import measure
from benchmarks.models.panels import Failures, Panel


def failures(data: Path) -> Failures:
    """Return the part of the held-out slices where `ct-denoise` is farthest from full dose, at a tenth of it."""
    side, rows = 48, []
    for scan in measure.load(data)[:3]:
        low = scan.at(0.1)
        full, given, made = (a[0] for a in (scan.full[measure.MIDDLE], low.array, measure.ours(low, 0)))
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


#: What draws the failures of each model.
FAILURES = {"ct-denoise": failures}

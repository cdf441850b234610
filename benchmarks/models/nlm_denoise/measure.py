"""`nlm-denoise` on phantoms with known noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

import napari_radcnn as radcnn
from benchmarks.common import table
from napari_radcnn.phantom import disks


def report() -> str:
    """Return the figures as Markdown."""
    rows = []
    for level in (5.0, 10.0, 20.0, 40.0):
        noisy, clean = disks(level)
        restored = radcnn.denoise(noisy, "nlm-denoise")

        def rmse(array: np.ndarray, clean: radcnn.Volume = clean) -> float:
            return float(np.sqrt(np.mean((array - clean.array) ** 2)))

        smoothed = min(rmse(ndimage.gaussian_filter(noisy.array, sigma)) for sigma in np.arange(0.2, 2.0, 0.1))
        rows.append(
            (
                f"{level:.0f} HU",
                f"{restored.metadata.provenance['facts']['noise_level']:.1f} HU",
                f"{rmse(restored.array) / rmse(noisy.array):.2f}",
                f"{smoothed / rmse(noisy.array):.2f}",
                f"{restored.array.mean() - noisy.array.mean():+.2f} HU",
            )
        )
    return table(("noise", "estimated", "RMSE left", "RMSE left by the best Gaussian", "shift of the mean"), rows)

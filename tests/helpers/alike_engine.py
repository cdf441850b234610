"""`few-clicks` with a network that does a known thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_radcnn.interactive.engines.few_clicks.channels import MIDDLE_AT, NEAR, ZOOM
from napari_radcnn.interactive.engines.few_clicks.decision import Decision
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine
from napari_radcnn.interactive.engines.few_clicks.features import NAMES
from napari_radcnn.interactive.engines.few_clicks.network import FIRST_SIZE, SIZE_BINS, SIZE_STEP


def by_network() -> Decision:
    """Return a decision that takes the network's word."""
    weights = np.zeros((1, len(NAMES)), np.float32)
    weights[0, NAMES.index("network")] = 3
    return Decision.of({"0.weight": weights, "0.bias": np.zeros(1, np.float32)}, Path("d.safetensors"))


class AlikeEngine(FewClicksEngine):
    """Its network takes what is like the first click and within reach; objects are about 30 mm large."""

    def __init__(self) -> None:
        super().__init__(decision=by_network(), choice=False)
        self.zooms: list[float] = []

    def ask(self, channels, monitor):
        monitor.check()
        assert np.isfinite(channels).all()
        zoom = float(4 ** channels[ZOOM].max())
        self.zooms.append(zoom)
        alike = (np.abs(channels[MIDDLE_AT]) < 0.7) & ((channels[NEAR] > 0.01) | ~channels[NEAR].any())
        size = np.zeros(SIZE_BINS, np.float32)
        share = np.log2(30 / (zoom * channels.shape[-1]))
        size[int(np.clip(np.rint((share - FIRST_SIZE) / SIZE_STEP), 0, SIZE_BINS - 1))] = 8
        return np.where(alike, np.float32(4), np.float32(-4)), size

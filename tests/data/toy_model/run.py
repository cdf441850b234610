"""Doubles each value and adds a constant."""

from __future__ import annotations

import numpy as np

from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.progress import Monitor


def plan(request: Request) -> Plan:
    """Return the cost: one step over the whole scan."""
    return Plan(request.spec.name, 1, request.volume.geometry.shape, 8 * request.volume.size)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Double."""
    array = 2 * np.asarray(request.volume.array, np.float32) + request.options.offset
    monitor.step("doubled")
    return Outcome("cpu", "float32", array=array)

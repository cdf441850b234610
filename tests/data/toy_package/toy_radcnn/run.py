"""How `toy-threshold` runs; imported when it does."""

import numpy as np

from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome


def plan(request):
    return Plan(request.spec.name, 1, request.volume.geometry.shape, 2 * request.volume.size)


def run(request, monitor):
    labels = (request.volume.array > request.options.value).astype(np.uint8)
    monitor.step("compared")
    return Outcome("cpu", "float32", array=labels)

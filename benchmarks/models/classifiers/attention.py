"""Where `cxr-pneumonia` looks: how much of its Grad-CAM lies in the lungs, by a simple rule of each film's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.evidence import grad_cam
from napari_radcnn.inference.request import Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import ModelSpec
from napari_radcnn.models.classifiers import run as classifier
from napari_radcnn.volume import Volume

#: Pixels at each border that are no lung.
_BORDER = 3


def lungs(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return the darker half of what lies within a film's border."""
    within = np.zeros(picture.shape, bool)
    within[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    even = ndimage.gaussian_filter(picture.astype(np.float32), 0.7)
    return np.asarray(within & (even < np.median(even[within])))


def attention(
    spec: ModelSpec, pictures: npt.NDArray[np.uint8], volumes: list[Volume], truth: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Return, for the films of each class, the share of the class's Grad-CAM in the lungs beside the lungs' own share.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    pictures : (N, h, w) array of uint8
        Films as the network sees them, but for scaling.
    volumes : list of Volume
        The same as scans.
    truth : (N,) array of int
        The class of each.
    """
    members = classifier.modules(spec)
    names = classifier.classes(spec)
    inside: list[float] = []
    own: list[float] = []
    empty = 0
    for picture, volume, index in zip(pictures, volumes, truth, strict=True):
        request = Request(spec, volume, spec.options(), RunSettings("cpu"), 1)
        shown = classifier.views(request)[:1]
        heat = np.mean([grad_cam(member, shown, int(index)) for member in members], 0)
        mask = lungs(picture)
        total = float(heat.sum())
        empty += total == 0
        inside.append(float(heat[mask].sum()) / total if total else float("nan"))
        own.append(float(mask.mean()))
    figures: dict[str, Any] = {"lungs": float(np.mean(own)), "without": empty}
    for index, name in enumerate(names):
        share = float(np.nanmean(np.array(inside)[truth == index]))
        figures[name] = {"in_lungs": share, "times": share / figures["lungs"]}
    return figures

"""A RetinaNet trained by MONAI's own code on drawn discs, opened as a bundle: its boxes against MONAI's detector's."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import napari_radcnn as radcnn
from benchmarks.common import ROOT

sys.path.insert(0, str(ROOT / "tests" / "helpers"))

import retina

#: Steps of four pictures each, pictures that are tried, their side in pixels, and from which score a box counts.
_STEPS, _TRIED, _SIDE, _COUNTS = 60, 20, 96, 0.5
_HALF = 0.5


class _Set:
    """What `retina.let_monai_build` sets its stand-ins with, as pytest's monkeypatch."""

    @staticmethod
    def setattr(target: object, name: object, value: object = None) -> None:
        if isinstance(target, str):
            place, _, last = target.rpartition(".")
            setattr(sys.modules[place], last, name)
        else:
            setattr(target, str(name), value)


def report() -> str:
    """Train, compare, and return what was found."""
    torch.manual_seed(0)
    retina.let_monai_build(_Set())
    network = retina.fresh_network(2)
    detector = retina.monai_detector(network, 2)
    retina.train(network, detector, _STEPS)
    shares, missed, drawn, extra, counts = [], 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        preprocessing = [{"_target_": "LoadImaged", "keys": "image"}]
        bundle = retina.write_detector_bundle(Path(folder) / "discs", network, 2, [128, 128], preprocessing)
        spec = radcnn.open_model(bundle)
        rng = np.random.default_rng(99)
        for _ in range(_TRIED):
            picture, boxes = retina.draw_discs(rng, _SIDE)
            drawn += len(boxes)
            # MONAI's axes of a picture are those of a file: columns first
            theirs, scores, _labels = retina.said_by(detector, torch.from_numpy(picture.T.copy())[None], False)
            ours = _ours(picture, spec)
            counts += len(theirs) != len(ours)
            order = np.argsort(-scores, kind="stable")
            shares += [_share(a, theirs[n]) for a, n in zip(ours[:, :4], order, strict=False)]
            sure = ours[ours[:, 4] > _COUNTS]
            hits = [any(_share(one[:4], np.array(box)[[1, 0, 3, 2]]) > _HALF for one in sure) for box in boxes]
            missed += hits.count(False)
            extra += len(sure) - hits.count(True)
    return (
        f"Trained for {_STEPS} steps of 4 pictures with MONAI's matcher, sampler and losses; {_TRIED} other pictures "
        f"of {_SIDE} x {_SIDE} pixels with {drawn} discs.\n\n"
        "| | |\n|---|---|\n"
        f"| boxes compared with those of MONAI's own detector | {len(shares)} |\n"
        f"| least intersection over union | {min(shares):.5f} |\n"
        f"| pictures with another number of boxes | {counts} |\n"
        f"| discs found with a score above {_COUNTS} | {drawn - missed} of {drawn} |\n"
        f"| boxes with such a score that are no disc, or one found twice | {extra} |"
    )


def _ours(picture: np.ndarray, spec: object) -> np.ndarray:
    """Return column and row ends and score of what our detector finds, in MONAI's voxels."""
    volume = radcnn.Volume(picture[None], radcnn.Geometry((1, *picture.shape), np.eye(4)[[2, 1, 0, 3]]))
    found = radcnn.detect(volume, spec, device="cpu", anyway=True)  # type: ignore[arg-type]
    rows = []
    for one in found.boxes:
        (x, y, _), (dx, dy, _) = one.center, one.size
        rows.append([x - dx / 2, y - dy / 2, x + dx / 2, y + dy / 2, one.score])
    return np.array(rows).reshape(-1, 5)


def _share(first: np.ndarray, second: np.ndarray) -> float:
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    common = float(np.prod(np.clip(high - low, 0, None)))
    sizes = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]))
    return common / (sizes - common)

"""How `cxr-pneumonia` and `adrenal-mass` classify the test splits when pictures and masks change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks.models.adversary import Step
from benchmarks.models.changes import DEGREES, film_changes
from benchmarks.models.classifiers import measure
from benchmarks.models.robustness import Row, Trial
from napari_radcnn.metrics import compare_classes
from napari_radcnn.models import ModelSpec, get_model
from napari_radcnn.models.classifiers import run as classifier
from napari_radcnn.training.classifiers import adrenal_mass, cxr_pneumonia
from napari_radcnn.training.classifiers.learn import find_file, load_split
from napari_radcnn.volume import Volume

#: Share of the cases that stay on the same side of 0.5 from which a change hardly matters, and below which it breaks: a
#: change may shift all probabilities, which the area under the ROC curve does not see.
_HOLDS, _BREAKS = 0.95, 0.85
#: Of the 256 gray values, how many a pixel is moved against the networks.
_GRAY = 2.0
#: Of so many glands one is tried: each takes seconds with all its changes.
_EVERY = 3

Masks = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.int64]


def pneumonia(data: Path) -> Trial:
    """Return how the test radiographs are classified after each change."""
    pictures, truth = load_split(find_file(data, cxr_pneumonia.FILE), "test")
    spec = get_model("cxr-pneumonia")
    plain = _said(spec, pictures, measure.radiograph)

    def rows() -> Iterator[Row]:
        for title, changed in film_changes(pictures):
            yield _row(spec, title, _said(spec, changed, measure.radiograph), plain, truth)
        stepped = _against(spec, pictures, truth)
        title = f"a step of {_GRAY:g} of 256 gray values against the networks"
        yield _row(spec, title, _said(spec, stepped, measure.radiograph), plain, truth)

    return _trial(spec, f"The {len(truth)} test radiographs", plain, truth, rows())


def adrenal(data: Path) -> Trial:
    """Return how the test glands are classified after each change; a mask has no gray values to step against."""
    masks, truth = (one[::_EVERY] for one in load_split(find_file(data, adrenal_mass.FILE), "test"))
    spec = get_model("adrenal-mass")
    plain = _said(spec, masks, measure.gland)

    def rows() -> Iterator[Row]:
        for title, volumes in _gland_changes(masks):
            yield _row(spec, title, measure.probabilities_of(spec, volumes), plain, truth)

    return _trial(spec, f"{len(truth)} of the test glands, every third", plain, truth, rows())


def _trial(spec: ModelSpec, scans: str, plain: npt.NDArray[np.float64], truth: Truth, rows: Iterator[Row]) -> Trial:
    auc = _figures(spec, plain, truth)["classes"][classifier.classes(spec)[-1]]["auc"]
    says = (
        "Area under the ROC curve, accuracy at 0.5, the mean by which the probability changed, and the share of cases "
        f"that stay on the same side of 0.5. As they are, the area is {auc:.3f}."
    )
    return Trial(scans, says, "same side", _HOLDS, _BREAKS, rows, ".3f")


def _said(spec: ModelSpec, cases: npt.NDArray[np.uint8], volume_of: Any) -> npt.NDArray[np.float64]:
    return measure.probabilities_of(spec, [volume_of(np.ascontiguousarray(one)) for one in cases])


def _figures(spec: ModelSpec, said: npt.NDArray[np.float64], truth: Truth) -> dict[str, Any]:
    names = classifier.classes(spec)
    return compare_classes([names[one] for one in truth], {names[0]: 1 - said, names[1]: said})


def _row(
    spec: ModelSpec, title: str, said: npt.NDArray[np.float64], plain: npt.NDArray[np.float64], truth: Truth
) -> Row:
    figures = _figures(spec, said, truth)
    return {
        "change": title,
        "AUC": float(figures["classes"][classifier.classes(spec)[-1]]["auc"]),
        "accuracy": float(figures["accuracy"]),
        "probability changed by": float(np.abs(said - plain).mean()),
        "same side": float(((said > 0.5) == (plain > 0.5)).mean()),
    }


def _against(spec: ModelSpec, pictures: npt.NDArray[np.uint8], truth: Truth) -> npt.NDArray[np.uint8]:
    """Return radiographs moved a little against all networks of the ensemble together, by their true class."""
    import torch

    members = classifier.modules(spec)
    gray = torch.from_numpy(pictures.astype(np.float32))[:, None]

    def ensemble(shown: torch.Tensor) -> torch.Tensor:
        mean, spread = shown.mean((2, 3), keepdim=True), shown.std((2, 3), keepdim=True)
        seen = (shown - mean) / spread
        return torch.stack([member(view) for member in members for view in (seen, seen.flip(3))]).mean(0)

    def harm(now: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(now, torch.from_numpy(truth.astype(np.int64)), reduction="sum")

    module = torch.nn.Module()
    module.forward = ensemble  # type: ignore[method-assign]
    step = Step("", _GRAY, (1.0,), harm, (-1e-3, 255.001))
    return np.rint(step.taken(module, gray)[:, 0].clamp(0, 255).numpy()).astype(np.uint8)


def _gland_changes(masks: Masks) -> Iterator[tuple[str, Sequence[Volume]]]:
    """Yield the glands after each change: outlined wider or tighter, frayed, coarser, turned, mirrored."""
    glands, rng = masks > 0, np.random.default_rng(0)
    wide = np.stack([ndimage.binary_dilation(one) for one in glands])
    tight = np.stack([ndimage.binary_erosion(one) for one in glands])
    tight[~tight.any((1, 2, 3))] = glands[~tight.any((1, 2, 3))]
    rim = wide & ~tight
    frayed = np.where(rim & (rng.random(rim.shape) < 0.25), ~glands, glands)
    turn = partial(ndimage.rotate, axes=(1, 2), reshape=False, order=1)
    changed = {
        "outlined 1 mm wider": wide,
        "outlined 1 mm tighter": tight,
        "a quarter of the rim at random": frayed,
        f"turned by {DEGREES:.0f} degrees": np.stack([turn(np.float32(one), DEGREES) > 0.5 for one in glands]),
        "turned by 15 degrees": np.stack([turn(np.float32(one), 15.0) > 0.5 for one in glands]),
        "left and right exchanged": glands[..., ::-1],
        "axes in another order": glands.transpose(0, 3, 1, 2)[:, ::-1],
    }
    for title, cubes in changed.items():
        yield title, [measure.gland(np.ascontiguousarray(one, np.uint8)) for one in cubes]
    for size in (3, 5):
        yield f"slices of {size} mm", [measure.coarse(one, size) for one in masks]


#: What tries each model.
ROBUSTNESS = {"adrenal-mass": adrenal, "cxr-pneumonia": pneumonia}

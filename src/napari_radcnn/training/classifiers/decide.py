"""What an ensemble decides by, fitted on cases that each member never saw: the gland's shape, operating points.

``python -m napari_radcnn.training.classifiers NAME --data DIR WEIGHTS.safetensors`` writes it anew into the facts
beside weights that are there already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.classifiers.calibrated import Calibration, probabilities
from napari_radcnn.networks.classifier import ClassifierShape, build_ensemble
from napari_radcnn.training.classifiers.learn import Cases, area_under_curve, folds
from napari_radcnn.training.classifiers.points import choose_points
from napari_radcnn.training.classifiers.shape import fit_joint

if TYPE_CHECKING:
    import torch

    from napari_radcnn.training.classifiers.learn import Augment

    #: Returns a batch `(B, C, ...)` as it is shown, look by look.
    Looks = Callable[[torch.Tensor], list[torch.Tensor]]


def unseen_logits(
    members: Sequence[torch.nn.Module],
    inputs: npt.NDArray[np.float32],
    fold: npt.NDArray[np.int64],
    looks: Looks,
) -> npt.NDArray[np.float32]:
    """Return logits `(N, looks, classes)` of each case by the member that never saw it.

    Parameters
    ----------
    members : sequence of torch.nn.Module
        One a fold.
    inputs : (N, C, ...) array of float32
        Of the networks.
    fold : (N,) array of int
        Which member never saw a case.
    looks : callable
        Returns a batch as it is shown, look by look.
    """
    import torch

    said: dict[int, npt.NDArray[np.float32]] = {}
    with torch.inference_mode():
        for number, member in enumerate(members):
            shown = looks(torch.from_numpy(inputs[fold == number]))
            each = [torch.cat([member(part) for part in look.split(64)]) for look in shown]
            said[number] = torch.stack(each, 1).float().numpy()
    found = np.zeros((len(fold), *said[0].shape[1:]), np.float32)
    for number, logits in said.items():
        found[fold == number] = logits
    return found


def decisions(
    logits: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int64],
    calibration: Calibration,
    features: npt.NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Return facts for the file beside the weights.

    Parameters
    ----------
    logits : (N, looks, 2) array
        See `unseen_logits`. Without features each look is a case of its own.
    classes, fold : (N,) array
        Of each case.
    calibration : Calibration
        Of the networks.
    features : (N, n) array, optional
        Of shapes, which are joined with the networks.

    Returns
    -------
    dict
        ``operating_points``, ``unseen`` (how well unseen cases are told apart) and, with features, ``shape``.
    """
    positive = classes == 1
    facts: dict[str, Any] = {}
    if features is None:
        said = probabilities(logits.reshape(-1, 1, logits.shape[-1]), calibration)[:, 1]
        positive = np.repeat(positive, logits.shape[1])
    else:
        model, joint = fit_joint(logits[..., 1] - logits[..., 0], features, positive, fold)
        said = 1 / (1 + np.exp(-joint))
        facts["shape"] = asdict(model)
    points = choose_points(said, positive)
    return facts | {
        "operating_points": [asdict(point) for point in points],
        "unseen": {"auc": area_under_curve(said, positive), "accuracy": float(((said > 0.5) == positive).mean())},
    }


def decide_again(
    weights: Path, cases: Cases, looks: Looks, features: npt.NDArray[np.float64] | None = None
) -> dict[str, Any]:
    """Fit what weights that are there decide by, write it beside them, and return it.

    Parameters
    ----------
    weights : Path
        Of an ensemble, with its facts beside them.
    cases : Cases
        What it learned from, in the same order.
    looks : callable
        See `unseen_logits`.
    features : (N, n) array, optional
        Of the cases' shapes.
    """
    from napari_radcnn.networks.safetensors import load_safetensors

    beside = weights.with_suffix(".json")
    about = json.loads(beside.read_text(encoding="utf-8"))
    shape = ClassifierShape(**{**about["network"], "widths": tuple(about["network"]["widths"])})
    recipe = about["recipe"]
    ensemble = build_ensemble(shape, recipe["members"])
    given = {key: value.float() for key, value in load_safetensors(weights).items()}
    ensemble.load_state_dict(given, strict=False)
    members = list(ensemble.eval().members.children())  # type: ignore[union-attr,operator]
    fold = folds(cases.classes, recipe["members"], recipe["seed"])
    stored = about["calibration"]
    calibration = Calibration(float(stored["temperature"]), tuple(float(value) for value in stored["shift"]))
    logits = unseen_logits(members, cases.inputs, fold, looks)
    found = decisions(logits, cases.classes, fold, calibration, features)
    beside.write_text(json.dumps(about | found, indent=1) + "\n", encoding="utf-8")
    return found


def mirrored(mirrors: Sequence[tuple[int, ...]]) -> Looks:
    """Return what shows a batch once for each set of axes, turned round along them."""
    return lambda batch: [batch.flip([2 + axis for axis in axes]) for axes in mirrors]


def varied(augment: Augment, count: int, seed: int) -> Looks:
    """Return what shows a batch as it is and then so many times as other machines would have made it."""
    import torch

    def looks(batch: torch.Tensor) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [batch, *(augment(batch, generator) for _ in range(count))]

    return looks

"""Ensembles that classify: one member a fold, calibrated with what each member says of the fold it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.hardware import cpu_computes_bfloat16
from napari_radcnn.models.classifiers.calibrated import Calibration, calibrate, probabilities
from napari_radcnn.models.classifiers.guard import Guard, features_of, fit, nearest, write_guard
from napari_radcnn.networks.classifier import ClassifierShape, build_classifier
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.training.classifiers.attention import Attention, centered, loss_of_attention
from napari_radcnn.training.run import Schedule, Training, mixed_precision, write_weights

if TYPE_CHECKING:
    import torch

    #: Changes a batch `(B, C, ...)` as cases differ from each other; the generator decides how.
    Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]

#: The share of cases a member never saw that lie beyond its limit.
_BEYOND = 0.005


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training of an ensemble depends on; `minutes` is for all its members together.

    Attributes
    ----------
    members : int
        Folds, and so networks.
    batch : int
        Cases a step.
    smoothing : float
        Share of the label that is spread over all classes.
    mixup : float
        Parameter of the beta distribution by which two cases are mixed (Zhang et al. 2018, ICLR); 0: not at all.
    sampling : {"balanced", "natural"}
        Whether classes are drawn, and weigh in the calibration, alike or as often as they occur.
    views : int
        How many random views of a case the calibration looks at, besides the case itself.
    """

    holds_out: ClassVar[bool] = True
    rate: float = 2e-3
    decay: float = 2e-2
    average: float = 0.995
    members: int = 4
    batch: int = 32
    smoothing: float = 0.05
    mixup: float = 0.0
    sampling: Literal["balanced", "natural"] = "balanced"
    views: int = 0


@dataclass(frozen=True)
class Cases:
    """Inputs `(N, C, ...)` of a network, float32, and their classes `(N,)`."""

    inputs: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]


def find_file(data: Path, name: str) -> Path:
    """Return the file of that name in a folder, or in its folder ``classification``.

    Raises
    ------
    ModelError
        If it is in neither.
    """
    for path in (data / name, data / "classification" / name):
        if path.is_file():
            return path
    raise ModelError(f"{data} has no {name}: download it from MedMNIST v2.")


def load_split(path: Path, split: Literal["train", "val", "test"]) -> tuple[npt.NDArray, npt.NDArray[np.int64]]:
    """Return pictures and classes of a split of a MedMNIST file.

    Raises
    ------
    ModelError
        If it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            return held[f"{split}_images"], held[f"{split}_labels"].ravel().astype(np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is not a MedMNIST v2 file: it needs {split}_images and {split}_labels.") from error


def folds(classes: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold `0 .. count - 1` of each case; every class is spread evenly over the folds."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(classes), np.int64)
    for value in np.unique(classes):
        where = rng.permutation(np.nonzero(classes == value)[0])
        fold[where] = np.arange(len(where)) % count
    return fold


def train_ensemble(
    name: str,
    cases: Cases,
    shape: ClassifierShape,
    augment: Augment,
    out: Path,
    recipe: Recipe,
    trained_on: list[str],
    attention: Attention | None = None,
) -> Path:
    """Train all members, going on from what lies in `out`, and return the file of weights.

    With `attention`, where they look is a part of their loss. Beside the weights stand the calibration and how well
    members did on the folds they never saw (`held_out`).
    """
    import torch

    fold = folds(cases.classes, recipe.members, recipe.seed)
    logits, networks = np.zeros((len(fold), 1 + recipe.views, shape.classes), np.float32), torch.nn.ModuleList()
    for member in range(recipe.members):
        network = _train_member(
            cases, fold != member, shape, augment, out / f"member-{member}", recipe, member, attention
        )
        if attention:
            centered(network)
        logits[fold == member] = _views(network, cases.inputs[fold == member], augment, recipe)
        networks.append(network)
    np.savez(out / "held_out.npz", logits=logits, classes=cases.classes, fold=fold)
    calibration = calibrate(
        logits.reshape(-1, shape.classes),
        np.repeat(cases.classes, 1 + recipe.views),
        balanced=recipe.sampling == "balanced",
    )
    ensemble = torch.nn.Module()
    ensemble.members = networks
    facts = {
        "recipe": asdict(recipe),
        "trained_on": trained_on,
        "network": asdict(shape),
        "calibration": asdict(calibration),
        "held_out": _held_out(logits[:, 0], cases.classes, fold, calibration),
    }
    written = write_weights(ensemble, out / f"{name}.safetensors", facts)
    write_guard(fit_guard(list(networks), cases, fold, file_sha256(written)), out / f"{name}.guard.npz")
    return written


def fit_guard(members: Sequence[torch.nn.Module], cases: Cases, fold: npt.NDArray[np.int64], weights: str) -> Guard:
    """Return the guard of members that never saw the fold of their number; `weights` is the SHA-256 of all."""
    import torch

    with torch.inference_mode():
        parts = torch.from_numpy(cases.inputs).split(64)
        features = np.concatenate([features_of(members, part) for part in parts], 1)
    fitted, limits = [], []
    for number, one in enumerate(features):
        seen = fold != number
        centers, whitening = fit(one[seen], cases.classes[seen])
        unseen = [nearest(case, centers, whitening) for case in one[~seen]]
        fitted.append((centers, whitening))
        limits.append(float(np.quantile(unseen, 1 - _BEYOND)))
    return Guard(np.stack([c for c, _ in fitted]), np.stack([w for _, w in fitted]), np.array(limits), weights)


def _train_member(
    cases: Cases,
    kept: npt.NDArray[np.bool_],
    shape: ClassifierShape,
    augment: Augment,
    out: Path,
    recipe: Recipe,
    member: int,
    attention: Attention | None,
) -> torch.nn.Module:
    import torch

    schedule = replace(recipe, minutes=recipe.minutes / recipe.members, seed=recipe.seed + member)
    training = Training(lambda: build_classifier(shape), out, schedule)
    layout = _layout(shape)
    training.network.to(memory_format=layout)  # type: ignore[call-overload]
    inputs, classes = torch.from_numpy(cases.inputs[kept]), torch.from_numpy(cases.classes[kept])
    generator = torch.Generator().manual_seed(schedule.seed + 1000 * training.steps)
    weights = torch.ones(len(classes))
    if recipe.sampling == "balanced":
        weights = 1.0 / torch.bincount(classes).float()[classes]
    hot = torch.nn.functional.one_hot(classes, shape.classes).float()
    hot = hot * (1 - recipe.smoothing) + recipe.smoothing / shape.classes
    field = torch.from_numpy(attention.field)[None, None] if attention else torch.zeros(1, 0, 1, 1)
    training.begin()
    while not training.is_over:
        chosen = torch.multinomial(weights, recipe.batch, replacement=True, generator=generator)
        x, target, fields = inputs[chosen], hot[chosen], field.expand(len(chosen), *field.shape[1:])
        if attention:
            x, fields = attention.views(x, fields, generator)
        else:
            x = augment(x, generator)
        if recipe.mixup:
            x, target, fields = _mixed(x, target, fields, recipe.mixup, generator)
        with mixed_precision():
            maps = training.network.features(x.contiguous(memory_format=layout))  # type: ignore[operator]
            answer = training.network.answer(maps)  # type: ignore[operator]
        loss, figures = torch.nn.functional.cross_entropy(answer.float(), target), {}
        if attention:
            more, outside = loss_of_attention(training.network, maps, fields, target)
            loss, figures = loss + attention.weight * more, {"outside": outside}
        training.learn(loss, **figures)
        if training.keep() and recipe.patience:
            said = _views(training.average, cases.inputs[~kept], augment, replace(recipe, views=0))[:, 0]
            training.watch(area_under_curve(said[:, 1] - said[:, 0], cases.classes[~kept] == 1))
    training.settle()
    training.keep(now=True)
    return training.average


def _layout(shape: ClassifierShape) -> torch.memory_format:
    """Return the order of values in memory that is fastest.

    In float32 it is the usual one: with channels last, few channels end the process on processors with AVX2 only
    (torch 2.13).
    """
    import torch

    if not cpu_computes_bfloat16("torch"):
        return torch.contiguous_format
    return torch.channels_last if shape.dims == 2 else torch.channels_last_3d


def _mixed(
    x: torch.Tensor, target: torch.Tensor, fields: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mix a batch with itself in another order; findings can be where they can be in either."""
    import torch

    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    share = torch.from_numpy(rng.beta(alpha, alpha, len(x)).astype(np.float32))
    order = torch.randperm(len(x), generator=generator)
    shares = share.reshape(-1, *(1,) * (x.ndim - 1))
    target = share[:, None] * target + (1 - share[:, None]) * target[order]
    return shares * x + (1 - shares) * x[order], target, torch.maximum(fields, fields[order])


def _views(
    network: torch.nn.Module, inputs: npt.NDArray[np.float32], augment: Augment, recipe: Recipe
) -> npt.NDArray[np.float32]:
    """Return logits `(N, 1 + views, classes)` of cases as they are and as augmented."""
    import torch

    generator = torch.Generator().manual_seed(recipe.seed)
    x, views = torch.from_numpy(inputs), []
    with torch.no_grad():
        for view in range(1 + recipe.views):
            shown = x if view == 0 else augment(x, generator)
            views.append(torch.cat([network(part) for part in shown.split(64)]).numpy())
    return np.stack(views, 1)


def _held_out(
    logits: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int64],
    calibration: Calibration,
) -> dict[str, object]:
    said = probabilities(logits[:, None], calibration)[:, 1]
    each = [area_under_curve(said[fold == member], classes[fold == member] == 1) for member in np.unique(fold)]
    return {
        "auc": area_under_curve(said, classes == 1),
        "auc_each": each,
        "accuracy": float(((said > 0.5) == (classes == 1)).mean()),
        "sensitivity": float((said > 0.5)[classes == 1].mean()),
        "specificity": float((said <= 0.5)[classes == 0].mean()),
    }


def area_under_curve(scores: npt.NDArray, positive: npt.NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a positive case scores higher than a negative one."""
    from scipy.stats import mannwhitneyu

    pairs = np.count_nonzero(positive) * np.count_nonzero(~positive)
    return float(mannwhitneyu(scores[positive], scores[~positive]).statistic / pairs)

"""nnU-Net v2's result folders: what training left, opened as it is.

A configuration's folder is named ``TRAINER__PLANS__CONFIGURATION`` and holds ``plans.json``, ``dataset.json`` and
``fold_X/checkpoint_final.pth``; a data set's folder holds several of those. Checkpoints are read as weights only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.description import modality_codes, network_file, slug, text_of
from napari_radcnn.foreign.domain import domain_of, nnunet_fingerprint
from napari_radcnn.foreign.nnunet.local import totalsegmentator_licence
from napari_radcnn.foreign.nnunet.plans import (
    Classes,
    NnunetModel,
    read_architecture,
    read_classes,
    read_model,
    resolve,
)
from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Fingerprint
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.patches import InputSlot, NetworkFile

_CITATION = (
    "Isensee et al. 2021, nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation, "
    "Nature Methods 18, 203-211"
)
#: Files of a fold, the better first.
_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
#: Which configuration a data set's folder stands for, where nothing is said.
_PREFERRED = ("3d_fullres", "3d_cascade_fullres", "3d_lowres", "2d")
_LARGEST_JSON = 64 << 20
#: Names of inputs that are MR sequences; nnU-Net's own words for modalities are known to `modality_codes`.
_SEQUENCES = re.compile(r"t1|t2|flair|adc|dwi|swi|pd|dixon|t1c|t1ce|t1gd|t1w|t2w|t2f|t1n", re.IGNORECASE)


@dataclass(frozen=True)
class NnunetOptions(CheckedOptions):
    """Settings of an nnU-Net model."""

    mode: str = option(
        "reference",
        title="Patches",
        help="reference takes exactly the patches that nnU-Net takes; fast takes fewer, does not mirror them, and in "
        "a CT skips patches that contain only air: the result differs",
        choices=("reference", "fast"),
    )
    mirroring: bool = option(
        True,
        title="Mirroring",
        help="Average over mirrored patches if the network was trained for it, as nnU-Net does; without, a run is up "
        "to 8 times as fast",
    )
    folds: str = option(
        "",
        title="Folds",
        help="Which trained networks (folds) to average: numbers such as 0,2, or all for the network trained on all "
        "data; empty averages every numbered fold, as nnU-Net does",
    )
    orientation: str = option(
        "auto",
        title="Orientation",
        help="Orientation in which the network sees the scan, in NIfTI letters; auto is that of training, where "
        "nnU-Net may have used files as stored",
        choices=("auto", "stored", "RAS", "LAS", "LPS"),
    )


def is_nnunet(folder: Path) -> bool:
    """Whether a folder is one of nnU-Net's: of a configuration, or of a data set."""
    return bool(_configuration_folders(folder))


def open_nnunet(folder: Path, configuration: str | None = None) -> ModelSpec:
    """Describe a model that nnU-Net v2 trained.

    Parameters
    ----------
    folder : Path
        Of a configuration; or of a data set with several, of which ``3d_fullres`` is taken where nothing is said.
    configuration : str, optional
        ``"3d_cascade_fullres"``, ``"2d"``, ...; or the full name of a configuration's folder.

    Raises
    ------
    ModelError
        If something is missing or damaged, the plans ask for what is not known here, or weights do not fit them.
    """
    found = _configuration_folders(folder)
    if not found:
        raise ModelError(f"{folder.name}: not an nnU-Net v2 folder: plans.json, dataset.json and fold_0 are expected.")
    chosen = _choose(found, configuration, folder)
    # What the origin opens again must be the same model.
    return _open_configuration(chosen, folder if configuration is None else chosen)


def _configuration_folders(folder: Path) -> list[Path]:
    """Return the folders of configurations: the folder itself, or those in it, one or two levels down."""
    if (folder / "plans.json").is_file():
        return [folder]
    for pattern in ("*/plans.json", "*/*/plans.json"):
        found = sorted(path.parent for path in folder.glob(pattern) if (path.parent / "dataset.json").is_file())
        if found:
            return found
    return []


def _configuration_name(folder: Path) -> str:
    return folder.name.rpartition("__")[2]


def _choose(folders: list[Path], wanted: str | None, folder: Path) -> Path:
    if wanted is not None:
        matching = [path for path in folders if wanted in (path.name, _configuration_name(path))]
    elif len(folders) == 1:
        return folders[0]
    else:
        matching = next(([p for p in folders if _configuration_name(p) == name] for name in _PREFERRED), [])
        matching = matching or [p for name in _PREFERRED for p in folders if _configuration_name(p) == name][:1]
    if len(matching) == 1:
        return matching[0]
    listed = ", ".join(str(path.relative_to(folder)) for path in folders)
    what = "has several configurations" if matching or wanted is None else f"has no configuration '{wanted}'"
    raise ModelError(f"{folder.name}: the folder {what}; open one of: {listed}.")


# -- one configuration ------------------------------------------------------------------------------------------------


def _open_configuration(folder: Path, origin: Path) -> ModelSpec:
    plans, dataset = _read_json(folder / "plans.json"), _read_json(folder / "dataset.json")
    classes = read_classes(dataset, f"{folder.name}/dataset.json")
    model = _with_weights(folder, plans, classes)
    name = str(plans.get("dataset_name") or folder.parent.name)
    inputs = tuple(InputSlot(title, _modalities(title)) for title in classes.channels)
    files = [*model.files, *(model.previous.files if model.previous is not None else ())]
    spacing = model.spacing if model.dimensions == 3 else None
    places = [model.transpose.index(axis) for axis in range(3)]
    labels = {value: Label(text_of(title) or str(value)) for value, title in classes.names.items()}
    description = text_of(dataset.get("description"))
    return ModelSpec(
        name=slug(f"{name}-{model.configuration}"),
        title=f"{re.sub(r'^Dataset[0-9]+_', '', name).replace('_', ' ')} ({model.configuration})",
        task="segmentation",
        version=text_of(dataset.get("release")) or model.files[0].sha256[:12],
        summary=description or f"nnU-Net of {name}, {len(model.files)} fold(s).",
        modalities=tuple(dict.fromkeys(code for slot in inputs for code in slot.modalities)),
        pipeline="napari_radcnn.foreign.nnunet.run",
        options=NnunetOptions,
        licence=licence_of(folder, dataset),
        citation="; ".join(text for text in (text_of(dataset.get("reference")), _CITATION) if text),
        card="",
        spacing=None if spacing is None else (spacing[places[0]], spacing[places[1]], spacing[places[2]]),
        patch=model.sampling.patch,
        labels=labels,
        inputs=inputs,
        files=tuple(files),
        network=model,
        origin=origin,
        domain=domain_of("", description, labels.values(), fingerprint=_fingerprint(folder, plans)),
    )


def _fingerprint(folder: Path, plans: Mapping[str, Any]) -> Fingerprint | None:
    """Return what is known of the training data, from the plans and, where it was kept, the data set's fingerprint."""
    places = (folder / "dataset_fingerprint.json", folder.parent / "dataset_fingerprint.json")
    kept = next((path for path in places if path.is_file()), None)
    return nnunet_fingerprint(plans, {} if kept is None else _read_json(kept))


def _modalities(title: str) -> tuple[str, ...]:
    codes = modality_codes(title)
    words = re.split(r"[^A-Za-z0-9]+", title)
    return codes or (("MR",) if any(_SEQUENCES.fullmatch(word) for word in words) else ())


def _with_weights(folder: Path, plans: Mapping[str, Any], classes: Classes) -> NnunetModel:
    """Return a configuration with its folds, and the stage before it where it is a cascade."""
    shown = f"{folder.name}/plans.json"
    folds = _folds(folder)
    first = _checkpoint(next(iter(folds.values())))
    name = _configuration_name(folder)
    trained = first.get("init_args")
    if isinstance(trained, Mapping) and isinstance(trained.get("configuration"), str):
        name = trained["configuration"]  # the folder may have been renamed
    model = read_model(plans, name, classes, shown)
    before = _previous_name(plans, name)
    if before is not None:
        model = replace(model, previous=_previous(folder, before, classes))
    architecture = read_architecture(plans, name, model.input_channels, model.classes, shown)
    files = []
    for path in folds.values():
        file = network_file(path, kind="torch", architecture=architecture, entry=("network_weights",))
        _check_fits(file)
        files.append(file)
    axes = _mirror_axes(first, model, next(iter(folds.values())))
    sampling = replace(model.sampling, mirror_axes=axes)
    return replace(model, sampling=sampling, folds=tuple(folds), files=tuple(files))


def _check_fits(file: NetworkFile) -> None:
    from napari_radcnn.networks.files import check_weights

    try:
        check_weights(file)
    except ModelError as error:
        raise ModelError(
            f"{file.path.parent.name}/{error} The plans belong to another network, or a custom trainer changed the "
            "network."
        ) from error


def _folds(folder: Path) -> dict[str, Path]:
    """Return name and checkpoint of every fold: numbered ones first."""
    found = {}
    numbered = [p for p in folder.glob("fold_*") if p.is_dir() and re.fullmatch(r"fold_\d+", p.name)]
    for path in [*sorted(numbered, key=lambda p: int(p.name[5:])), folder / "fold_all"]:
        file = next((path / name for name in _CHECKPOINTS if (path / name).is_file()), None)
        if file is not None:
            found[path.name.removeprefix("fold_")] = file
    if not found:
        raise ModelError(
            f"{folder.name}: the weights are missing; fold_0/{_CHECKPOINTS[0]} (or {_CHECKPOINTS[1]}) is expected."
        )
    return found


def _checkpoint(path: Path) -> Mapping[str, Any]:
    from napari_radcnn.networks.checkpoints import read_checkpoint

    content = read_checkpoint(path)
    if not isinstance(content, Mapping) or "network_weights" not in content:
        raise ModelError(
            f"{path.parent.name}/{path.name}: not a checkpoint of nnU-Net v2: it has no 'network_weights'."
        )
    return content


def _mirror_axes(content: Mapping[str, Any], model: NnunetModel, path: Path) -> tuple[int, ...]:
    """Return the axes of the patch along which training mirrored."""
    stored = content.get("inference_allowed_mirroring_axes")
    axes = [] if stored is None else list(stored) if isinstance(stored, list | tuple) else [stored]
    if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < model.dimensions for n in axes):
        raise ModelError(f"{path.parent.name}/{path.name}: it allows mirroring along {stored!r}, which are not axes.")
    return tuple(sorted(n + 3 - model.dimensions for n in set(axes)))


def _previous_name(plans: Mapping[str, Any], name: str) -> str | None:
    before = resolve(plans, name, "plans.json").get("previous_stage")
    return None if before is None else str(before)


def _previous(folder: Path, name: str, classes: Classes) -> NnunetModel:
    """Return the stage before, which lies beside a cascade's folder."""
    trainer_and_plans = folder.name.rpartition("__")[0]
    plans_only = trainer_and_plans.rpartition("__")[2]
    beside = [folder.parent / f"{trainer_and_plans}__{name}", *sorted(folder.parent.glob(f"*__{plans_only}__{name}"))]
    found = next((path for path in beside if (path / "plans.json").is_file()), None)
    if found is None:
        raise ModelError(
            f"{folder.name}: the second stage of a cascade; the first, '{beside[0].name}', is expected beside it."
        )
    plans = _read_json(found / "plans.json")
    theirs = read_classes(_read_json(found / "dataset.json"), f"{found.name}/dataset.json")
    if theirs.labels != classes.labels:
        raise ModelError(f"{found.name}: the labels of the first stage of the cascade differ from those of the second.")
    model = _with_weights(found, plans, theirs)
    if model.previous is not None:
        raise ModelError(f"{found.name}: a cascade of more than two stages is not supported.")
    return model


def licence_of(folder: Path, dataset: Mapping[str, Any]) -> str:
    """Return the license of the weights in a configuration's folder, as far as it is known."""
    stated = text_of(dataset.get("licence") or dataset.get("license"))
    known = totalsegmentator_licence(folder.parent)
    # nnU-Net's own filler for a license nobody stated
    return known or ("" if "lazy" in stated else stated) or "not stated: ask its authors"


def _read_json(path: Path) -> dict[str, Any]:
    shown = f"{path.parent.name}/{path.name}"
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ModelError(f"{shown}: the file is larger than any file that nnU-Net writes.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{shown}: the file cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{shown}: the file is damaged: it is not valid JSON.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{shown}: the file is damaged: it must contain a JSON object.")
    return content

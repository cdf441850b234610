"""Models of nnU-Net and TotalSegmentator that are on this computer already. Nothing is loaded or downloaded."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: TotalSegmentator's tasks, by the number of their data set, as its project states: free for any use ...
_OPEN = {
    **dict.fromkeys((291, 292, 293, 294, 295, 297, 298), "total"),
    **dict.fromkeys((850, 851, 852, 853), "total_mr"),
    8: "liver_vessels",
    113: "teeth",
    115: "craniofacial_structures",
    150: "cerebral_bleed",
    258: "lung_vessels",
    260: "hip_implant",
    299: "body",
    300: "body",
    315: "pleural_pericard_effusion",
    351: "oculomotor_muscles",
    527: "breasts",
    552: "ventricle_parts",
    570: "liver_segments",
    576: "liver_segments_mr",
    597: "body_mr",
    598: "body_mr",
    756: "vertebrae_mr",
    775: "head_glands_cavities",
    776: "headneck_bones_vessels",
    777: "head_muscles",
    778: "headneck_muscles",
    779: "headneck_muscles",
    789: "kidney_cysts",
    913: "lung_nodules",
    952: "abdominal_muscles",
}
#: ... and with a license of their own.
_RESTRICTED = {
    301: "heartchambers_highres",
    302: "vertebrae_body",
    303: "face",
    304: "appendicular_bones",
    305: "vertebrae_body",
    409: "brain_structures",
    481: "tissue_types",
    485: "tissue_4_types",
    507: "coronary_arteries",
    855: "appendicular_bones_mr",
    856: "face_mr",
    857: "thigh_shoulder_muscles",
    920: "aortic_sinuses",
    925: "tissue_types_mr",
}
_FREE_LICENCE = "Apache-2.0 (TotalSegmentator)"
_BOUND_LICENCE = "TotalSegmentator's own: free for non-commercial use, any other use requires a license"
#: How its data sets are called: "Dataset291_TotalSegmentator_part1_organs_1559subj", "Dataset481_tissue_1559subj".
_THEIRS = re.compile(r"totalseg|_\d+subj", re.IGNORECASE)


@dataclass(frozen=True)
class LocalModel:
    """A model on this computer.

    Attributes
    ----------
    path : Path
        The configuration's folder, for `napari_radcnn.open_model`.
    dataset : str
        ``"Dataset291_TotalSegmentator_part1_organs_1559subj"``.
    configuration : str
        ``"3d_fullres"``.
    folds : tuple of str
        Those with weights.
    licence : str
        Of the weights, as far as it is known.
    task : str
        TotalSegmentator's name of the task; empty for other models.
    """

    path: Path
    dataset: str
    configuration: str
    folds: tuple[str, ...]
    licence: str
    task: str = ""


def find_nnunet_models(environment: Mapping[str, str] | None = None) -> list[LocalModel]:
    """Return the models of nnU-Net v2 in the places where nnU-Net and TotalSegmentator keep them, by name.

    Parameters
    ----------
    environment : mapping, optional
        By default the process's own: ``TOTALSEG_WEIGHTS_PATH``, ``TOTALSEG_HOME_DIR`` and ``nnUNet_results`` are looked
        up, then TotalSegmentator's folder in the user's home.
    """
    found: dict[Path, LocalModel] = {}
    for place in _places(os.environ if environment is None else environment):
        for plans in _glob(place):
            folder = plans.parent
            if folder.resolve() not in found and (model := _described(folder)) is not None:
                found[folder.resolve()] = model
    return sorted(found.values(), key=lambda model: (model.dataset, model.configuration))


def totalsegmentator_licence(folder: Path) -> str:
    """Return the license of a data set's folder that is TotalSegmentator's; empty for any other."""
    number = _number(folder.name)
    # Numbers are anybody's: a name or a place must say that it is theirs.
    is_theirs = _THEIRS.search(folder.name) or ".totalsegmentator" in folder.parts
    if not is_theirs:
        return ""
    return _BOUND_LICENCE if number in _RESTRICTED else _FREE_LICENCE if number in _OPEN else ""


def _places(environment: Mapping[str, str]) -> list[Path]:
    named = [environment.get("TOTALSEG_WEIGHTS_PATH"), environment.get("nnUNet_results")]
    homes = [environment.get("TOTALSEG_HOME_DIR"), str(Path.home() / ".totalsegmentator")]
    return [Path(name) for name in named if name] + [Path(home) / "nnunet" / "results" for home in homes if home]


def _glob(place: Path) -> list[Path]:
    try:
        return sorted(place.glob("Dataset*/*__*__*/plans.json"))
    except OSError:  # a folder that this user may not read holds nothing for them
        return []


def _described(folder: Path) -> LocalModel | None:
    folds = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob("fold_*/checkpoint_final.pth"))
    if not folds:
        return None
    dataset = folder.parent.name
    number = _number(dataset)
    known = totalsegmentator_licence(folder.parent)
    task = (_OPEN | _RESTRICTED).get(number, "") if known else ""
    return LocalModel(folder, dataset, folder.name.rpartition("__")[2], tuple(folds), known or _stated(folder), task)


def _stated(folder: Path) -> str:
    try:
        content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # told when the model is opened
        content = None
    value = content.get("licence") or content.get("license") if isinstance(content, dict) else None
    return value if isinstance(value, str) and "lazy" not in value else "not stated: ask its authors"


def _number(dataset: str) -> int:
    match = re.match(r"Dataset(\d+)_", dataset)
    return int(match[1]) if match else -1

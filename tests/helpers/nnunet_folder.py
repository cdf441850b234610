"""The nnU-Net models under tests/data/nnunet, and copies of them that can be damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import napari_radcnn as radcnn

DATA = Path(__file__).parents[1] / "data" / "nnunet"
DATASET = DATA / "Dataset904_Fixture"
CHOICES = sorted(str(path.relative_to(DATA / "reference")) for path in (DATA / "reference").glob("*/*"))


def folder(configuration: str = "3d_fullres", dataset: Path = DATASET) -> Path:
    return dataset / f"nnUNetTrainer__nnUNetPlans__{configuration}"


def copied(target: Path, *configurations: str) -> Path:
    """Return a copy of the data set's folder with some of its configurations."""
    dataset = target / DATASET.name
    for configuration in configurations or ("3d_fullres",):
        shutil.copytree(folder(configuration), folder(configuration, dataset))
    return dataset


def edited(path: Path, **changes) -> Path:
    """Change entries of a JSON file; those set to None are taken out; ``a__b`` is `b` in `a`."""
    content = json.loads(path.read_text())
    for key, value in changes.items():
        *outer, last = key.split("__")
        table = content
        for name in outer:
            table = table[name]
        if value is None:
            del table[last]
        else:
            table[last] = value
    path.write_text(json.dumps(content))
    return path


def scan() -> radcnn.Volume:
    return radcnn.read(DATA / "images" / "held_000_0000.nii.gz")[0]


def reference(choice: str):
    """Return nnU-Net's own labels."""
    return radcnn.read(DATA / "reference" / choice / "held_000.nii.gz")[0].array

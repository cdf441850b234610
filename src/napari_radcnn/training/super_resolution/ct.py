"""How `ct-super-resolution` was made: ``radcnn train ct-super-resolution --data DIR --out DIR``."""

from __future__ import annotations

from pathlib import Path

from napari_radcnn.training.super_resolution.learn import Recipe, learn
from napari_radcnn.training.super_resolution.scans import load_ct, load_held_out

__all__ = ["Recipe", "train"]


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.super_resolution.scans`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv`` and the weights.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    name = "ct-super-resolution"
    return learn(load_ct(data), load_held_out(data, name), name, out, recipe, threads)

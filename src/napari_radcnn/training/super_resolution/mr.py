"""The recipe of `mr-super-resolution`: ``radcnn train mr-super-resolution --data DIR --out DIR``.

With ``init_from`` it begins with the weights of `ct-super-resolution`, which is the same network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_radcnn.training.super_resolution import learn as super_resolution
from napari_radcnn.training.super_resolution.learn import learn
from napari_radcnn.training.super_resolution.scans import load_held_out, load_mr


@dataclass(frozen=True)
class Recipe(super_resolution.Recipe):
    """As for CT, but that larger differences count by their square."""

    smooth: float = 0.1


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
    name = "mr-super-resolution"
    return learn(load_mr(data), load_held_out(data, name), name, out, recipe, threads)

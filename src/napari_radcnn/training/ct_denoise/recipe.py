"""How `ct-denoise` was made: ``radcnn train ct-denoise --data DIR --out DIR``.

Noise of a lower dose is made by physics and added to real scans; the network learns to find it again. What the scans
have of noise themselves is left out of the reckoning (Moran et al. 2020, Noisier2Noise, CVPR): see
`napari_radcnn.training.ct_denoise.samples`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_radcnn.models.ct_denoise.network import build_network
from napari_radcnn.training.ct_denoise.samples import Sampler, load_scans, make_bank, names
from napari_radcnn.training.run import Schedule, Training, mixed_precision

NAME = "ct-denoise"


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    size : int
        Pixels along a side of a sample.
    batch : int
        Samples a step.
    bank : int
        Slices for which noise is reconstructed before training begins, five images each.
    """

    minutes: float = 30.0
    rate: float = 1.5e-3
    decay: float = 1e-4
    average: float = 0.998
    size: int = 96
    batch: int = 8
    bank: int = 14


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.ct_denoise.samples`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv``, ``noise.npy`` and ``ct-denoise.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    run = Training(build_network, out, recipe)
    run.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = np.random.default_rng(recipe.seed + run.steps)
    scans, spacings = load_scans(data)
    kept = out / "noise.npy"
    if not kept.exists():
        np.save(kept, make_bank(scans, spacings, recipe.bank, rng))
    sampler = Sampler(scans, np.load(kept), recipe.size, rng)
    run.begin()
    while run.share < 1:
        samples = [sampler.draw() for _ in range(recipe.batch)]
        channels, noise, weight = (
            torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]))
            for name in ("channels", "noise", "weight")
        )
        with mixed_precision():
            found = run.network(channels.contiguous(memory_format=torch.channels_last)).float()
        each = weight * (found - noise) ** 2
        before = float((weight * noise**2).mean())
        run.learn(each.mean(), ratio=float((each.detach().mean() / before) ** 0.5))
        run.keep()
    run.keep(now=True)
    return run.write(NAME, names())

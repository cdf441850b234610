"""Weights that are drawn by their names, so that two programs have the same without a file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch


def weights_for(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Return weights of these names and shapes that keep the size of what flows through a network."""
    made = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(1)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            made[name] = torch.from_numpy(rng.uniform(0.5, 1.5, shape).astype(np.float32))
        else:
            scale = np.sqrt(2 / max(1, int(np.prod(shape[1:])))) if len(shape) > 1 else 0.1
            made[name] = torch.from_numpy(rng.normal(0, scale, shape).astype(np.float32))
    return made


def listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return names and shapes as text, in the order of their names."""
    return "\n".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))


def given(channels: int = 3) -> torch.Tensor:
    """Return what the networks are shown: `(1, channels, 64, 48)`."""
    values = np.random.default_rng(1).normal(0, 1, (1, channels, 64, 48))
    return torch.from_numpy(values.astype(np.float32))

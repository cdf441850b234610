"""How much of the noise of a low dose `ct-denoise` takes off scans it was not trained with, beside other denoisers.

BM4D is a package of its own, which nothing but this needs: ``pip install bm4d`` (for research only, by its license).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from benchmarks.models.common import interval, throughput
from napari_radcnn.geometry import Geometry
from napari_radcnn.metrics.images import body_mask, image_errors
from napari_radcnn.models.ct_denoise.noise import noise_level
from napari_radcnn.training.ct_denoise.samples import TEST, load_single
from napari_radcnn.training.physics.low_dose import filtered, kernel, noise
from napari_radcnn.volume import Volume, VolumeMetadata

NAMES = ("ct-denoise",)
Floats = npt.NDArray[np.float32]

DOSES = (0.1, 0.25, 0.5)
#: Limits that are tried; 0 is none.
LIMITS = (0.0, 2.0, 2.5, 3.0)
#: HU of soft tissue, in which RMSE and mean shift are measured.
_TISSUE = (-160.0, 240.0)
#: The axial slices among those kept out of training, and the slices of the series.
_SINGLE, _SERIES = (42, 47, 52), slice(7, 10)
#: Of every slice the middle is denoised, for BM4D and non-local means take long.
MIDDLE = (slice(None), slice(208, 304), slice(208, 304))
#: Half of the amplitude is left at so many cycles a pixel: what fits the texture of these scans.
_KERNEL = (0.3, 2.5)


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan of full dose, and the noise of half the dose and so on with the variance of the scan's own."""

    name: str
    full: Floats
    spacing: tuple[float, float, float]
    drawn: Floats

    def at(self, dose: float) -> Volume:
        """Return the scan as a lower dose would have made it."""
        low = self.full + self.drawn * np.float32(np.sqrt(1 / dose - 1))
        return volume_of(low[MIDDLE], self.spacing)


def volume_of(array: Floats, spacing: tuple[float, float, float]) -> Volume:
    """Return a volume of CT."""
    return Volume(array, Geometry.from_parts(array.shape, spacing), VolumeMetadata(modality="CT"))


def load(data: Path) -> list[Scan]:
    """Return the scans that were kept out of training, with noise of their own texture and strength."""
    slices, spacings = load_single(data)
    assert all(TEST.start <= n < TEST.stop for n in _SINGLE)
    scans = [_scan(f"slice {n}", slices[n, None], (1.0, spacings[n], spacings[n])) for n in _SINGLE]
    (series,) = radcnn.read(data / "ct_totalsegmentator" / "example_ct_dicom")
    return [*scans, _scan("series", series.array[_SERIES], series.geometry.spacing)]


def _scan(name: str, array: npt.NDArray[Any], spacing: tuple[float, float, float]) -> Scan:
    full = np.clip(array, -1024, 3071).astype(np.float32)
    rng = np.random.default_rng(7)
    drawn = np.stack([noise(image, spacing[1], 1, rng, photons=1e5)[0] for image in full])
    drawn = filtered(drawn, kernel(full.shape[1:], *_KERNEL))
    for image, added in zip(full, drawn, strict=True):
        own = noise_level(image)
        # what the fine detail shows of both together is the scan's own and as much again
        strengths = [f * own / 2 for f in range(1, 12)]
        shown = [noise_level(image + added * np.float32(s / added.std())) for s in strengths]
        wanted = float(np.interp(np.sqrt(2.0) * own, shown, strengths))
        added *= np.float32(wanted / added.std())
    return Scan(name, full, spacing, drawn)


# -- denoisers --------------------------------------------------------------------------------------------------------


def ours(volume: Volume, _: float) -> Floats:
    """Return what `ct-denoise` makes of a scan."""
    return np.asarray(radcnn.denoise(volume, "ct-denoise").array)


def non_local_means(volume: Volume, _: float) -> Floats:
    """Return what `nlm-denoise` makes of a scan."""
    return np.asarray(radcnn.denoise(volume, "nlm-denoise").array)


def non_local_means_told(volume: Volume, level: float) -> Floats:
    """Return what `nlm-denoise` makes of a scan when it is told the noise."""
    return np.asarray(radcnn.denoise(volume, "nlm-denoise", {"noise_level": level}).array)


def block_matching(volume: Volume, level: float) -> Floats:
    """Return what BM4D makes of a scan when it is told the noise."""
    try:
        from bm4d import bm4d
    except ImportError as error:
        raise SystemExit("The evaluation of ct-denoise is held against BM4D: pip install bm4d.") from error
    array = np.ascontiguousarray(volume.array.transpose(1, 2, 0), dtype=np.float64)
    return np.asarray(bm4d(array, level), np.float32).reshape(array.shape).transpose(2, 0, 1)


DENOISERS: Mapping[str, Callable[[Volume, float], Floats]] = {
    "ct_denoise": ours,
    "nlm": non_local_means,
    "nlm_told": non_local_means_told,
    "bm4d": block_matching,
}


def evaluate(data: Path) -> dict[str, Any]:
    """Return every figure of the card.

    Parameters
    ----------
    data : Path
        Folder that holds ``ct_slices`` and ``ct_totalsegmentator``.
    """
    scans = load(data)
    figures: dict[str, Any] = {"scans": [scan.name for scan in scans], "doses": {}}
    for dose in DOSES:
        rows = [_compared(scan, dose) for scan in scans]
        figures["doses"][f"{dose * 100:.0f}"] = {
            name: {
                figure: interval([row[name][figure] for row in rows])
                for figure in ("rmse_left", "ssim", "mean_shift", "rmse")
            }
            for name in ("nothing", *DENOISERS)
        }
    figures["disks"] = contrast_detail()
    figures["lines"] = line_pairs()
    figures["limits"] = [_limited(scans, limit) for limit in LIMITS]
    figures["speed"] = _speed(scans[0])
    return {"ct-denoise": figures}


def _compared(
    scan: Scan, dose: float, denoisers: Mapping[str, Callable[[Volume, float], Floats]] = DENOISERS
) -> dict[str, dict[str, float]]:
    """Return what each denoiser leaves of the error in soft tissue, and its SSIM inside the body."""
    low = scan.at(dose)
    body = body_mask(scan.full)
    assert body is not None
    full, body = scan.full[MIDDLE], body[MIDDLE]
    tissue = body & (full > _TISSUE[0]) & (full < _TISSUE[1])
    # the others are told the whole noise, the scan's own included
    level = float(scan.drawn[MIDDLE][tissue].std() / np.sqrt(dose))
    before = image_errors(full, low.array, tissue)["rmse"]
    found = {"nothing": low.array} | {name: denoiser(low, level) for name, denoiser in denoisers.items()}
    rows = {}
    for name, array in found.items():
        inside = image_errors(full, array, tissue)
        window = [np.clip(one, -1000, 1000) for one in (full, array)]  # SSIM's peak is the range
        rows[name] = {
            "rmse_left": inside["rmse"] / before,
            "rmse": inside["rmse"],
            "mean_shift": inside["mean_shift"],
            "ssim": image_errors(*window, body)["ssim"],
        }
    return rows


# -- low contrast -----------------------------------------------------------------------------------------------------


def contrast_detail(repeats: int = 8) -> list[dict[str, float]]:
    """Return how much of the contrast of faint disks is left, and how well they stand out before and after.

    Disks of 10 and 20 HU and 6 to 20 pixels across in a body of water, with noise of 20 HU, in a stack of slices that
    differ in their noise; what stands out is contrast by the spread of the means of equally large background.
    """
    rng = np.random.default_rng(3)
    size, rows = 256, []
    y, x = np.indices((size, size)) - (size - 1) / 2
    body = np.where(np.hypot(x / 110, y / 90) < 1, 40.0, -1000.0).astype(np.float32)
    drawn = filtered(noise(body, 1.4, repeats, rng), kernel(body.shape, *_KERNEL))
    drawn *= np.float32(20 / drawn[:, np.abs(body) < 100].std())
    for contrast in (10.0, 20.0):
        for radius in (3.0, 5.0, 10.0):
            centers = [(40 * np.cos(a), 40 * np.sin(a)) for a in np.arange(6) * np.pi / 3]
            inside = [np.hypot(x - cx, y - cy) < radius for cx, cy in centers]
            image = body + contrast * np.any(inside[::2], axis=0)
            low = volume_of(image + drawn, (1.0, 0.8, 0.8))
            means = [
                np.array([[one[disk].mean() for disk in inside] for one in array])
                for array in (low.array, ours(low, 0))
            ]
            (bright_low, dark_low), (bright, dark) = ((found[:, ::2], found[:, 1::2]) for found in means)
            rows.append(
                {
                    "contrast_hu": contrast,
                    "diameter_pixels": 2 * radius,
                    "contrast_left": float((bright.mean() - dark.mean()) / (bright_low.mean() - dark_low.mean())),
                    "detectability_before": float((bright_low.mean() - dark_low.mean()) / dark_low.std()),
                    "detectability_after": float((bright.mean() - dark.mean()) / dark.std()),
                }
            )
    return rows


def _limited(scans: list[Scan], limit: float) -> dict[str, Any]:
    """Return what a limit does at a quarter of the dose: the error that is left, and what pairs of lines keep."""

    def denoise(volume: Volume, _: float) -> Floats:
        return np.asarray(radcnn.denoise(volume, "ct-denoise", {"limit": limit}).array)

    left = [_compared(scan, 0.25, {"limited": denoise})["limited"]["rmse_left"] for scan in scans]
    rows = line_pairs(contrasts=(100.0,), periods=(4.0,), denoise=denoise)
    return {"limit": limit, "rmse_left": float(np.mean(left)), "contrast_left": rows[0]["contrast_left"]}


def line_pairs(
    repeats: int = 4,
    contrasts: tuple[float, ...] = (50.0, 100.0, 200.0),
    periods: tuple[float, ...] = (3.0, 4.0, 6.0, 8.0),
    denoise: Callable[[Volume, float], Floats] = ours,
) -> list[dict[str, float]]:
    """Return how much of the contrast of fields of parallel lines is left.

    Fields of 30 x 30 pixels in a body of water, sharp to the pixel, with noise of 20 HU in slices that differ in it.
    The contrast is that of the image with the lines' own pattern, after by before.
    """
    rng = np.random.default_rng(5)
    size, rows = 256, []
    y, x = np.indices((size, size)) - (size - 1) / 2
    body = np.where(np.hypot(x / 110, y / 90) < 1, 40.0, -1000.0).astype(np.float32)
    drawn = filtered(noise(body, 1.4, repeats, rng), kernel(body.shape, *_KERNEL))
    drawn *= np.float32(20 / drawn[:, np.abs(body) < 100].std())
    places = np.linspace(-60, 60, len(periods)) if len(periods) > 1 else [0.0]
    for contrast in contrasts:
        image, patterns = body.copy(), []
        for period, place in zip(periods, places, strict=True):
            inside = (np.abs(x - place) < 15) & (np.abs(y) < 15)
            pattern = np.where(np.mod(np.floor(x - place), period) < period / 2, 0.5, -0.5)
            image += np.where(inside, contrast * pattern, 0).astype(np.float32)
            patterns.append((period, inside, pattern[inside] - pattern[inside].mean()))
        low = volume_of(image + drawn, (1.0, 0.8, 0.8))
        found = denoise(low, 0)
        for period, inside, pattern in patterns:
            before, after = (float((array[:, inside] * pattern).sum()) for array in (low.array, found))
            rows.append({"contrast_hu": contrast, "period_pixels": period, "contrast_left": after / before})
    return rows


def _speed(scan: Scan) -> dict[str, float]:
    """Slices a second, and the ratio to the network in a plain loop of torch."""
    import torch

    from napari_radcnn.models import get_model
    from napari_radcnn.models.ct_denoise.network import CHANNELS, build_network
    from napari_radcnn.networks.shipped import ShippedNetwork

    low = volume_of(np.repeat(scan.full + 2 * scan.drawn, 3, 0), scan.spacing)
    module = ShippedNetwork.of(get_model("ct-denoise"), build_network, 2, CHANNELS).torch_module()
    batch = torch.zeros(1, CHANNELS, *scan.full.shape[1:])

    def plain() -> None:
        with torch.inference_mode():
            for _ in range(len(low.array)):
                module(batch)

    ours(low, 0)
    started = time.perf_counter()
    ours(low, 0)
    seconds = time.perf_counter() - started
    return {"slices_a_second": len(low.array) / seconds, **throughput(lambda: ours(low, 0), plain, rounds=2)}

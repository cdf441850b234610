"""Noise of CT by physics: projections, photons and electronics, filtered back-projection.

Filtered back-projection is linear, so that the noise of a low dose is reconstructed by itself and added to a scan
(Yu et al. 2012, Medical Physics; Zeng et al. 2015, IEEE Transactions on Nuclear Science). Parallel beams, for the
texture of the noise depends on the filter and on how much each ray lost, hardly on the fan.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: Linear attenuation of water at about 70 keV, 1/mm.
_WATER = 0.0192
#: Variance of the electronic noise, in photons squared.
_ELECTRONIC = 60.0
#: No ray is counted with fewer photons than this: scanners mend such rays before they reconstruct.
_FEWEST = 4.0
#: Positions between two detectors for which the filtered projections are made.
_FINER = 8


def project(hu: npt.NDArray[np.floating], spacing: float, views: int) -> Floats:
    """Return the parallel projections of a slice, lossless in mass.

    Parameters
    ----------
    hu : (n, n) array
        The slice; below -1000 counts as air.
    spacing : float
        mm of a pixel.
    views : int
        Angles over half a turn.

    Returns
    -------
    (views, detectors) array of float32
        Line integrals of the attenuation; detectors are as wide as pixels.
    """
    rows, columns = _axes(hu.shape[0])
    detectors = _detectors(hu.shape[0])
    weights = (np.maximum(hu.astype(np.float64), -1000) / 1000 + 1).ravel() * _WATER * spacing
    found = np.empty((views, detectors), np.float32)
    for view in range(views):
        angle = math.pi * view / views
        at = (math.cos(angle) * columns + math.sin(angle) * rows).ravel() + detectors / 2
        lower = at.astype(np.int32)
        share = at - lower
        found[view] = np.bincount(lower, weights * (1 - share), detectors) + np.bincount(
            lower + 1, weights * share, detectors
        )
    return found


def back_project(projections: Floats, size: int) -> Floats:
    """Return the ramp-filtered back-projection, up to the detectors' Nyquist frequency.

    Parameters
    ----------
    projections : (count, views, detectors) array
        Several at once.
    size : int
        Pixels along a side, as wide as detectors.

    Returns
    -------
    (count, size, size) array of float32
        Attenuation in 1/pixel.
    """
    count, views, detectors = projections.shape
    length = 2 ** math.ceil(math.log2(2 * detectors))
    spectrum = np.fft.rfft(projections, length, axis=2) * _ramp(length)
    finer = (np.fft.irfft(spectrum, _FINER * length, axis=2) * _FINER).astype(np.float32)[..., : _FINER * detectors]
    finer = np.ascontiguousarray(finer.transpose(1, 2, 0))
    rows, columns = _axes(size)
    total = np.zeros((size * size, count), np.float32)
    for view in range(views):
        angle = math.pi * view / views
        at = (math.cos(angle) * columns + math.sin(angle) * rows).ravel() + detectors / 2
        total += finer[view].take((_FINER * at + 0.5).astype(np.int32), axis=0)
    return np.ascontiguousarray((total * (math.pi / views)).T).reshape(count, size, size)


def noise(
    hu: npt.NDArray[np.floating],
    spacing: float,
    count: int,
    rng: np.random.Generator,
    *,
    photons: float = 2e5,
    dose: float = 1.0,
    views: int = 600,
) -> Floats:
    """Return images of the noise that is added to a scan when its dose falls, reconstructed with the bare ramp.

    Parameters
    ----------
    hu : (n, n) array
        The slice; n is even.
    spacing : float
        mm of a pixel.
    count : int
        How many images.
    rng : numpy.random.Generator
        Source of randomness.
    photons : float
        Of a ray through air, at full dose.
    dose : float
        Fraction of the full dose, below 1; at 1 the noise of the full dose itself is returned.
    views : int
        Projections over half a turn.

    Returns
    -------
    (count, n, n) array of float32
        HU.
    """
    half = hu.reshape(hu.shape[0] // 2, 2, hu.shape[1] // 2, 2).mean((1, 3))
    lost = project(half, 2 * spacing, views // 2)
    detectors = _detectors(hu.shape[0])
    counted = np.maximum(photons * np.exp(-_finer(lost, views, detectors)), _FEWEST)
    more, twice = (1.0, 1.0) if dose == 1 else (1 / dose - 1, 1 / dose**2 - 1)
    spread = np.sqrt(more / counted + twice * _ELECTRONIC / counted**2).astype(np.float32)
    drawn = spread * rng.standard_normal((count, *spread.shape), np.float32)
    return back_project(drawn, hu.shape[0]) * np.float32(1000 / (_WATER * spacing))


def kernel(shape: tuple[int, int], cutoff: float, order: float) -> Floats:
    """Return what a reconstruction kernel lets through of each frequency of `numpy.fft.rfft2`.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    cutoff : float
        Cycles a pixel at which half of the amplitude is left: 0.2 for a soft kernel, 0.45 for a sharp one.
    order : float
        2 falls like a Gaussian, higher ones more steeply.
    """
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    return np.asarray(np.exp(-math.log(2) * (frequency / cutoff) ** order), np.float32)


def filtered(images: npt.NDArray[np.floating], window: Floats) -> Floats:
    """Return images after a kernel of `kernel`, periodic at their borders."""
    return np.fft.irfft2(np.fft.rfft2(images) * window, images.shape[-2:]).astype(np.float32)


def _axes(size: int) -> tuple[Floats, Floats]:
    middle = np.arange(size, dtype=np.float32) - (size - 1) / 2
    return middle[:, None], middle[None]


def _ramp(length: int) -> npt.NDArray[np.float64]:
    """Return the ramp's spectrum, made in space so that it does not lose the mean (Kak and Slaney 1988, chapter 3)."""
    n = np.fft.fftfreq(length, 1 / length)
    with np.errstate(divide="ignore"):
        response = np.where(n % 2 == 1, -1 / (math.pi * n) ** 2, 0.0)
    response[0] = 0.25
    return np.fft.rfft(response).real


def _detectors(size: int) -> int:
    return 2 * math.ceil(0.5 * math.sqrt(2) * size) + 4


def _finer(lost: Floats, views: int, detectors: int) -> Floats:
    """Return projections of a picture of half the resolution at other views and detectors; linear in between."""
    from scipy import ndimage

    rows = np.arange(views)[:, None] * lost.shape[0] / views + np.zeros((1, detectors))
    columns = (np.arange(detectors)[None] - detectors / 2) / 2 + lost.shape[1] / 2 + np.zeros((views, 1))
    return np.asarray(ndimage.map_coordinates(lost, [rows, columns], order=1, mode="nearest"), np.float32)

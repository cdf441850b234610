"""How `brain-tissue` names the tissue of heads it did not learn from, in several contrasts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

import napari_radcnn as radcnn
from benchmarks.models.common import throughput
from napari_radcnn.metrics import dice
from napari_radcnn.models import get_model
from napari_radcnn.training.brains.cases import three_levels

#: The models whose figures `evaluate` returns.
NAMES = ("brain-tissue",)
_TISSUES = {"fluid": 1, "gray": 2, "white": 3}
_STROKE = ("T1", "T2", "FLAIR")
#: A lesion is what is this many standard deviations brighter than the median of the brain in FLAIR, in parts of at
#: least so many ml, and this many mm around.
_BRIGHT, _LEAST_ML, _AROUND_MM = 1.8, 1.0, 4

_Labels = npt.NDArray[np.uint8]


def evaluate(data: Path) -> dict[str, Any]:
    """Return every figure of the card, by the model's name.

    Parameters
    ----------
    data : Path
        Folder that holds ``mr_stroke_t1_t2_flair`` and ``mr_t1_fast``.
    """
    scans = {name: radcnn.read(data / "mr_stroke_t1_t2_flair" / f"{name}.nii.gz")[0] for name in _STROKE}
    found = {name: _run(scan) for name, scan in scans.items()}
    figures = {
        "stroke": _contrasts(scans, found),
        "classic": {"stroke_t1": _agreement(_classic(scans["T1"], found["T1"]), found["T1"])},
        "turned": _turned(scans["T1"], found["T1"]),
        "learned_from": _learned_from(data),
        "speed": _speed(scans["T1"]),
    }
    return {"brain-tissue": figures}


def _run(scan: radcnn.Volume, *, anyway: bool = False) -> _Labels:
    return radcnn.segment(scan, "brain-tissue", anyway=anyway).array


def _agreement(first: _Labels, second: _Labels, where: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
    inside = np.ones(first.shape, bool) if where is None else where
    return {
        name: round(dice((first == value) & inside, (second == value) & inside), 4) for name, value in _TISSUES.items()
    }


# -- one patient in three contrasts ---------------------------------------------------------------------------------


def _contrasts(scans: Mapping[str, radcnn.Volume], found: Mapping[str, _Labels]) -> dict[str, Any]:
    """Compare three contrasts of a patient with a stroke, outside the lesion and everywhere."""
    voxel_ml = scans["T1"].geometry.voxel_volume / 1000
    lesion = lesion_of(scans["FLAIR"])
    pairs = {"t1_t2": ("T1", "T2"), "t1_flair": ("T1", "FLAIR"), "t2_flair": ("T2", "FLAIR")}
    return {
        "patients": 1,
        "lesion_ml": round(float(lesion.sum() * voxel_ml), 1),
        "outside_lesion": {key: _agreement(found[a], found[b], ~lesion) for key, (a, b) in pairs.items()},
        "everywhere": {key: _agreement(found[a], found[b]) for key, (a, b) in pairs.items()},
        "volumes_ml": {
            scan: {name: round(float((labels == value).sum() * voxel_ml)) for name, value in _TISSUES.items()}
            for scan, labels in found.items()
        },
    }


def lesion_of(flair: radcnn.Volume) -> npt.NDArray[np.bool_]:
    """Return what is bright in FLAIR and near it; nobody drew the lesion."""
    values = ndimage.gaussian_filter(np.asarray(flair.array, np.float32), 1)
    inside = values[values > 5]
    bright = values > np.median(inside) + _BRIGHT * inside.std()
    bright &= ndimage.binary_erosion(flair.array > 5, iterations=3)
    parts, count = ndimage.label(bright)
    sizes = ndimage.sum_labels(bright, parts, np.arange(count + 1)) * flair.geometry.voxel_volume / 1000
    large = np.isin(parts, np.flatnonzero(sizes >= _LEAST_ML))
    return np.asarray(ndimage.distance_transform_edt(~large, flair.geometry.spacing) <= _AROUND_MM)


# -- beside a classic method ----------------------------------------------------------------------------------------


def _classic(scan: radcnn.Volume, labels: _Labels) -> _Labels:
    """Return tissue by gray value alone, within the brain that was found."""
    values = np.asarray(scan.array, np.float32)
    inside = labels > 0
    fluid, gray, white = three_levels(values[inside])
    return np.where(inside, np.digitize(values, [(fluid + gray) / 2, (gray + white) / 2]) + 1, 0).astype(np.uint8)


# -- the same scan in another way -----------------------------------------------------------------------------------


def _turned(scan: radcnn.Volume, labels: _Labels) -> dict[str, Any]:
    """Compare with the same scan in another order of axes, and with every third slice of it only."""
    other = scan.geometry.axis_map("SLA")
    turned = _run(scan.reoriented("SLA"))
    values = np.asarray(scan.array, np.float32)
    units = {
        "standardized": (values - values.mean()) / values.std(),
        "zero_to_one": values / values.max(),
        "bright_background": np.where(values == 0, 2 * values.max(), values),
    }
    return {
        "orientation": _agreement(other.apply(labels), turned),
        "slices_3mm": _thick(scan, labels),
        **{name: _agreement(labels, _run(scan.with_array(changed), anyway=True)) for name, changed in units.items()},
    }


def _thick(scan: radcnn.Volume, labels: _Labels) -> dict[str, float]:
    depth = scan.shape[0] // 3 * 3
    values = np.asarray(scan.array[:depth], np.float32).reshape(-1, 3, *scan.shape[1:]).mean(1)
    box = (slice(0, depth), slice(None), slice(None))
    geometry = scan.geometry.cropped(box).with_shape(values.shape)
    thick = radcnn.Volume(values, geometry, scan.metadata)
    return _agreement(labels[1:depth:3], _run(thick))


def _learned_from(data: Path) -> dict[str, float]:
    """Compare with FSL FAST on the scan that was learned from; tells what was learned, not how well it carries over."""
    folder = data / "mr_t1_fast"
    scan, gray, white = (radcnn.read(folder / f"{name}.nii.gz")[0] for name in ("bet", "pve_1", "pve_2"))
    labels = _run(scan)
    return {
        "gray": round(dice(gray.array > 0.5, labels == 2), 4),
        "white": round(dice(white.array > 0.5, labels == 3), 4),
    }


def _speed(scan: radcnn.Volume) -> dict[str, float]:
    """Return the time of a patch beside plain torch in float32."""
    import torch

    from napari_radcnn.inference.backends import open_predictor
    from napari_radcnn.inference.devices import default_threads
    from napari_radcnn.inference.settings import RunSettings
    from napari_radcnn.models.brain_structures.network import build_network
    from napari_radcnn.networks.shipped import ShippedNetwork

    network = ShippedNetwork.of(get_model("brain-tissue"), build_network, 3, 1)
    shape = (128, 160, 160)
    patch = np.zeros((1, *shape), np.float32)
    part = np.asarray(scan.array, np.float32)[tuple(slice(0, n) for n in shape)] / float(scan.array.max())
    patch[(0, *(slice(0, n) for n in part.shape))] = part
    threads = default_threads()
    predictor, _ = open_predictor(network, shape, RunSettings(), threads=threads, sample=patch)
    module = network.torch_module()
    tensor = torch.from_numpy(patch)[None]

    def plain() -> None:
        with torch.inference_mode():
            module(tensor)

    torch.set_num_threads(threads)
    measured = throughput(lambda: predictor(patch), plain, rounds=1)
    predictor.close()
    return measured | {"voxels_a_second": float(np.prod(shape)) / measured["ours_s"]}

"""The other side of `benchmarks.engine`: runs in an environment of its own, with nnunetv2 and monai installed.

``make`` fits a network on the right half of a chest CT and writes it as an nnU-Net folder, with a part of the left half
as the volume to measure on; ``many`` writes one of 118 classes at 1.5 mm with the heavy network's layers and random
weights, to measure memory with; ``monai`` and ``nnunet`` predict the volume with those runtimes. What is measured goes
to stdout as one line of JSON. Nothing of napari-radcnn is imported here.

Ground truth is a rule on the clean scan (lung, bone, other tissue by Hounsfield units); the network sees it under
noise.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

#: name -> (features of the stages, patch)
NETWORKS = {
    "light": ((16, 32, 64, 128, 256), (96, 96, 96)),
    "heavy": ((32, 64, 128, 256, 320, 320), (128, 128, 128)),
}
LABELS = {"background": 0, "lung": 1, "bone": 2, "tissue": 3}
_NOISE_HU = 60.0
_WINDOW = (-1000.0, 1000.0)


def main() -> None:
    """Do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "many", "monai", "nnunet"))
    parser.add_argument("--network", choices=sorted(NETWORKS), default="heavy")
    parser.add_argument("--folder", type=Path, required=True, help="where the network and the volume lie")
    parser.add_argument("--scan", type=Path, help="a thin-slice chest CT in HU, for make")
    parser.add_argument("--minutes", type=float, default=6.0, help="how long make fits")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parsed = parser.parse_args()
    import torch

    torch.set_num_threads(parsed.threads)
    if parsed.what == "make":
        make(parsed.network, parsed.folder, parsed.scan, parsed.minutes)
        return
    if parsed.what == "many":
        make_many(parsed.folder / "many")
        return
    volume = np.load(parsed.folder / "volume.npy").astype(np.float32)
    predict = monai_predictor if parsed.what == "monai" else nnunet_predictor
    run = predict(parsed.folder / parsed.network, NETWORKS[parsed.network][1])
    before = _resident()
    started = time.perf_counter()
    labels = run(volume)
    seconds = time.perf_counter() - started
    out = parsed.folder / f"{parsed.network}-{parsed.what}.npy"
    np.save(out, labels.astype(np.uint8))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak - before, "labels": str(out)}))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


# -- the runtimes -----------------------------------------------------------------------------------------------------


def monai_predictor(folder: Path, patch: tuple[int, int, int]) -> Any:
    """Return MONAI's sliding window as its documentation shows it: float32, overlap 0.5, Gaussian."""
    import torch
    from monai.inferers import sliding_window_inference

    network = _nnunet(folder).network.eval()

    def run(volume: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            whole = torch.from_numpy(normalized(volume))[None, None]
            logits = sliding_window_inference(whole, patch, 1, network, overlap=0.5, mode="gaussian")
            return logits[0].argmax(0).numpy()

    return run


def nnunet_predictor(folder: Path, patch: tuple[int, int, int]) -> Any:  # noqa: ARG001  the plans name it
    """Return nnU-Net's predictor for one volume, mirroring off."""
    predictor = _nnunet(folder)

    def run(volume: np.ndarray) -> np.ndarray:
        return predictor.predict_single_npy_array(volume[None], {"spacing": (1.0, 0.7, 0.7)})

    return run


def _nnunet(folder: Path) -> Any:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False, verbose=False
    )
    shown, sys.stdout = sys.stdout, sys.stderr  # it prints; stdout is for the figures
    try:
        predictor.initialize_from_trained_model_folder(str(folder), use_folds=(0,))
    finally:
        sys.stdout = shown
    return predictor


def normalized(volume: np.ndarray) -> np.ndarray:
    """Return what nnU-Net's CT normalization makes of the volume, with the intensities written in `make`."""
    return ((np.clip(volume, *_WINDOW) - _MEAN) / _STD).astype(np.float32)


_MEAN, _STD = -300.0, 400.0


# -- the networks -----------------------------------------------------------------------------------------------------


def make(name: str, folder: Path, scan: Path, minutes: float) -> None:
    """Fit a network and write it, and the volume to measure on, with its truth."""
    import SimpleITK as sitk

    hu = sitk.GetArrayFromImage(sitk.ReadImage(str(scan))).astype(np.float32)
    truth = by_rule(hu)
    noise = np.random.default_rng(0).normal(0.0, _NOISE_HU, hu.shape).astype(np.float32)
    noisy = np.rint(hu + noise).astype(np.int16)
    right, held_out = np.s_[:, :, : hu.shape[2] // 2], (slice(72, 232), slice(66, 322), slice(256, 512))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "volume.npy", noisy[held_out])
    np.save(folder / "truth.npy", truth[held_out])
    features, patch = NETWORKS[name]
    target = folder / name
    describe(target, plans(features, patch), LABELS)
    save(target, fit(target, noisy[right], truth[right], patch, minutes))


def make_many(target: Path, classes: int = 118) -> None:
    """Write a network of many classes with random weights."""
    import torch

    features, patch = NETWORKS["heavy"]
    labels = {"background": 0} | {f"structure {n}": n for n in range(1, classes)}
    describe(target, plans(features, patch, spacing=(1.5, 1.5, 1.5)), labels)
    torch.manual_seed(0)
    save(target, build(target, classes).state_dict())


def describe(target: Path, planned: dict[str, Any], labels: dict[str, int]) -> None:
    """Write what an nnU-Net folder says of its network."""
    (target / "fold_0").mkdir(parents=True, exist_ok=True)
    (target / "plans.json").write_text(json.dumps(planned, indent=1), encoding="utf-8")
    (target / "dataset.json").write_text(json.dumps(dataset(labels), indent=1), encoding="utf-8")


def save(target: Path, weights: Any) -> None:
    """Write the weights as nnU-Net does."""
    import torch

    torch.save(
        {
            "network_weights": weights,
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": "3d_fullres", "fold": 0},
            "inference_allowed_mirroring_axes": (0, 1, 2),
        },
        target / "fold_0" / "checkpoint_final.pth",
    )


def by_rule(hu: np.ndarray) -> np.ndarray:
    """Return lung, bone and other tissue of a chest CT: thresholds on the lightly smoothed scan, inside the body."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(hu, (0.8, 1.0, 1.0))
    solid = ndimage.binary_opening(smooth > -300, iterations=2)
    parts, count = ndimage.label(solid)
    body = parts == np.bincount(parts.ravel())[1:].argmax() + 1 if count else solid
    body = np.stack([ndimage.binary_fill_holes(plane) for plane in body])
    truth = np.zeros(hu.shape, np.uint8)
    truth[body & (smooth > -150)] = LABELS["tissue"]
    truth[body & (smooth < -500)] = LABELS["lung"]
    truth[body & (smooth > 180)] = LABELS["bone"]
    return truth


def fit(folder: Path, noisy: np.ndarray, truth: np.ndarray, patch: tuple[int, int, int], minutes: float) -> Any:
    """Return the weights after so many minutes of Adam on random patches, cross entropy and soft Dice, in bfloat16.

    A fifth of the time on small patches, which are many, the rest on those that the network is run on: in a small one
    that holds one tissue only, instance normalization leaves nothing to tell which. Half of them are mirrored, because
    the other side of the chest is what it is measured on.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    network = build(folder).to(memory_format=torch.channels_last_3d).train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.InstanceNorm3d):  # over 2 x 2 x 2 voxels a variance in bfloat16 is not a number
            layer.forward = lambda x, norm=layer.forward: norm(x.float()).to(x.dtype)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    data, ends, step = normalized(noisy.astype(np.float32)), time.perf_counter() + 60 * minutes, 0
    while time.perf_counter() < ends:
        share = 1 - max(ends - time.perf_counter(), 0) / (60 * minutes)
        size = (64, 64, 64) if share < 0.2 else patch
        start = [int(rng.integers(0, n - p + 1)) for n, p in zip(data.shape, size, strict=True)]
        box = tuple(slice(s, s + p) for s, p in zip(start, size, strict=True))
        way = slice(None, None, -1 if rng.random() < 0.5 else 1)
        image = torch.from_numpy(data[box][..., way].copy())[None, None].to(memory_format=torch.channels_last_3d)
        target = torch.from_numpy(truth[box][..., way].astype(np.int64))[None]
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(image)
        logits = logits.float()
        shares = logits.softmax(1)
        wanted = functional.one_hot(target, len(LABELS)).movedim(-1, 1).float()
        overlap = 2 * (shares * wanted).sum((2, 3, 4)) + 1
        soft_dice = (overlap / (shares.sum((2, 3, 4)) + wanted.sum((2, 3, 4)) + 1)).mean()
        loss = functional.cross_entropy(logits, target) + 1 - soft_dice
        optimizer.zero_grad()
        loss.backward()
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)):
            optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - 0.95 * share)
        step += 1
        if step % 10 == 0:
            print(f"{share:.0%} step {step} loss {float(loss):.3f} dice {float(soft_dice):.3f}", file=sys.stderr)
    return network.state_dict()


def build(folder: Path, classes: int = len(LABELS)) -> Any:
    """Return the untrained network that nnU-Net builds from the folder's plans."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    chosen = json.loads((folder / "plans.json").read_text(encoding="utf-8"))["configurations"]["3d_fullres"]
    network = chosen["architecture"]
    return get_network_from_plans(
        network["network_class_name"],
        network["arch_kwargs"],
        network["_kw_requires_import"],
        1,
        classes,
        deep_supervision=False,
    )


def plans(
    features: tuple[int, ...], patch: tuple[int, int, int], spacing: tuple[float, float, float] = (1.0, 0.7, 0.7)
) -> dict[str, Any]:
    """Return an nnU-Net plan for a plain U-Net of these features at this spacing (mm)."""
    stages = len(features)
    network = {
        "n_stages": stages,
        "features_per_stage": list(features),
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    resample = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": list(patch),
        "median_image_size_in_voxels": [160, 256, 256],
        "spacing": list(spacing),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resample,
        "resampling_fn_seg_kwargs": {**resample, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resample, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    intensities = {
        "max": _WINDOW[1],
        "mean": _MEAN,
        "median": _MEAN,
        "min": _WINDOW[0],
        "percentile_00_5": _WINDOW[0],
        "percentile_99_5": _WINDOW[1],
        "std": _STD,
    }
    return {
        "dataset_name": "Dataset999_Benchmark",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(spacing),
        "original_median_shape_after_transp": [160, 256, 256],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensities},
    }


def dataset(labels: dict[str, int]) -> dict[str, Any]:
    """Return nnU-Net's description of channels and classes."""
    return {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}


if __name__ == "__main__":
    main()

"""Foreign networks run as their own runtime runs them: MONAI itself is the oracle, on anisotropic and oblique scans."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from costly import few_together
from model_factory import METADATA, UNET, describe, inference_config, unet, write_bundle, write_onnx, write_safetensors
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.processing.steps import Decide, Invert, Orient, Processing
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume, VolumeMetadata
from onnx_file import wide_onnx

CPU = {"device": "cpu", "precision": "float32"}
GRIDS = {
    "oblique": lambda: oblique_geometry((22, 40, 35)),
    "left-handed": lambda: Geometry.from_parts(
        (19, 33, 38), (3.1, 0.9, 1.1), (-10, 5, 3), np.array([[0, 0.0, -1], [0, 1, 0], [1, 0, 0]])
    ),
    "sagittal": lambda: Geometry.from_parts(
        (30, 41, 26), (1.3, 1.0, 2.4), (7, -20, 11), np.array([[1, 0.0, 0], [0, 0, 1], [0, -1, 0]])
    ),
}


def _scan(geometry: Geometry, seed: int = 0) -> Volume:
    """Return smooth structures with values like those of a CT, none of them symmetric."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=geometry.shape)
    smooth = ndimage.gaussian_filter(noise, 1.6)
    values = 50 + 110 * smooth / smooth.std()
    values[:, :4] = values[:2] = -900  # air, so that a foreground can be cropped
    return Volume(np.round(values).astype(np.int16), geometry, VolumeMetadata("scan", modality="CT"))


def _with_monai(bundle: Path, network: torch.nn.Module, files: Any, like: Volume) -> np.ndarray:
    """Run a bundle with MONAI's own parser, transforms and inferer; labels in the order of `like`."""
    from monai.bundle import ConfigParser
    from monai.data import decollate_batch, list_data_collate

    config = json.loads((bundle / "configs" / "inference.json").read_text())
    for unused in ("device", "evaluator", "handlers", "network", "initialize", "run", "dataset", "dataloader"):
        config.pop(unused, None)
    for item in config["preprocessing"]["transforms"]:
        item.pop("device", None)
    config["inferer"].pop("sw_device", None)
    config["postprocessing"]["transforms"] = [
        item for item in config["postprocessing"]["transforms"] if item["_target_"] != "SaveImaged"
    ]
    parser = ConfigParser(config)
    batch = list_data_collate([parser.get_parsed_content("preprocessing")({"image": files})])
    with torch.inference_mode():
        batch["pred"] = parser.get_parsed_content("inferer")(batch["image"], network)
    (done,) = decollate_batch(batch)
    found = parser.get_parsed_content("postprocessing")(done)["pred"].numpy()
    return found.transpose(0, 3, 2, 1)  # MONAI's axes are NIfTI's (i, j, k)


def _dice(one: np.ndarray, other: np.ndarray, label: int) -> float:
    total = np.count_nonzero(one == label) + np.count_nonzero(other == label)
    return 2 * np.count_nonzero((one == label) & (other == label)) / total


def _image(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "image", **arguments}


LOAD = [_image("LoadImaged"), _image("EnsureChannelFirstd")]
RANGE = _image("ScaleIntensityRanged", a_min=-57, a_max=164, b_min=0, b_max=1, clip=True)
#: Chosen so that no voxel lies in the middle between two: where it goes then hangs on the last bit.
SPACE = _image("Spacingd", pixdim=[1.433, 1.16, 1.93], mode=["bilinear"])
CHAINS = {
    "spleen": [*LOAD, _image("Orientationd", axcodes="RAS"), SPACE, RANGE, _image("EnsureTyped")],
    "as stored": [*LOAD, _image("NormalizeIntensityd")],
    "crop after": [
        *LOAD,
        _image("Orientationd", axcodes="LPS"),
        SPACE,
        RANGE,
        _image("CropForegroundd", source_key="image", margin=[2, 0, 2], k_divisible=[4, 1, 2]),
    ],
    "crop before": [
        *LOAD,
        _image("Orientationd", axcodes="PIR"),
        RANGE,
        _image("CropForegroundd", source_key="image", allow_smaller=True, margin=2),
        _image("NormalizeIntensityd", nonzero=True, channel_wise=True),
        _image("Spacingd", pixdim=[2.0, -1, 1.5], mode="bilinear"),
    ],
    "percentiles": [
        *LOAD,
        _image("Orientationd", axcodes="RAS"),
        _image("ScaleIntensityRangePercentilesd", lower=2, upper=97, b_min=-1, b_max=1, clip=True, relative=True),
        _image("SpatialPadd", spatial_size=[40, 20, 48]),
        _image("DivisiblePadd", k=6),
    ],
    "bounds": [
        *LOAD,
        _image("ClipIntensityPercentilesd", lower=5, upper=95),
        _image("ScaleIntensityd", minv=0.0, maxv=2.0),
        _image("ThresholdIntensityd", threshold=0.1, above=True, cval=0.05),
        _image("NormalizeIntensityd", subtrahend=[0.5], divisor=[0.7], channel_wise=True),
    ],
}


def _post(*items: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": [{"keys": "pred", **item} for item in items]}


INVERT = {"_target_": "Invertd", "transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False}
SOFTMAX, ARGMAX = {"_target_": "Activationsd", "softmax": True}, {"_target_": "AsDiscreted", "argmax": True}


@pytest.mark.parametrize(
    ("chain", "grid"),
    few_together([*((chain, "oblique") for chain in CHAINS), ("crop before", "left-handed")], CHAINS, GRIDS),
)
def test_labels_are_those_of_monai(tmp_path, chain, grid):
    scan = _scan(GRIDS[grid]())
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    network = unet(3)
    preprocessing = {"_target_": "Compose", "transforms": CHAINS[chain]}
    bundle = write_bundle(tmp_path / "bundle", network, preprocessing=preprocessing)
    labels = radcnn.segment(scan, radcnn.open_model(bundle), **CPU)
    (wanted,) = _with_monai(bundle, network, str(tmp_path / "scan.nii.gz"), scan)
    assert labels.geometry.is_close(scan.geometry)
    assert set(np.unique(wanted)) == {0, 1, 2}  # the comparison says something
    assert min(_dice(labels.array, wanted, label) for label in (1, 2)) >= 0.999


@pytest.mark.parametrize(
    "back",
    [
        [INVERT, SOFTMAX, ARGMAX],
        [SOFTMAX, ARGMAX, {**INVERT, "nearest_interp": True}],
        [SOFTMAX, INVERT, ARGMAX, {"_target_": "KeepLargestConnectedComponentd", "applied_labels": [1, 2]}],
        [
            SOFTMAX,
            ARGMAX,
            {"_target_": "KeepLargestConnectedComponentd", "applied_labels": 1},
            {**INVERT, "nearest_interp": True},
        ],
    ],
    ids=["logits", "labels", "largest", "largest-first"],
)
def test_the_way_back_is_that_of_monai(tmp_path, back):
    scan = _scan(GRIDS["oblique"](), 4)
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    network = unet(5)
    preprocessing = {"_target_": "Compose", "transforms": CHAINS["crop after"]}
    bundle = write_bundle(tmp_path / "bundle", network, preprocessing=preprocessing, postprocessing=_post(*back))
    labels = radcnn.segment(scan, radcnn.open_model(bundle), **CPU)
    (wanted,) = _with_monai(bundle, network, str(tmp_path / "scan.nii.gz"), scan)
    assert {1, 2} <= set(np.unique(wanted))
    assert min(_dice(labels.array, wanted, label) for label in (1, 2)) >= 0.999


#: An odd number of voxels across an odd number: with an even one the middle lies between two.
NO_TIES = [1.31, 1.17, 1.93]


@pytest.mark.parametrize(
    "space",
    [
        _image("Spacingd", pixdim=NO_TIES, mode="nearest"),
        {
            "_target_": "Spacingd",
            "keys": ["label", "image"],
            "pixdim": NO_TIES,
            "mode": ["bilinear", "nearest"],
            "allow_missing_keys": True,
        },
    ],
    ids=["alone", "second of two keys"],
)
def test_nearest_on_the_way_there_is_nearest_on_the_way_back(tmp_path, space):
    scan = _scan(GRIDS["oblique"](), 6)
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    network = unet(7)
    chain = [*LOAD, _image("Orientationd", axcodes="RAS"), space, RANGE]
    bundle = write_bundle(tmp_path / "bundle", network, preprocessing={"_target_": "Compose", "transforms": chain})
    labels = radcnn.segment(scan, radcnn.open_model(bundle), **CPU)
    (wanted,) = _with_monai(bundle, network, str(tmp_path / "scan.nii.gz"), scan)
    assert {1, 2} <= set(np.unique(wanted))
    assert min(_dice(labels.array, wanted, label) for label in (1, 2)) >= 0.999


def test_overlapping_classes_show_the_inner_one(tmp_path):
    scan = _scan(GRIDS["oblique"](), 6)
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    metadata = json.loads(json.dumps(METADATA))
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "a", "1": "b", "2": "c"}
    post = _post({"_target_": "Activationsd", "sigmoid": True}, INVERT, {"_target_": "AsDiscreted", "threshold": 0.5})
    network = unet(7)
    bundle = write_bundle(tmp_path / "bundle", network, metadata, postprocessing=post)
    labels = radcnn.segment(scan, radcnn.open_model(bundle), **CPU)
    channels = _with_monai(bundle, network, str(tmp_path / "scan.nii.gz"), scan)
    order = labels.provenance["facts"]["overlapping_classes_from_outer_to_inner"]
    assert sorted(order) == [1, 2, 3]
    wanted = np.zeros(scan.shape, np.uint8)
    for value in order:
        wanted[channels[value - 1] > 0] = value
    assert np.count_nonzero(channels.sum(0) > 1) > 100
    assert np.mean(labels.array == wanted) >= 0.999


def test_several_inputs_are_channels_in_the_order_of_the_model(tmp_path):
    first = _scan(GRIDS["oblique"](), 1)
    second = first.with_array(_scan(first.geometry, 2).array, name="other")
    for name, scan in (("a", first), ("b", second)):
        radcnn.write(scan, tmp_path / f"{name}.nii.gz")
    metadata = json.loads(json.dumps(METADATA))
    image = metadata["network_data_format"]["inputs"]["image"]
    image.update(modality="MR", num_channels=2, channel_def={"0": "T1", "1": "FLAIR"})
    network = unet(8, in_channels=2)
    change = {
        "network_def": {"_target_": "UNet", **UNET, "in_channels": 2},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [*LOAD, _image("NormalizeIntensityd", nonzero=True, channel_wise=True)],
        },
    }
    bundle = write_bundle(tmp_path / "bundle", network, metadata, **change)
    spec = radcnn.open_model(bundle)
    assert [(slot.name, slot.modalities) for slot in spec.inputs] == [("T1", ("MR",)), ("FLAIR", ("MR",))]
    labels = radcnn.segment([first, second], spec, **CPU, anyway=True)  # the values are a CT's
    (wanted,) = _with_monai(bundle, network, [str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz")], first)
    assert min(_dice(labels.array, wanted, label) for label in (1, 2)) >= 0.999
    with pytest.raises(ModelError):
        radcnn.segment(first, spec, **CPU)


# -- what the processing alone must get right, in closed form ----------------------------------------------------------


def test_onnx_gives_what_its_convolution_gives(tmp_path):
    pytest.importorskip("openvino")
    scan = _scan(GRIDS["left-handed"]())
    write_onnx(tmp_path / "net.onnx", np.array([[0.0], [1.0], [2.0]]), np.array([0.6, 0.0, -0.9]), (8, 16, 12))
    description = {"orientation": None, "spacing": None, "patch": [8, 16, 12]}
    describe(tmp_path / "net.json", **description)
    labels = radcnn.segment(scan, radcnn.open_model(tmp_path / "net.onnx"), **CPU)
    values = np.clip((scan.array.astype(np.float32) + 57) / 221, 0, 1)
    wanted = np.argmax([np.full_like(values, 0.6), values, 2 * values - 0.9], 0)
    assert set(np.unique(wanted)) == {0, 1, 2}
    assert np.array_equal(labels.array, wanted)


def test_torchscript_safetensors_and_bundle_give_the_same(tmp_path):
    scan = _scan(GRIDS["oblique"]())
    network = unet(9)
    torch.jit.save(torch.jit.script(network), tmp_path / "net.ts")
    write_safetensors(tmp_path / "weights.safetensors", network.state_dict())
    torch.save(network.state_dict(), tmp_path / "state.pt")
    described = {"architecture": {"name": "UNet", "arguments": UNET}}
    results = []
    for name, more in (("net.ts", {}), ("weights.safetensors", described), ("state.pt", described)):
        describe((tmp_path / name).with_suffix(".json"), **more)
        trust = None
        if name == "net.ts":
            with pytest.raises(ModelError) as caught:
                radcnn.open_model(tmp_path / name)
            trust = str(caught.value).split("trust='")[1][:64]
        results.append(radcnn.segment(scan, radcnn.open_model(tmp_path / name, trust=trust), **CPU).array)
    assert set(np.unique(results[0])) == {0, 1, 2}
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


class _Half(torch.nn.Module):
    """Gives half of what it sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.5


def _script(folder: Path, module: torch.nn.Module, **description: Any):
    path = folder / "net.ts"
    torch.jit.save(torch.jit.script(module.eval()), path)
    describe(folder / "net.json", **description)
    with pytest.raises(ModelError) as caught:
        radcnn.open_model(path)
    return radcnn.open_model(path, trust=str(caught.value).split("trust='")[1][:64])


DENOISE = {"task": "denoising", "classes": ..., "orientation": "PRS", "patch": [8, 9, 10], "spacing": None}


def test_a_restored_image_has_the_units_and_the_grid_of_its_scan(tmp_path):
    scan = _scan(GRIDS["oblique"]())
    range_ = [{"step": "range", "low": -1000, "high": 3000, "to_low": 0, "to_high": 1}]
    spec = _script(tmp_path, _Half(), **DENOISE, intensity=range_)
    assert spec.task == "denoising"
    restored = radcnn.denoise(scan, spec, **CPU)
    # half of (v + 1000) / 4000, back in units: (v + 1000) / 2 - 1000
    assert np.allclose(restored.array, (scan.array.astype(float) + 1000) / 2 - 1000, atol=0.01)
    assert restored.geometry.is_close(scan.geometry)
    assert restored.array.dtype == np.float32


def test_a_field_survives_the_way_there_and_back(tmp_path):
    """A linear field is interpolated exactly, so it must come back to every voxel, whatever the axes."""
    from napari_radcnn.phantom import world_field

    for number, grid in enumerate(GRIDS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        field = world_field(grid())
        described = {**DENOISE, "spacing": [0.7, 1.3, 2.2], "intensity": [], "orientation": "AIL"}
        spec = _script(folder, torch.nn.Identity(), **described)
        restored = radcnn.denoise(field, spec, **CPU)
        inner = (slice(4, -4),) * 3  # at the border a coarser grid ends inside the scan
        assert np.allclose(restored.array[inner], field.array[inner], atol=2e-3)


def test_two_dimensional_networks_see_slices(tmp_path):
    class Rows(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0 + torch.amax(x, dim=[2, 3], keepdim=True)

    scan = _scan(GRIDS["sagittal"]())
    described = {**DENOISE, "spatial_dims": 2, "orientation": "SPL", "patch": [64, 64], "intensity": []}
    restored = radcnn.denoise(scan, _script(tmp_path, Rows(), **described), **CPU)
    upright = scan.reoriented("SPL").array
    highest = np.maximum(upright.max((1, 2)), 0)  # a slice that is smaller than the patch has zeros around it
    found = restored.reoriented("SPL").array
    assert np.allclose(found, highest[:, None, None], rtol=1e-6)


def test_voxels_without_a_number_stay_so_and_are_told(tmp_path):
    array = np.zeros((9, 10, 11), np.float32) + 7
    array[2, 3, 4], array[5, 5, 5] = np.nan, np.inf
    scan = Volume(array, oblique_geometry(array.shape), VolumeMetadata("gaps"))
    restored = radcnn.denoise(scan, _script(tmp_path, _Half(), **DENOISE, intensity=[]), **CPU)
    assert np.array_equal(np.isnan(restored.array), ~np.isfinite(array))
    assert restored.array[0, 0, 0] == 3.5
    assert any("2 voxels" in warning and "saw -1024" in warning for warning in restored.warnings)


def test_a_grid_out_of_all_proportion_is_refused_with_numbers(tmp_path):
    scan = _scan(GRIDS["oblique"]())
    spec = _script(tmp_path, _Half(), **{**DENOISE, "spacing": [0.05, 0.05, 0.05]}, intensity=[])
    for call in (radcnn.plan, radcnn.denoise):
        with pytest.raises(ModelError, match=r"0.05 x 0.05 x 0.05 mm, which would turn the \d+ x \d+ x \d+ voxels"):
            call(scan, spec)


def test_a_scan_with_nothing_in_it_is_told(tmp_path):
    scan = Volume(np.zeros((9, 10, 11), np.int16), oblique_geometry((9, 10, 11)), VolumeMetadata("empty"))
    spec = _script(tmp_path, unet(), crop_foreground=True, intensity=[], spacing=None)
    with pytest.raises(ModelError, match="'empty' has no value above 0"):
        radcnn.segment(scan, spec, **CPU)


def test_another_modality_is_a_warning(tmp_path):
    scan = _scan(GRIDS["oblique"]())
    magnetic = dataclasses.replace(scan, metadata=dataclasses.replace(scan.metadata, modality="MR"))
    spec = radcnn.open_model(write_bundle(tmp_path / "bundle"))
    assert any("MR" in warning for warning in radcnn.plan(magnetic, spec).warnings)
    assert not any("CT" in warning for warning in radcnn.plan(scan, spec).warnings)


def test_an_answer_of_another_shape_is_told(tmp_path):
    spec = _script(tmp_path, unet(out_channels=4), spacing=None)
    with pytest.raises(ModelError, match="output of the network has shape"):
        radcnn.segment(_scan(GRIDS["oblique"]()), spec, **CPU)


def test_the_plan_counts_the_patches(tmp_path):
    scan = _scan(GRIDS["oblique"]())
    spec = radcnn.open_model(write_bundle(tmp_path / "bundle"))
    labels = radcnn.segment(scan, spec, **CPU)
    assert radcnn.plan(scan, spec).patches == labels.provenance["facts"]["patches"]
    assert labels.provenance["model"]["weights"][0]["sha256"] == spec.files[0].sha256


def test_little_memory_gives_the_same(tmp_path, monkeypatch):
    from napari_radcnn.foreign.processing import run as network

    scan = _scan(GRIDS["oblique"]())
    preprocessing = {"_target_": "Compose", "transforms": CHAINS["crop after"]}
    spec = radcnn.open_model(write_bundle(tmp_path / "bundle", unet(3), preprocessing=preprocessing))
    plenty = radcnn.segment(scan, spec, **CPU)
    for budget in ("blending_budget", "keeping_budget"):
        monkeypatch.setattr(network, budget, lambda: 1000)
    monkeypatch.setattr(network, "BLOCK_BYTES", 1000)
    assert np.array_equal(radcnn.segment(scan, spec, **CPU).array, plenty.array)


def test_cancel_stops_between_patches(tmp_path):
    import threading

    from napari_radcnn.errors import CancelledError

    event, seen = threading.Event(), []

    def progress(done: int, total: int, message: str) -> None:
        seen.append((done, total, message))
        if done == 3:
            event.set()

    spec = radcnn.open_model(write_bundle(tmp_path / "bundle"))
    with pytest.raises(CancelledError):
        radcnn.segment(_scan(GRIDS["oblique"]()), spec, progress=progress, cancel=event, **CPU)
    assert max(done for done, _, _ in seen) == 3


def test_the_largest_part_of_each_class_is_kept():
    from napari_radcnn.foreign.processing.output import keep_largest
    from napari_radcnn.foreign.processing.steps import KeepLargest

    labels = np.zeros((4, 6, 7), np.uint8)
    labels[0, 0, :3], labels[3, 5, 5:], labels[1, 1, 3] = 1, 1, 1  # (0, 0, 2) and (1, 1, 3) touch by a corner
    labels[2, 2, :2], labels[0, 5, :4] = 2, 2
    corner = keep_largest(labels, KeepLargest())
    assert np.count_nonzero(corner == 1) == 4
    assert np.count_nonzero(corner == 2) == 4
    faces = keep_largest(labels, KeepLargest(labels=(1,), connectivity=1))
    assert np.count_nonzero(faces == 1) == 3
    assert np.count_nonzero(faces == 2) == 6
    two = keep_largest(labels, KeepLargest(labels=(1,), count=2))
    assert np.count_nonzero(two == 1) == 6


def test_a_recipe_without_a_decision_is_refused():
    from napari_radcnn.foreign.processing.output import Answer

    with pytest.raises(ModelError, match="how probabilities become labels"):
        Answer(Processing(1, 2, (Orient("RAS"),), None, (Invert(),), (0, 1)))
    with pytest.raises(ModelError, match="one output channel"):
        Answer(Processing(1, 2, (), None, (Invert(), Decide("argmax")), (), output="image"))


def test_slices_of_a_bundle_lie_along_the_axis_it_names(tmp_path):
    change = {
        "network_def": {"_target_": "UNet", **UNET, "spatial_dims": 2},
        "inferer": {"_target_": "SliceInferer", "spatial_dim": 1, "roi_size": [24, 20], "overlap": 0.25},
    }
    scan = _scan(GRIDS["sagittal"](), 3)
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    network = unet(4, spatial_dims=2)
    preprocessing = {"_target_": "Compose", "transforms": CHAINS["spleen"]}
    bundle = write_bundle(tmp_path / "bundle", network, preprocessing=preprocessing, **change)
    assert "inferer" in inference_config()
    labels = radcnn.segment(scan, radcnn.open_model(bundle), **CPU)
    (wanted,) = _with_monai(bundle, network, str(tmp_path / "scan.nii.gz"), scan)
    assert min(_dice(labels.array, wanted, label) for label in (1, 2)) >= 0.999


def test_a_bundle_says_itself_which_class_shows(tmp_path):
    """As bundles for brain tumors have it: labels 1, 2 and 4 out of three overlapping channels."""
    scan = _scan(GRIDS["oblique"](), 6)
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    func = "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"
    sigmoid, threshold = {"_target_": "Activationsd", "sigmoid": True}, {"_target_": "AsDiscreted", "threshold": 0.5}
    metadata = json.loads(json.dumps(METADATA))
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "core", "1": "whole", "2": "enhancing"}
    network = unet(7)
    post = _post(sigmoid, INVERT, threshold, {"_target_": "Lambdad", "func": func})
    bundle = write_bundle(tmp_path / "bundle", network, metadata, postprocessing=post)
    spec = radcnn.open_model(bundle)
    assert {value: label.name for value, label in spec.labels.items()} == {4: "enhancing", 1: "core", 2: "whole"}
    (wanted,) = _with_monai(bundle, network, str(tmp_path / "scan.nii.gz"), scan)
    labels = radcnn.segment(scan, spec, **CPU)
    assert set(np.unique(wanted)) >= {1, 2, 4}
    assert np.mean(labels.array == wanted) >= 0.999


def test_a_scan_smaller_than_a_patch_is_filled_up_as_in_monai(tmp_path):
    scan = _scan(Geometry.from_parts((9, 14, 31), (2.0, 1.1, 0.9), (1, 2, 3)), 5)
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    network = unet(3)
    for padding in ("constant", "replicate"):
        inferer = {
            "_target_": "SlidingWindowInferer",
            "roi_size": [24, 18, 16],
            "padding_mode": padding,
            "overlap": 0.25,
        }
        preprocessing = {"_target_": "Compose", "transforms": CHAINS["as stored"]}
        bundle = write_bundle(tmp_path / padding, network, preprocessing=preprocessing, inferer=inferer)
        labels = radcnn.segment(scan, radcnn.open_model(bundle), **CPU)
        (wanted,) = _with_monai(bundle, network, str(tmp_path / "scan.nii.gz"), scan)
        assert min(_dice(labels.array, wanted, label) for label in (1, 2)) >= 0.999


def test_a_choice_between_literals_is_worked_out(tmp_path):
    change = {
        "highres": False,
        "pixdim": "$[1.5, 1.5, 1.5] if @highres else [3.0, 2.5, 3.5]",
        "modelname": "$'model.pt' if @highres else 'model_lowres.pt'",
        "imports": ["$import pandas as pd", "$import os"],
        "csv": "$list(@dataset_dir + pd.read_csv(@dataset_dir + 'test.csv').t2)",
        "handlers": [
            {"_target_": "CheckpointLoader", "map_location": {"_target_": "torch.device", "device": "@device"}}
        ],
        "datalist": "$monai.data.load_decathlon_datalist(@dataset_dir, data_list_key='testing')",
        "preprocessing": [
            *LOAD,
            _image("Orientationd", axcodes="RAS"),
            _image("Spacingd", pixdim="@pixdim"),
            _image("NormalizeIntensityd", nonzero="True"),
        ],
    }
    assert radcnn.open_model(write_bundle(tmp_path / "bundle", **change)).spacing == (3.5, 2.5, 3.0)


class _Sink:
    """Keeps blocks as they come; stops after some, as a killed run does."""

    def __init__(self, shape: tuple[int, ...], mark_reached: int = 0, most_marks: int = 10**9) -> None:
        self.array = np.full(shape, 255, np.uint8)
        self.mark_reached, self.marks, self._most = mark_reached, [], most_marks

    def write(self, box: Any, values: np.ndarray) -> None:
        self.array[box] = values

    def mark(self, reached: int) -> None:
        self.marks.append(reached)
        if len(self.marks) > self._most:
            raise KeyboardInterrupt


@pytest.mark.parametrize("largest", [False, True])
def test_labels_can_be_given_block_by_block_and_a_killed_run_goes_on(tmp_path, monkeypatch, largest):
    from napari_radcnn.foreign.processing import run as network
    from napari_radcnn.foreign.processing.steps import NetworkOptions
    from napari_radcnn.inference.request import Request
    from napari_radcnn.inference.settings import RunSettings
    from napari_radcnn.progress import Monitor

    keep = [{"_target_": "KeepLargestConnectedComponentd"}] if largest else []
    preprocessing = {"_target_": "Compose", "transforms": CHAINS["crop after"]}
    change = {"preprocessing": preprocessing, "postprocessing": _post(SOFTMAX, INVERT, ARGMAX, *keep)}
    spec = radcnn.open_model(write_bundle(tmp_path / "bundle", unet(3), **change))
    scan = _scan(GRIDS["oblique"]())
    wanted = radcnn.segment(scan, spec, **CPU).array
    monkeypatch.setattr(network, "BLOCK_BYTES", 1000)

    def run(sink: _Sink) -> None:
        request = Request(spec, scan, NetworkOptions(), RunSettings("cpu", "float32"), 2, sink=sink)
        assert network.run(request, Monitor(1)).array is None

    whole = _Sink(scan.shape)
    run(whole)
    assert np.array_equal(whole.array, wanted)
    assert whole.marks == sorted(whole.marks)
    if largest:
        return
    killed = _Sink(scan.shape, most_marks=12)
    with pytest.raises(KeyboardInterrupt):
        run(killed)
    again = _Sink(scan.shape, mark_reached=killed.marks[-1])
    again.array = killed.array
    run(again)
    assert again.marks[0] > killed.marks[-1] > 0
    assert np.array_equal(again.array, wanted)


def test_the_memory_of_an_onnx_file_is_in_the_plan(tmp_path):
    pytest.importorskip("openvino")
    planned = {}
    for channels in (4, 200):
        (tmp_path / f"{channels}.onnx").write_bytes(wide_onnx(channels))
        describe(tmp_path / f"{channels}.json", classes=["thing"], activation="sigmoid")
        spec = radcnn.open_model(tmp_path / f"{channels}.onnx")
        planned[channels] = radcnn.plan(_scan(oblique_geometry((20, 24, 19))), spec, device="cpu").memory_bytes
    # the repeated channel and its sine are there at a time
    assert planned[200] - planned[4] == pytest.approx(2 * 196 * 4 * 16**3, rel=0.02)

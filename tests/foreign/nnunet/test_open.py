"""nnU-Net's folders are opened as training left them; what does not fit is refused, by name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import napari_radcnn as radcnn
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.nnunet.open import is_nnunet, open_nnunet
from napari_radcnn.foreign.nnunet.plans import Normalization, read_architecture, read_classes, read_model
from napari_radcnn.networks.checkpoints import read_checkpoint
from napari_radcnn.networks.nnunet_networks import build
from nnunet_folder import DATA, DATASET, copied, edited, folder

PLANS = json.loads((folder() / "plans.json").read_text())
DATASET_JSON = json.loads((folder() / "dataset.json").read_text())


def _refusal(path: Path, configuration: str | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        open_nnunet(path, configuration)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- what is read ---------------------------------------------------------------------------------------------------


def test_a_configuration_is_described():
    spec = radcnn.open_model(folder())
    assert (spec.name, spec.title) == ("dataset904-fixture-3d-fullres", "Fixture (3d_fullres)")
    assert {value: label.name for value, label in spec.labels.items()} == {1: "liver", 2: "spleen"}
    assert [(slot.name, slot.modalities) for slot in spec.inputs] == [("CT", ("CT",))]
    assert spec.patch == (8, 24, 24)
    assert spec.spacing == pytest.approx((3.75, 1.71, 1.88), abs=0.01)
    model = spec.network
    assert model.folds == ("0", "1")
    assert [file.path.parent.name for file in spec.files] == ["fold_0", "fold_1"]
    assert model.sampling.mirror_axes == (0, 1, 2)
    measured = PLANS["foreground_intensity_properties_per_channel"]["0"]
    low, high = measured["percentile_00_5"], measured["percentile_99_5"]
    assert model.normalizations == (Normalization("ct", False, measured["mean"], measured["std"], low, high),)
    assert "not stated" in spec.licence


def test_the_checkpoints_hold_what_training_stores_beside_the_weights():
    # Else these tests would not show that such files can be read.
    content = read_checkpoint(folder() / "fold_0" / "checkpoint_final.pth")
    assert {"logging", "_best_ema", "init_args", "trainer_name"} <= set(content)
    raw = (folder() / "fold_0" / "checkpoint_final.pth").read_bytes()
    assert b"numpy" in raw
    assert b"multiarray" in raw


def test_a_cascade_brings_its_first_stage():
    spec = open_nnunet(folder("3d_cascade_fullres"))
    model = spec.network
    assert model.folds == ("all",)
    assert model.input_channels == 3
    assert model.previous.configuration == "3d_lowres"
    assert model.previous.input_channels == 1
    assert model.previous.spacing == (4.5, 2.6, 2.8)
    assert len(spec.files) == 2


def test_a_data_set_s_folder_stands_for_full_resolution_or_what_is_asked_for(tmp_path):
    assert radcnn.open_model(DATASET).network.configuration == "3d_fullres"
    assert open_nnunet(DATASET, "3d_lowres").network.configuration == "3d_lowres"
    assert open_nnunet(DATASET, folder("3d_cascade_fullres").name).network.previous is not None
    assert open_nnunet(DATA).network.configuration == "3d_fullres"
    assert open_nnunet(copied(tmp_path, "3d_lowres")).network.configuration == "3d_lowres"
    for spec in (open_nnunet(DATASET), open_nnunet(DATASET, "3d_lowres"), open_nnunet(DATA, "3d_cascade_fullres")):
        assert radcnn.open_model(spec.origin).network == spec.network
    assert is_nnunet(DATA)
    assert not is_nnunet(DATA / "images")


def test_a_renamed_folder_is_the_configuration_it_was_trained_as(tmp_path):
    shutil.copytree(folder("3d_lowres"), tmp_path / "my model")
    assert open_nnunet(tmp_path / "my model").network.configuration == "3d_lowres"


def test_a_zip_of_a_data_set_is_opened(tmp_path):
    made = shutil.make_archive(str(tmp_path / "model"), "zip", copied(tmp_path / "in").parent, DATASET.name)
    assert radcnn.open_model(made).name == "dataset904-fixture-3d-fullres"


def test_a_training_that_was_stopped_has_its_best_checkpoint(tmp_path):
    dataset = copied(tmp_path)
    fold = folder(dataset=dataset) / "fold_1"
    (fold / "checkpoint_final.pth").rename(fold / "checkpoint_best.pth")
    assert [file.path.name for file in open_nnunet(dataset).files] == ["checkpoint_final.pth", "checkpoint_best.pth"]


def test_channels_are_slots_and_sequences_are_mr():
    dataset = DATASET_JSON | {"channel_names": {"0": "T1", "1": "CT", "10": "something", "2": "pet"}}
    assert read_classes(dataset, "").channels == ("T1", "CT", "pet", "something")
    old = {key: value for key, value in DATASET_JSON.items() if key != "channel_names"} | {"modality": {"0": "MRI"}}
    assert read_classes(old, "").channels == ("MRI",)


def test_regions_lie_in_one_another():
    dataset = DATASET_JSON | {
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4},
        "regions_class_order": [1, 2, 3],
    }
    classes = read_classes(dataset, "dataset.json")
    assert classes.heads == 3
    assert classes.regions == (1, 2, 3)
    assert classes.labels == (1, 2, 3)
    assert dict(classes.names) == {1: "whole", 2: "core", 3: "enhancing"}


def test_plans_of_nnunet_2_0_describe_the_same_network():
    old = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 10,
        "n_conv_per_stage_encoder": [1, 2, 2],
        "n_conv_per_stage_decoder": [2, 1],
        "num_pool_per_axis": [1, 2, 2],
        "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    }
    kept = {key: value for key, value in PLANS["configurations"]["3d_fullres"].items() if key != "architecture"}
    plans = PLANS | {"configurations": {"3d_fullres": kept | old}}
    architecture = read_architecture(plans, "3d_fullres", 2, 5, "plans.json")
    network = build(architecture.name, architecture.arguments)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["encoder.stages.0.0.convs.0.conv.weight"] == (4, 2, 1, 3, 3)
    assert shapes["encoder.stages.2.0.convs.1.conv.weight"] == (10, 10, 3, 3, 3)
    assert shapes["decoder.stages.0.convs.1.norm.weight"] == (8,)
    assert shapes["decoder.seg_layers.1.weight"] == (5, 4, 1, 1, 1)
    residual = dict(old, UNet_class_name="ResidualEncoderUNet")
    plans["configurations"]["3d_fullres"] = kept | residual
    assert read_architecture(plans, "3d_fullres", 2, 5, "").arguments["n_blocks_per_stage"] == [1, 2, 2]


# -- what is refused ------------------------------------------------------------------------------------------------


def test_weights_of_another_network_are_refused(tmp_path):
    dataset = copied(tmp_path)
    arch = "configurations__3d_fullres__architecture__arch_kwargs__features_per_stage"
    edited(folder(dataset=dataset) / "plans.json", **{arch: [4, 8, 16]})
    told = _refusal(dataset)
    assert told.startswith("fold_0/checkpoint_final.pth: the weights do not match the network 'PlainConvUNet'")
    assert "[12, 8, 3, 3, 3] instead of [16, 8, 3, 3, 3]" in told
    assert "plans belong to another network" in told


def test_another_number_of_labels_is_another_network(tmp_path):
    dataset = copied(tmp_path)
    edited(folder(dataset=dataset) / "dataset.json", labels__kidney=3)
    assert "do not match" in _refusal(dataset)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_checkpoint_that_is_cut_short_is_refused(tmp_path, kept):
    dataset = copied(tmp_path)
    path = folder(dataset=dataset) / "fold_1" / "checkpoint_final.pth"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "checkpoint_final.pth" in _refusal(dataset)


def _content() -> dict:
    """Return a checkpoint of the original, which is mapped into memory: a copy may then be overwritten."""
    return dict(read_checkpoint(folder() / "fold_0" / "checkpoint_final.pth"))


class _Payload:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self._mark),)


def test_code_in_a_checkpoint_is_refused_by_name_and_not_run(tmp_path):
    dataset, mark = copied(tmp_path), tmp_path / "ran"
    path = folder(dataset=dataset) / "fold_0" / "checkpoint_final.pth"
    torch.save(_content() | {"logging": _Payload(mark)}, path)
    assert "mkdir" in _refusal(dataset)
    assert not mark.exists()


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    dataset = copied(tmp_path)
    torch.save({"state_dict": {}}, folder(dataset=dataset) / "fold_0" / "checkpoint_final.pth")
    assert "not a checkpoint of nnU-Net v2: it has no 'network_weights'" in _refusal(dataset)


@pytest.mark.parametrize("axes", [(0, 3), "all", (True,), (-1,)])
def test_mirroring_along_no_axis_is_refused(tmp_path, axes):
    dataset = copied(tmp_path)
    path = folder(dataset=dataset) / "fold_0" / "checkpoint_final.pth"
    torch.save(_content() | {"inference_allowed_mirroring_axes": axes}, path)
    assert "which are not axes" in _refusal(dataset)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_reader_writer": "MyReader"}, "the reader 'MyReader' is not supported"),
        ({"configurations__3d_fullres__preprocessor_name": "Mine"}, "the preprocessor 'Mine' is not supported"),
        ({"configurations__3d_fullres__normalization_schemes": ["Mine"]}, "the normalization 'Mine' is not supported"),
        ({"configurations__3d_fullres__normalization_schemes": []}, "0 normalizations for 1 inputs"),
        ({"configurations__3d_fullres__resampling_fn_data": "mine"}, "the resampling 'mine' is not supported"),
        (
            {"configurations__3d_fullres__resampling_fn_probabilities_kwargs__order": 3},
            "logits resampled with order 3",
        ),
        ({"configurations__3d_fullres__patch_size": [8, 24]}, "do not match"),
        ({"configurations__3d_fullres__spacing": [1.0, 0.0, 1.0]}, "do not match"),
        ({"configurations__3d_fullres__spacing": [1.0, float("nan"), 1.0]}, "must be a list of finite numbers"),
        ({"configurations__3d_fullres__spacing": [1.0, 1e-9, 1.0]}, "do not match"),
        ({"configurations__3d_fullres__patch_size": [8, 24, 10**9]}, "do not match"),
        ({"configurations__3d_fullres__patch_size": "large"}, "'patch_size' is missing or not of the type"),
        ({"configurations__3d_fullres__inherits_from": "3d_fullres"}, "inherits from itself"),
        ({"configurations__3d_fullres__inherits_from": "4d"}, "no configuration '4d'; there are: 2d, 3d_fullres"),
        ({"configurations__3d_fullres": None}, "there is no configuration '3d_fullres'"),
        ({"transpose_forward": [0, 0, 2]}, "'transpose_forward' must order the axes"),
        ({"transpose_forward": [float("inf")]}, "'transpose_forward' must be a list of finite numbers"),
        ({"transpose_forward": [0, float("nan"), 2]}, "'transpose_forward' must be a list of finite numbers"),
        ({"foreground_intensity_properties_per_channel": {}}, "'0' is missing"),
        ({"configurations__3d_fullres__architecture": None}, "does not name its network"),
        (
            {"configurations__3d_fullres__architecture__network_class_name": "os.PlainConvUNet"},
            "the network 'os.PlainConvUNet' is not supported",
        ),
        (
            {"configurations__3d_fullres__architecture__network_class_name": "my.Mamba"},
            "the network 'my.Mamba' is not supported; supported: PlainConvUNet, ResidualEncoderUNet",
        ),
        (
            {"configurations__3d_fullres__architecture__arch_kwargs__conv_op": "os.system"},
            "os.system",
        ),
    ],
)
def test_plans_that_ask_for_what_is_not_known_are_refused(tmp_path, changes, message):
    dataset = copied(tmp_path)
    edited(folder(dataset=dataset) / "plans.json", **changes)
    assert message in _refusal(dataset)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels__background": None}, "'background' must be 0"),
        ({"labels": {"background": 1}}, "'background' must be 0"),
        ({"labels": {"background": 0}}, "no label other than background"),
        ({"labels__spleen": 5}, "labels must be 1, 2, 3, ... without a gap, got 1, 5"),
        ({"labels__spleen": "2"}, "the label 'spleen' has the value"),
        ({"labels__spleen": [1, 2]}, "'regions_class_order' is missing"),
        ({"labels__spleen": [1, 2], "regions_class_order": [1]}, "one label for each of the 2 regions"),
        ({"channel_names": ["CT"]}, "'channel_names' is missing or not of the type"),
    ],
)
def test_labels_that_make_no_sense_are_refused(tmp_path, changes, message):
    dataset = copied(tmp_path)
    edited(folder(dataset=dataset) / "dataset.json", **changes)
    assert message in _refusal(dataset)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "it is not valid JSON"), ("[]", "it must contain a JSON object"), ("[" * 100000, "it is not valid JSON")],
)
def test_damaged_json_is_named(tmp_path, name, content, message):
    dataset = copied(tmp_path)
    (folder(dataset=dataset) / name).write_text(content)
    told = _refusal(folder(dataset=dataset))
    assert f"{name}: the file is damaged: {message}" in told


def test_what_is_missing_is_named(tmp_path):
    assert "not an nnU-Net v2 folder" in _refusal(tmp_path)
    dataset = copied(tmp_path, "3d_fullres", "3d_lowres")
    assert "has no configuration '2d'; open one of: nnUNetTrainer__nnUNetPlans__3d_fullres, " in _refusal(dataset, "2d")
    for fold in folder(dataset=dataset).glob("fold_*"):
        shutil.rmtree(fold)
    assert "the weights are missing; fold_0/checkpoint_final.pth" in _refusal(folder(dataset=dataset))
    (folder(dataset=dataset) / "dataset.json").unlink()
    assert "dataset.json: the file cannot be read" in _refusal(folder(dataset=dataset))


def test_two_trainers_of_one_configuration_are_ambiguous(tmp_path):
    dataset = copied(tmp_path)
    shutil.copytree(folder(dataset=dataset), dataset / "nnUNetTrainerBN__nnUNetPlans__3d_fullres")
    told = _refusal(dataset)
    assert "has several configurations; open one of: nnUNetTrainerBN__nnUNetPlans__3d_fullres, nnUNetTrainer__" in told


def test_a_cascade_needs_its_first_stage_beside_it(tmp_path):
    dataset = copied(tmp_path, "3d_cascade_fullres")
    told = _refusal(dataset)
    assert "the first, 'nnUNetTrainer__nnUNetPlans__3d_lowres', is expected beside it" in told
    shutil.copytree(folder("3d_lowres"), dataset / "nnUNetTrainerOther__nnUNetPlans__3d_lowres")
    assert open_nnunet(dataset).network.previous is not None
    edited(dataset / "nnUNetTrainerOther__nnUNetPlans__3d_lowres" / "dataset.json", labels__kidney=3)
    assert "differ from those of the second" in _refusal(dataset)


def test_reading_orders_and_masks_are_kept():
    classes = read_classes(DATASET_JSON, "")
    plans = json.loads(json.dumps(PLANS)) | {
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [1, 0, 2],
    }
    changed = plans["configurations"]["3d_fullres"]
    changed |= {"normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [True]}
    model = read_model(plans, "3d_fullres", classes, "")
    assert (model.orientation, model.transpose) == ("SAR", (1, 0, 2))
    assert model.normalizations == (Normalization("z-score", in_mask=True),)

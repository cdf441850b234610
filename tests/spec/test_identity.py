"""A model's identity changes with everything that decides its result, and with nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import napari_radcnn as radcnn
from model_factory import UNET, describe, unet, write_bundle, write_safetensors
from napari_radcnn.errors import ModelError
from napari_radcnn.models import get_model
from napari_radcnn.operations import replay, segment_to
from napari_radcnn.phantom import world_field
from napari_radcnn.spec.identity import _plain, is_same_identity, model_identity

NNUNET = Path(__file__).parent.parent / "data" / "nnunet" / "Dataset904_Fixture"
FULL = "nnUNetTrainer__nnUNetPlans__3d_fullres"
BUILT = {"architecture": {"name": "UNet", "arguments": UNET}, "weights": "weights.safetensors"}


def _described(folder: Path, seed: int = 2, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    describe(folder / "model.json", **{**BUILT, **changes})
    write_safetensors(folder / "weights.safetensors", unet(seed).state_dict())
    return folder


def _edit(path: Path, *keys: Any, value: Any) -> None:
    words = json.loads(path.read_text())
    place = words
    for key in keys[:-1]:
        place = place[key]
    assert place[keys[-1]] != value
    place[keys[-1]] = value
    path.write_text(json.dumps(words))


DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "spacing": {"spacing": [2.0, 1.5, 1.4]},
    "orientation": {"orientation": "RAS"},
    "intensity": {"intensity": [{"step": "range", "low": -57, "high": 165, "to_low": 0, "to_high": 1, "clip": True}]},
    "classes": {"classes": ["background", "spleen", "liver"]},
    "patch": {"patch": [16, 16, 32]},
    "overlap": {"overlap": 0.25},
    "blend": {"blend": "constant"},
    "positions": {"positions": "nnunet"},
    "mirror axes": {"mirror_axes": [1]},
    "activation": {"activation": "sigmoid"},
    "threshold": {"activation": "sigmoid", "threshold": 0.4},
    "largest part": {"keep_largest": ["liver"]},
    "crop": {"crop_foreground": True},
    "output": {"output": 0},
    "inputs": {"inputs": [{"name": "MR", "modalities": ["MR"]}]},
    "network": {"architecture": {"name": "UNet", "arguments": {**UNET, "dropout": 0.2}}},
    "weights": {"seed": 3},
}


def test_every_part_of_a_description_counts(tmp_path):
    plain = model_identity(radcnn.open_model(_described(tmp_path / "plain")))
    found = {"plain": plain}
    for number, (what, changes) in enumerate(DESCRIPTIONS.items()):
        found[what] = model_identity(radcnn.open_model(_described(tmp_path / str(number), **changes)))
    assert len(set(found.values())) == len(found) == 18


def test_neither_the_place_nor_what_is_only_shown_counts(tmp_path):
    one = radcnn.open_model(_described(tmp_path / "one"))
    other = radcnn.open_model(_described(tmp_path / "other", title="Other words", citation="Somebody", body_part="leg"))
    assert model_identity(one) == model_identity(other)


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [
        ("inference.json", ("inferer", "overlap"), 0.25),
        ("inference.json", ("preprocessing", "transforms", 3, "pixdim"), [1.5, 1.5, 2.5]),
        ("inference.json", ("preprocessing", "transforms", 3, "mode"), "nearest"),
        ("inference.json", ("postprocessing", "transforms", 1, "nearest_interp"), True),
        ("inference.json", ("network_def", "dropout"), 0.2),
        ("metadata.json", ("network_data_format", "outputs", "pred", "channel_def", "1"), "kidney"),
    ],
)
def test_a_bundle_s_configuration_counts(tmp_path, file, keys, value):
    bundle = write_bundle(tmp_path / "bundle", network_def={"_target_": "UNet", **UNET, "dropout": 0.0})
    before = model_identity(radcnn.open_model(bundle))
    moved = Path(shutil.copytree(bundle, tmp_path / "elsewhere"))
    assert model_identity(radcnn.open_model(moved)) == before
    _edit(bundle / "configs" / file, *keys, value=value)
    assert model_identity(radcnn.open_model(bundle)) != before


@pytest.mark.parametrize("what", ["spacing", "labels", "normalization"])
def test_nnunet_s_plans_and_data_set_count(tmp_path, what):
    folder = Path(shutil.copytree(NNUNET / FULL, tmp_path / FULL))
    before = model_identity(radcnn.open_model(folder))
    assert model_identity(radcnn.open_model(NNUNET / FULL)) == before
    plans = json.loads((folder / "plans.json").read_text())
    if what == "labels":
        labels = json.loads((folder / "dataset.json").read_text())["labels"]
        names = list(labels)
        renamed = {**labels, names[1]: labels[names[2]], names[2]: labels[names[1]]}
        _edit(folder / "dataset.json", "labels", value=renamed)
    elif what == "spacing":
        spacing = plans["configurations"]["3d_fullres"]["spacing"]
        _edit(folder / "plans.json", "configurations", "3d_fullres", "spacing", value=[1.01 * s for s in spacing])
    else:
        _edit(
            folder / "plans.json",
            *("configurations", "3d_fullres", "normalization_schemes"),
            value=["RescaleTo01Normalization"] * len(plans["configurations"]["3d_fullres"]["normalization_schemes"]),
        )
    assert model_identity(radcnn.open_model(folder)) != before


def test_models_that_ship_differ_and_their_weights_count():
    specs = [spec for spec in radcnn.models() if spec.weights]
    assert len({model_identity(spec) for spec in specs}) == len(specs)
    spec = get_model("ct-denoise")
    other = replace(spec, weights=(replace(spec.weights[0], sha256="0" * 64),))
    assert model_identity(other) != model_identity(spec)


def test_a_field_that_came_later_leaves_older_identities():
    @dataclass(frozen=True)
    class Step:
        size: float

    old = Step(1.5)

    @dataclass(frozen=True)
    class Step:  # type: ignore[no-redef]
        size: float
        later: tuple[int, ...] = ()

    assert _plain(Step(1.5)) == _plain(old)
    assert _plain(Step(1.5, (1,))) != _plain(old)


def test_identities_made_in_another_way_are_not_compared():
    assert is_same_identity("1:ab", "1:ab")
    assert not is_same_identity("1:ab", "1:ac")
    assert is_same_identity("0:ab", "1:ac")
    assert is_same_identity(None, "1:ac")


# -- who compares it --------------------------------------------------------------------------------------------------


def _scan(tmp_path):
    from napari_radcnn.phantom import oblique_geometry

    field = world_field(oblique_geometry((20, 24, 22)))
    return radcnn.read(radcnn.write(field.with_metadata(modality="CT"), tmp_path / "scan.nii.gz"))[0]


def test_a_replay_notices_an_edited_description(tmp_path):
    scan = _scan(tmp_path)
    folder = _described(tmp_path / "model")
    found = radcnn.segment(scan, radcnn.open_model(folder), device="cpu", precision="float32").provenance
    assert replay(found).is_same
    _edit(folder / "model.json", "spacing", value=[2.0, 1.5, 1.4])
    with pytest.raises(ModelError, match="description or configuration beside them has changed"):
        replay(found)
    del found["model"]["identity"]  # as of a version that wrote none
    assert replay(found).is_same is not None


def test_a_streamed_run_does_not_go_on_under_another_description(tmp_path, monkeypatch):
    from napari_radcnn.io.omezarr.growing import GrowingLabels

    scan, target, began = _scan(tmp_path), tmp_path / "out.ome.zarr", []
    folder = _described(tmp_path / "model")
    mark = GrowingLabels.mark

    def killed(self, reached):
        mark(self, reached)
        began.append(reached)
        raise KeyboardInterrupt

    monkeypatch.setattr(GrowingLabels, "mark", killed)
    with pytest.raises(KeyboardInterrupt):
        segment_to(scan, radcnn.open_model(folder), target, device="cpu", precision="float32")
    monkeypatch.setattr(GrowingLabels, "mark", mark)
    _edit(folder / "model.json", "intensity", 0, "high", value=300)
    spec = radcnn.open_model(folder)
    written = segment_to(scan, spec, target, device="cpu", precision="float32")
    whole = radcnn.segment(scan, spec, device="cpu", precision="float32")
    assert (written.array == whole.array).all()
    assert began


def test_agreement_is_stated_with_the_scan_it_was_measured_on(tmp_path):
    scan = _scan(tmp_path)
    values = scan.array.astype("float32")
    values[0, 0, 0] = float("nan")  # the hash is that of the scan as it was given
    first, other = scan.with_array(values), scan.with_array(values + 1)
    spec = radcnn.open_model(_described(tmp_path / "model"))
    found = [
        radcnn.segment(volume, spec, device="cpu", precision="float32").provenance for volume in (first, other, first)
    ]
    assert [one["facts"]["agreement_with_float32"] is not None for one in found] == [True] * 3
    assert {one["facts"]["agreement_measured_on"] for one in found} == {found[0]["input"]["sha256"]}
    assert found[1]["input"]["sha256"] != found[0]["input"]["sha256"]

"""Which state a model gets for a scan, with reasons, and that Python, shell and replay say the same."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from drawn_scans import chest_ct, head_mr
from napari_radcnn.cli import main
from napari_radcnn.errors import UnsuitableError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models import get_model, models
from napari_radcnn.operations import models_for, run
from napari_radcnn.spec.domain import Domain, Fingerprint, regions_in
from napari_radcnn.spec.patches import InputSlot
from napari_radcnn.suitability import judge
from napari_radcnn.volume import Volume


def state(model, volume):
    return judge(get_model(model), [volume]).state


def noise():
    values = np.random.default_rng(2).normal(-300, 500, (20, 40, 36)).astype(np.int16)
    return Volume(values, Geometry.from_parts(values.shape, (3.0, 1.5, 1.6), (0.0, 0.0, 0.0)))


def thick(volume, factor):
    first, *others = volume.geometry.spacing
    return volume.with_array(volume.array[::factor].copy(), volume.geometry.with_spacing((first * factor, *others)))


@pytest.mark.parametrize(
    ("model", "made", "expected"),
    [
        ("lung-nodules", chest_ct, "fits"),
        ("ct-tissues", chest_ct, "fits"),
        ("ct-organs", chest_ct, "fits"),
        ("ct-organs", lambda: thick(chest_ct(), 2), "doubtful"),
        ("ct-organs", noise, "refused"),
        ("ct-organs", head_mr, "refused"),
        ("nlm-denoise", chest_ct, "fits"),
        ("brain-tissue", chest_ct, "refused"),
        ("brain-extraction", chest_ct, "refused"),
        ("cxr-pneumonia", chest_ct, "refused"),
        ("adrenal-mass", chest_ct, "refused"),
        ("brain-extraction", head_mr, "fits"),
        ("brain-tissue", head_mr, "fits"),
        ("lung-nodules", head_mr, "refused"),
        ("ct-denoise", head_mr, "refused"),
        ("brain-extraction", lambda: head_mr(stripped=True), "doubtful"),
        ("brain-tissue", lambda: head_mr(stripped=True), "fits"),
        ("lung-nodules", lambda: chest_ct(lungs=False), "refused"),
        ("lung-nodules", lambda: thick(chest_ct(), 2), "doubtful"),
        ("lung-nodules", noise, "refused"),
        ("ct-denoise", noise, "refused"),
        ("brain-tissue", noise, "refused"),
        ("nlm-denoise", noise, "fits"),
    ],
)
def test_models_and_scans(model, made, expected):
    assert state(model, made()) == expected


def test_every_model_that_ships_says_what_it_was_made_for():
    ours = [spec for spec in models() if spec.task != "interactive" and spec.package is None]
    assert len(ours) >= 10
    assert [spec.name for spec in ours if spec.domain is None] == []


def test_reasons_are_given_and_the_gravest_is_first():
    suits = judge(get_model("lung-nodules"), [thick(chest_ct(lungs=False), 2)])
    assert suits.state == "refused"
    assert "chest" in suits.reasons[0]
    assert any("10.0 mm: the model was trained" in reason for reason in suits.reasons)


def test_a_ct_before_its_rescaling_is_refused_with_what_to_add():
    volume = chest_ct()
    suits = judge(get_model("lung-nodules"), [volume.with_array((volume.array + 1024).clip(0).astype(np.uint16))])
    assert suits.state == "refused"
    assert "rescale" in suits.reasons[0]


def test_a_header_against_the_voxels_is_doubtful_where_voxels_suit():
    suits = judge(get_model("lung-nodules"), [chest_ct().with_metadata(modality="MR")])
    assert suits.state == "doubtful"
    assert suits.reasons == ("The header says MR, but the values are those of a CT.",)


def test_a_stated_modality_is_held_against_the_model():
    suits = judge(get_model("brain-extraction"), [head_mr().with_metadata(modality="PT")])
    assert suits.state == "refused"
    assert suits.reasons[0] == "The scan is PT, but 'brain-extraction' was made for MR."


def test_each_input_of_a_model_of_several_is_judged():
    slots = InputSlot("CT", ("CT",)), InputSlot("T1", ("MR",))
    spec = replace(get_model("nlm-denoise"), name="two", inputs=slots, domain=None)
    assert judge(spec, [chest_ct(), head_mr()]).state == "fits"
    suits = judge(spec, [chest_ct(), chest_ct()])
    assert suits.state == "refused"
    assert suits.reasons == ("The input T1 is CT, but 'two' was made for MR.",)


def test_a_model_that_states_nothing_is_doubtful_and_says_so():
    spec = replace(get_model("nlm-denoise"), name="mute", domain=None)
    assert judge(spec, [chest_ct()]).reasons == ("'mute' does not state what it was made for.",)
    assert judge(spec, [chest_ct()]).state == "doubtful"


def test_a_fingerprint_is_compared_with_spacing_and_values():
    fingerprint = Fingerprint(((0.5, 1.0), (0.5, 1.0), (0.8, 1.5)), (5000.0, 6000.0))
    spec = replace(get_model("ct-denoise"), domain=Domain(fingerprint=fingerprint))
    suits = judge(spec, [chest_ct()])
    assert suits.state == "doubtful"
    assert any("trained with" in reason for reason in suits.reasons)
    assert any("5000" in reason for reason in suits.reasons)
    near = Domain(fingerprint=Fingerprint(((3.0, 5.0),) * 3, (-100.0, 300.0)))
    assert judge(replace(spec, domain=near), [chest_ct()]).state == "fits"


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("HEAD", ("head",)),
        ("Brain tumors", ("head",)),
        ("CHEST_ABDOMEN", ("chest", "abdomen")),
        ("left kidney", ("abdomen",)),
        ("whole body", ("chest", "abdomen", "pelvis")),
        ("prostate", ("pelvis",)),
        ("unknown", ()),
        ("headline", ()),
    ],
)
def test_regions_are_read_from_words(text, regions):
    assert regions_in(text) == regions


# -- the same from every face -----------------------------------------------------------------------------------------


@pytest.fixture
def chooser(monkeypatch):
    """Register a model of head MR whose answer is known."""
    spec, _ = fake_models.register(
        monkeypatch, modalities=("MR",), domain=Domain(regions=("head",), layout="volume", thickest_mm=5.0)
    )
    return spec


def test_what_is_refused_computes_nothing_unless_asked(chooser):
    with pytest.raises(UnsuitableError, match="is CT, but 'fake' was made for MR") as caught:
        run(chest_ct(), "fake")
    assert caught.value.exit_status == 4
    assert caught.value.reasons == radcnn.plan(chest_ct(), "fake").suitability.reasons
    result = run(chest_ct(), "fake", anyway=True)
    assert result.name.endswith("fake (not made for this scan)")
    assert result.provenance["suitability"]["state"] == "refused"
    assert caught.value.reasons[0] in result.warnings
    assert np.array_equal(result.array, run(chest_ct(), replace(chooser, domain=None, modalities=())).array)


def test_a_doubt_is_told_before_the_run_and_in_the_result(chooser):
    volume = thick(head_mr(), 2)
    planned = radcnn.plan(volume, "fake")
    assert planned.suitability.state == "doubtful"
    assert planned.suitability.reasons[0] in planned.warnings
    result = run(volume, "fake")
    assert result.provenance["suitability"] == planned.suitability.to_dict()
    assert planned.suitability.reasons[0] in result.warnings
    assert "not made" not in result.name


def test_the_shell_says_the_same(chooser, tmp_path, capsys):
    scan, out = tmp_path / "scan.nii.gz", tmp_path / "out.nii.gz"
    radcnn.write(chest_ct(), scan)
    volume = radcnn.read(scan)[0]
    reasons = radcnn.plan(volume, "fake").suitability.reasons
    assert main(["run", "fake", str(scan), "-o", str(out)]) == 4
    assert not list(tmp_path.glob("out*"))
    told = capsys.readouterr().err
    assert all(told.count(reason) == 1 for reason in reasons)
    assert main(["run", "fake", str(scan), "-o", str(out), "--anyway"]) == 0
    manifest = json.loads((tmp_path / "out.nii.gz.radcnn.json").read_text(encoding="utf-8"))
    assert manifest["suitability"] == {"state": "refused", "reasons": list(reasons)}
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "out.nii.gz.radcnn.json")]) == 0
    assert "identical" in capsys.readouterr().out


def test_what_is_refused_now_is_replayed_as_its_manifest_says(chooser, tmp_path):
    scan, out = tmp_path / "scan.nii.gz", tmp_path / "out.nii.gz"
    radcnn.write(chest_ct(), scan)
    assert main(["run", "fake", str(scan), "-o", str(out), "--anyway"]) == 0
    manifest = json.loads((tmp_path / "out.nii.gz.radcnn.json").read_text(encoding="utf-8"))
    fitted = manifest | {"suitability": {"state": "fits", "reasons": []}}
    with pytest.raises(UnsuitableError):
        radcnn.replay(fitted)
    assert radcnn.replay(fitted, anyway=True).is_same
    del manifest["suitability"]  # from before it was judged
    again = radcnn.replay(manifest)
    assert again.is_same
    assert again.result.provenance["suitability"]["state"] == "refused"


def test_results_in_json_say_it(monkeypatch, tmp_path):
    fake_models.register(monkeypatch, "classification", modalities=("MR",), domain=Domain(regions=("head",)))
    result = radcnn.classify(head_mr(), "fake")
    radcnn.write(result, tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert written["suitability"] == {"state": "fits", "reasons": []}


def test_models_are_sorted_for_a_scan(tmp_path, capsys):
    found = models_for(chest_ct())
    states = [suits.state for _, suits in found]
    assert states == sorted(states, key=["fits", "doubtful", "refused"].index)
    by_name = {spec.name: suits for spec, suits in found}
    assert by_name["lung-nodules"].state == "fits"
    scan = tmp_path / "scan.nii.gz"
    radcnn.write(chest_ct(), scan)
    assert main(["models", "--for", str(scan), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert {one["name"]: one["suitability"] for one in listed} == {n: s.to_dict() for n, s in by_name.items()}
    assert main(["models", "--for", str(scan)]) == 0
    assert "refused   brain-tissue" in capsys.readouterr().out


def test_info_says_what_a_scan_is(tmp_path, capsys):
    scan = tmp_path / "scan.nii.gz"
    radcnn.write(chest_ct(), scan)
    assert main(["info", str(scan), "--what", "--json"]) == 0
    what = json.loads(capsys.readouterr().out)["volumes"][0]["what"]
    assert what["modality"] == {"value": "CT", "source": "voxels", "sure": 0.95}
    assert main(["info", str(scan), "--what"]) == 0
    assert "modality: CT (voxels, sure)" in capsys.readouterr().out

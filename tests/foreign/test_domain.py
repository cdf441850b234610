"""What models from elsewhere were made for: stated, read from their files, or not known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import napari_radcnn as radcnn
import nnunet_folder
from drawn_scans import chest_ct, head_mr
from model_factory import UNET, describe, unet, write_safetensors
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.domain import domain_of, nnunet_fingerprint
from napari_radcnn.models import get_model
from napari_radcnn.results import Label
from napari_radcnn.spec.domain import Domain, Fingerprint
from napari_radcnn.suitability import judge


def opened(folder, **changes):
    write_safetensors(folder / "a.safetensors", unet().state_dict())
    describe(folder / "a.json", architecture={"name": "UNet", "arguments": UNET}, **changes)
    return radcnn.open_model(folder / "a.safetensors")


def test_a_model_json_may_state_it(tmp_path):
    stated = {"regions": ["head"], "contrasts": ["T1"], "stripped": True, "thickest_mm": 3, "pixel_mm": [0.5, 1.5]}
    spec = opened(tmp_path, domain=stated)
    expected = Domain(regions=("head",), contrasts=("T1",), stripped=True, thickest_mm=3.0, pixel_mm=(0.5, 1.5))
    assert spec.domain == expected
    assert spec.to_dict()["domain"]["regions"] == ("head",)


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ([], "must be a mapping"),
        ({"regions": ["tail"]}, "'regions' must be a list of: head"),
        ({"views": "frontal"}, "'views' must be a list"),
        ({"stripped": "no"}, "'stripped'"),
        ({"pixel_mm": [2, 1]}, "the lower first"),
        ({"thickest_mm": "3"}, "must be a number"),
        ({"colour": 1}, "'colour' is not supported"),
    ],
)
def test_wrong_values_are_named(tmp_path, domain, told):
    with pytest.raises(ModelError) as caught:
        opened(tmp_path, domain=domain)
    assert told in str(caught.value)


def test_a_description_without_it_is_valid_as_before_and_its_words_tell_the_region(tmp_path):
    spec = opened(tmp_path)
    assert "domain" not in json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert spec.domain is None or spec.domain.is_read


def test_organs_tell_a_region_and_nothing_is_guessed():
    labels = [Label("liver"), Label("spleen")]
    assert domain_of("", "", labels) == Domain(regions=("abdomen",), is_read=True)
    assert domain_of("chest", "", labels).regions == ("chest",)
    assert domain_of("", "Tumors of the brain", [Label("tumor")]).regions == ("head",)
    assert domain_of("", "A network", [Label("a")]) is None
    fingerprint = Fingerprint(((1.0, 2.0),))
    assert domain_of("", "", [], fingerprint=fingerprint) == Domain(fingerprint=fingerprint)


def test_a_region_that_was_read_speaks_only_against_another():
    spec = replace(get_model("ct-denoise"), domain=domain_of("head", "", []))
    assert judge(spec, [chest_ct()]).state == "refused"
    assert judge(replace(spec, modalities=("MR",)), [head_mr()]).state == "fits"
    flat = chest_ct(lungs=False)
    unknown = flat.with_array(flat.array[:4, :12, :12].copy(), flat.geometry.cropped([slice(4), slice(12), slice(12)]))
    assert judge(spec, [unknown]).state != "refused"


def test_nnunet_s_own_files_give_a_fingerprint():
    plans = {
        "configurations": {"3d_fullres": {"normalization_schemes": ["CTNormalization"]}},
        "foreground_intensity_properties_per_channel": {"0": {"percentile_00_5": -160.0, "percentile_99_5": 240.0}},
    }
    kept = {"spacings": [[3.0, 0.8, 0.7], [0.9, 5.0, 0.6]]}
    found = nnunet_fingerprint(plans, kept)
    assert found == Fingerprint(((0.6, 0.7), (0.8, 0.9), (3.0, 5.0)), (-160.0, 240.0))
    assert nnunet_fingerprint({}, {}) is None
    for broken in ([], "x", {"spacings": [[1, 2]]}, {"spacings": [["a", 1, 2]]}, {"spacings": [[0, 1, 1]]}):
        assert nnunet_fingerprint({}, broken if isinstance(broken, dict) else {"spacings": broken}) is None


def test_values_of_an_mr_are_no_fingerprint():
    plans = {
        "configurations": {"3d_fullres": {"normalization_schemes": ["ZScoreNormalization"]}},
        "foreground_intensity_properties_per_channel": {"0": {"percentile_00_5": 1.0, "percentile_99_5": 2.0}},
    }
    assert nnunet_fingerprint(plans, {}) is None


def test_a_data_set_s_fingerprint_beside_the_configurations_is_read(tmp_path):
    folder = nnunet_folder.copied(tmp_path / "Dataset", "3d_fullres")
    place = folder if (folder / "plans.json").is_file() else next(folder.rglob("plans.json")).parent
    (place.parent / "dataset_fingerprint.json").write_text(json.dumps({"spacings": [[2.0, 1.0, 1.0]]}))
    assert radcnn.open_model(place).domain.fingerprint.spacing == ((1.0, 1.0), (1.0, 1.0), (2.0, 2.0))

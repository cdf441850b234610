"""Models that nnU-Net and TotalSegmentator left on the disk are found without being loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_radcnn.foreign.nnunet.local import find_nnunet_models, totalsegmentator_licence
from nnunet_folder import DATA


@pytest.fixture(autouse=True)
def _empty_home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


def _model(place: Path, dataset: str, configuration: str = "3d_fullres", licence: str | None = None) -> Path:
    folder = place / dataset / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"not looked at")
    (folder / "plans.json").write_text("{}")
    (folder / "dataset.json").write_text(json.dumps({} if licence is None else {"licence": licence}))
    return folder


def test_nothing_is_found_where_nothing_is():
    assert find_nnunet_models({}) == []
    assert find_nnunet_models({"nnUNet_results": "/nowhere", "TOTALSEG_HOME_DIR": ""}) == []


def test_the_usual_places_are_looked_at(tmp_path):
    home = tmp_path / "home" / ".totalsegmentator" / "nnunet" / "results"
    _model(home, "Dataset291_TotalSegmentator_part1_organs_1559subj")
    _model(home, "Dataset301_heart_highres_1559subj")
    _model(home, "Dataset008_HepaticVessel")
    _model(tmp_path / "other" / "nnunet" / "results", "Dataset299_body_1559subj")
    _model(tmp_path / "weights", "Dataset297_TotalSegmentator_total_3mm_1559subj")
    mine = _model(tmp_path / "mine", "Dataset301_Mine", "2d", licence="MIT")
    found = find_nnunet_models(
        {
            "TOTALSEG_HOME_DIR": str(tmp_path / "other"),
            "TOTALSEG_WEIGHTS_PATH": str(tmp_path / "weights"),
            "nnUNet_results": str(tmp_path / "mine"),
        }
    )
    assert [(model.dataset.split("_")[0], model.task, model.licence.split(" ")[0]) for model in found] == [
        ("Dataset008", "liver_vessels", "Apache-2.0"),
        ("Dataset291", "total", "Apache-2.0"),
        ("Dataset297", "total", "Apache-2.0"),
        ("Dataset299", "body", "Apache-2.0"),
        ("Dataset301", "", "MIT"),
        ("Dataset301", "heartchambers_highres", "TotalSegmentator's"),
    ]
    assert found[4].path == mine
    assert (found[4].configuration, found[4].folds) == ("2d", ("0",))


def test_a_folder_that_two_names_lead_to_is_found_once(tmp_path):
    _model(tmp_path, "Dataset291_TotalSegmentator")
    both = {"nnUNet_results": str(tmp_path), "TOTALSEG_WEIGHTS_PATH": str(tmp_path)}
    assert len(find_nnunet_models(both)) == 1


def test_a_folder_without_weights_is_no_model(tmp_path):
    folder = _model(tmp_path, "Dataset500_Empty")
    (folder / "fold_0" / "checkpoint_final.pth").unlink()
    assert find_nnunet_models({"nnUNet_results": str(tmp_path)}) == []


def test_real_folders_are_found():
    found = find_nnunet_models({"nnUNet_results": str(DATA)})
    assert [model.configuration for model in found] == ["3d_cascade_fullres", "3d_fullres", "3d_lowres"]
    assert found[1].folds == ("0", "1")
    assert all("not stated" in model.licence for model in found)


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("Dataset850_TotalSegMRI_part1_organs_1088subj", "Apache-2.0 (TotalSegmentator)"),
        ("Dataset481_tissue_1559subj", "free for non-commercial use"),
        ("Dataset481_Mine", ""),
        ("Dataset999_TotalSegmentator_new", ""),
        ("anything", ""),
    ],
)
def test_only_known_data_sets_of_totalsegmentator_have_its_licences(name, licence):
    told = totalsegmentator_licence(Path("/data") / name)
    assert (licence in told) if licence else told == ""

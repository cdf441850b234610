"""``radcnn models NAME``: what a model is, and its card."""

import json

import pytest

from napari_radcnn.cli import main
from napari_radcnn.models import models
from napari_radcnn.spec.card import own_card


@pytest.mark.parametrize("spec", models(), ids=lambda spec: spec.name)
def test_every_model_prints_its_card(spec, capsys):
    assert main(["models", spec.name, "--card"]) == 0
    assert capsys.readouterr().out == own_card(spec).rstrip() + "\n"


def test_without_a_card_it_says_what_the_model_is(capsys):
    assert main(["models", "nlm-denoise"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("nlm-denoise  (denoising, any modality")
    assert "brain-extraction" not in told


def test_card_and_description_as_json(capsys):
    assert main(["models", "region", "--json", "--card"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "region"
    assert found["card"].startswith("# region")
    assert main(["models", "region", "--json"]) == 0
    assert "card" not in json.loads(capsys.readouterr().out)


def test_a_name_that_is_none_is_refused(capsys):
    assert main(["models", "nlm-denoiser", "--card"]) == 4
    assert "did you mean 'nlm-denoise'?" in capsys.readouterr().err

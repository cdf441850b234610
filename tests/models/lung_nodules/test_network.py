"""The networks of lung-nodules: shapes, size, and that they do not look across the borders of a batch."""

import pytest
import torch

from napari_radcnn.errors import OptionError
from napari_radcnn.models.lung_nodules.network import ANSWERS, FOLD, MULTIPLE, SIDE, build_finder, build_second
from napari_radcnn.models.lung_nodules.spec import SPEC, LungNodulesOptions


def test_the_finder_answers_for_every_cell():
    finder = build_finder().eval()
    with torch.inference_mode():
        answer = finder(torch.zeros(2, FOLD**3, MULTIPLE, 2 * MULTIPLE, 3 * MULTIPLE))
    assert answer.shape == (2, ANSWERS, MULTIPLE, 2 * MULTIPLE, 3 * MULTIPLE)
    assert float(torch.sigmoid(build_finder().answer.bias[0].detach())) == pytest.approx(0.01, rel=0.05)


def test_the_second_network_gives_one_logit_a_place():
    second = build_second().eval()
    seen = torch.randn(3, 2, SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = second(seen)
        alone = torch.cat([second(one[None]) for one in seen])
    assert together.shape == (3, 1)
    assert torch.allclose(together, alone, atol=1e-5)


def test_both_networks_are_small():
    count = sum(value.numel() for network in (build_finder(), build_second()) for value in network.parameters())
    assert 2 * count < 4e6  # bytes in float16


def test_its_options_have_ranges():
    assert 0 < LungNodulesOptions().threshold < 0.5
    with pytest.raises(OptionError, match="threshold"):
        LungNodulesOptions(threshold=0.0)
    assert SPEC.task == "detection"

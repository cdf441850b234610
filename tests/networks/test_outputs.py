"""Which of several outputs answers: the one that is named, and without a name none."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from napari_radcnn.errors import ModelError
from napari_radcnn.networks.one_output import OneOutput
from napari_radcnn.networks.outputs import choose_name, choose_output

LEFT, RIGHT = torch.zeros(1, 2, 3, 4, 5), torch.ones(1, 3, 3, 4, 5)


class Both(NamedTuple):
    features: torch.Tensor
    answer: torch.Tensor


@pytest.mark.parametrize(
    ("output", "chosen", "wanted"),
    [
        (LEFT, None, LEFT),
        (LEFT, 0, LEFT),
        ([RIGHT], None, RIGHT),
        (([RIGHT],), None, RIGHT),
        ((LEFT, None), None, LEFT),
        ({"only": RIGHT}, None, RIGHT),
        ((LEFT, RIGHT), 1, RIGHT),
        ({"aux": LEFT, "main": RIGHT}, "main", RIGHT),
        ({"aux": LEFT, "main": RIGHT}, 0, LEFT),
        (Both(LEFT, RIGHT), "answer", RIGHT),
    ],
)
def test_the_only_one_or_the_one_that_is_named(output, chosen, wanted):
    assert choose_output(output, chosen) is wanted


@pytest.mark.parametrize(
    ("output", "chosen", "told"),
    [
        ((LEFT, RIGHT), None, r"2 outputs: 0 \(1 x 2 x 3 x 4 x 5\), 1 \(1 x 3 x 3 x 4 x 5\)"),
        ({"aux": LEFT, "main": RIGHT}, None, r"0 'aux' \(.*1 'main'"),
        ((LEFT, RIGHT), 2, "no output 2; its outputs are: 0"),
        ({"aux": LEFT, "main": RIGHT}, "primary", "no output 'primary'; its outputs are: 0 'aux'"),
        (LEFT, "main", "single tensor"),
        ((LEFT, RIGHT), -1, "no output -1"),
        ("text", None, "returned a str without a tensor"),
        ({}, None, "returned a dict"),
    ],
)
def test_anything_else_is_refused(output, chosen, told):
    with pytest.raises(ModelError, match=told):
        choose_output(output, chosen)


def test_of_very_many_outputs_a_few_are_listed():
    with pytest.raises(ModelError, match=r"has 30 outputs: .*7 'n7' \(any\) and 22 more;"):
        choose_name([f"n{n}" for n in range(30)], [(None,)] * 30, None, "net.onnx")


def test_a_network_gives_the_output_that_was_chosen():
    class Two(torch.nn.Module):
        def forward(self, x):
            return {"aux": x - 1, "main": 2 * x}

    traced = torch.jit.trace(OneOutput(Two(), "main").eval(), torch.ones(1, 1, 2, 3, 4))
    assert torch.equal(traced(RIGHT), 2 * RIGHT)

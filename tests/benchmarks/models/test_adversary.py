"""A step against a network: its direction in closed form, where it may not go, and that it ends with its block."""

import numpy as np
import pytest
import torch

adversary = pytest.importorskip("benchmarks.models.adversary", reason="the benchmarks lie in the repository only")
from napari_radcnn.inference.backends import choice  # noqa: E402

WEIGHTS = torch.tensor([[2.0, -3.0, 0.5], [-1.0, 4.0, 0.5]])


class Linear(torch.nn.Module):
    """Two logits of three channels, each voxel by itself."""

    def forward(self, x):
        return torch.einsum("oc,bc...->bo...", WEIGHTS, x)


class Source:
    spatial_dims = 3

    def torch_module(self):
        return Linear()


def _step(**changes):
    fields = {"title": "", "size": 4.0, "scales": (0.1, 0.02, 0.0), "harm": adversary.other_class()}
    return adversary.Step(**(fields | changes))


PLAIN = torch.randn(1, 3, 2, 4, 5, generator=torch.Generator().manual_seed(3))


def test_each_channel_moves_away_from_the_class_that_was_chosen():
    moved = _step().taken(Linear(), PLAIN) - PLAIN
    chosen = Linear()(PLAIN).argmax(1)
    # the other class's weights less the chosen one's: -3, 7 where the first was chosen, else 3, -7
    sign = torch.where(chosen == 0, 1.0, -1.0)
    torch.testing.assert_close(moved[:, 0], -0.4 * sign)
    torch.testing.assert_close(moved[:, 1], 0.08 * sign)
    assert not moved[:, 2].any()
    assert {0.0, 1.0} == set(chosen.float().unique().tolist())


def test_channels_that_show_the_same_voxel_move_together():
    moved = _step(is_joined=True).taken(Linear(), PLAIN) - PLAIN
    # -3 * 0.1 + 7 * 0.02 < 0: the first channel decides for both
    sign = torch.where(Linear()(PLAIN).argmax(1) == 0, 1.0, -1.0)
    torch.testing.assert_close(moved[:, 0], -0.4 * sign)
    torch.testing.assert_close(moved[:, 1], -0.08 * sign)


def test_nothing_is_moved_outside_of_the_limits_or_out_of_them():
    moved = _step(limits=(-0.5, 0.7)).taken(Linear(), PLAIN)
    outside = (PLAIN <= -0.5) | (PLAIN >= 0.7)
    assert 0.2 < outside.float().mean() < 0.9
    assert torch.equal(moved[outside], PLAIN[outside])
    assert moved[~outside].min() >= -0.5
    assert moved[~outside].max() <= 0.7
    assert (moved != PLAIN)[:, :2][~outside[:, :2]].all()


def test_parts_of_the_outputs_are_judged_each_by_itself():
    harm = adversary.other_class(slice(0, 1), slice(1, 2))
    start = PLAIN.clone().requires_grad_(True)
    harm(Linear()(start), Linear()(PLAIN)).backward()
    assert not start.grad.any()  # of one class alone there is no other


@pytest.mark.parametrize(("harm", "sign"), [(adversary.other_side, -1.0), (adversary.missed, -1.0)])
def test_a_logit_is_moved_towards_the_other_side(harm, sign):
    class One(torch.nn.Module):
        def forward(self, x):
            return 3 * x[:, :1] - 2

    step = _step(harm=harm, scales=(0.1, 0.1, 0.1))
    moved = (step.taken(One(), PLAIN) - PLAIN)[:, 0]
    above = (One()(PLAIN) > 0)[:, 0]
    torch.testing.assert_close(moved[above], torch.full_like(moved[above], sign * 0.4))
    expected = 0.4 if harm is adversary.other_side else -0.4  # what says nothing is there is no nodule to be missed
    torch.testing.assert_close(moved[~above], torch.full_like(moved[~above], expected))


def test_values_are_moved_though_their_gradient_is_none_at_first():
    step = _step(harm=adversary.other_values, scales=(0.1, 0.02, 0.05))
    still = step.taken(Linear(), PLAIN)
    assert torch.equal(still, PLAIN)
    moving = adversary.Step(step.title, step.size, step.scales, step.harm, is_random=True)
    moved = moving.taken(Linear(), PLAIN)
    changed = [float(((Linear()(x) - Linear()(PLAIN)) ** 2).mean()) for x in (moved, (moved + PLAIN) / 2)]
    assert changed[0] == pytest.approx(4 * changed[1], rel=1e-4)
    torch.testing.assert_close((moved - PLAIN).abs()[:, 0], torch.full((1, 2, 4, 5), 0.4))
    torch.testing.assert_close(moving.taken(Linear(), PLAIN), moved)
    # the whole step in random directions changes less
    random = PLAIN + (moved - PLAIN).abs() * torch.randn(PLAIN.shape, generator=torch.Generator().manual_seed(9)).sign()
    assert changed[0] > 1.2 * ((Linear()(random) - Linear()(PLAIN)) ** 2).mean()


def test_what_opens_in_the_block_sees_the_step_and_nothing_after_it():
    before = choice.open_predictor
    voxels = PLAIN[0].numpy()
    with adversary.attacked(_step()):
        predictor, told = choice.open_predictor(Source(), (2, 4, 5), None, threads=1)
        found = predictor(voxels)
    assert (told, predictor.precision) == ((), "float32")
    np.testing.assert_allclose(found, Linear()(_step().taken(Linear(), PLAIN))[0].numpy(), rtol=1e-6)
    assert choice.open_predictor is before
    with pytest.raises(RuntimeError), adversary.attacked(_step()):
        raise RuntimeError
    assert choice.open_predictor is before


def test_a_network_of_two_dimensions_gets_and_gives_one_slice():
    class Flat(Source):
        spatial_dims = 2

    voxels = PLAIN[0, :, :1].numpy()
    with adversary.attacked(_step()):
        found = choice.open_predictor(Flat(), (1, 4, 5), None, threads=1)[0](voxels)
    assert found.shape == (2, 1, 4, 5)
    np.testing.assert_allclose(found[:, 0], Linear()(_step().taken(Linear(), PLAIN[:, :, 0]))[0].numpy(), rtol=1e-6)

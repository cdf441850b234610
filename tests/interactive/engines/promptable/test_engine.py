"""Where `promptable-3d` looks and what becomes of the answer, with a network that does a known thing."""

from threading import Event

import numpy as np
import pytest

from bright_engine import BrightEngine
from napari_radcnn.errors import CancelledError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.promptable.engine import promptable_network
from napari_radcnn.interactive.engines.promptable.look import SIZE, Drawn, Levels, View
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume


class OnlyTheClick:
    """A region engine that finds nothing but the voxel it was pointed at."""

    def predict(self, request, monitor):
        at = np.rint(request.volume.geometry.to_index(request.prompts[-1].points[0])).astype(int)
        k, j, i = (slice(int(n), int(n) + 1) for n in at)
        return MaskUpdate((k, j, i), np.ones((1, 1, 1), bool))


def oblique(shape, spacing):
    turn = np.array([[0.9, -0.3, 0.1], [0.28, 0.95, 0.0], [-0.1, 0.05, 0.99]])
    turn, _ = np.linalg.qr(turn)
    return Geometry.from_parts(shape, spacing, (-31.0, 12.0, 5.0), (turn * np.sign(np.diag(turn)))[:, ::-1])


def scene(geometry, *balls, noise=0.0):
    """Return a scan with bright balls ((k, j, i) index, radius mm), and one mask a ball."""
    grid = np.indices(geometry.shape)
    masks = []
    for at, radius in balls:
        distance = sum(((grid[n] - at[n]) * geometry.spacing[n]) ** 2 for n in range(3))
        masks.append(distance <= radius**2)
    image = np.where(np.any(masks, axis=0), 200, -50).astype(np.float32)
    image += np.random.default_rng(0).normal(0, noise, geometry.shape).astype(np.float32)
    return Volume(image, geometry), masks


def predict(engine, volume, prompts, current=None):
    current = np.zeros(volume.geometry.shape, bool) if current is None else current
    update = engine.predict(EngineRequest(volume, tuple(prompts), current), Monitor(1))
    mask = current.copy()
    mask[update.box] = update.mask
    return mask


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def click(volume, index, positive=True):
    return Prompt.point(volume.geometry.to_world(index), positive=positive)


GEOMETRY = oblique((60, 90, 100), (2.0, 0.9, 0.8))


def test_a_ball_is_found_where_it_lies():
    volume, (ball,) = scene(GEOMETRY, ((25, 40, 60), 14))
    engine = BrightEngine()
    assert dice(predict(engine, volume, [click(volume, (24, 42, 58))]), ball) > 0.97


def test_only_the_clicked_one_of_two_is_taken_then_both():
    volume, (first, second) = scene(GEOMETRY, ((20, 30, 40), 11), ((38, 60, 70), 11))
    engine = BrightEngine()
    prompts = [click(volume, (20, 30, 40))]
    mask = predict(engine, volume, prompts)
    assert dice(mask, first) > 0.95
    assert not (mask & second).any()
    prompts.append(click(volume, (38, 60, 70)))
    assert dice(predict(engine, volume, prompts, mask), first | second) > 0.95


def test_it_steps_back_until_the_object_fits():
    large = oblique((110, 160, 160), (2.0, 1.0, 1.0))
    volume, (ball,) = scene(large, ((55, 80, 80), 70))
    engine = BrightEngine()
    engine._region = OnlyTheClick()  # so that it has to find out how large the object is
    mask = predict(engine, volume, [click(volume, (40, 70, 75)), click(volume, (42, 72, 75))])
    assert len(engine.asked) > 1
    assert dice(mask, ball) > 0.97


def test_it_looks_closer_at_something_tiny():
    volume, (ball,) = scene(GEOMETRY, ((25, 40, 60), 4))
    engine = BrightEngine()
    mask = predict(engine, volume, [click(volume, (25, 40, 60))] * 2)
    assert len(engine.asked) == 2
    filled = [np.count_nonzero(channels[0] > 0) for channels in engine.asked]
    assert filled[1] > 3 * filled[0]
    assert dice(mask, ball) > 0.8


def test_what_was_said_is_obeyed():
    volume, (ball,) = scene(GEOMETRY, ((25, 40, 60), 14))
    engine = BrightEngine()
    inside, outside = (27, 44, 62), (25, 40, 85)
    assert ball[inside]
    assert not ball[outside]
    mask = predict(engine, volume, [click(volume, (25, 40, 60)), click(volume, outside), click(volume, inside, False)])
    assert mask[outside]
    assert not mask[inside]


def test_outside_the_cube_the_object_stays_as_it_was():
    long = Geometry.from_parts((8, 12, 700), (1, 1, 1))
    volume, (_,) = scene(long, ((4, 6, 40), 4))
    current = np.zeros(long.shape, bool)
    current[4, 6, 690:] = True
    mask = predict(BrightEngine(), volume, [click(volume, (4, 6, 40))], current)
    assert mask[4, 6, 690:].all()
    assert mask[4, 6, 40]


def test_a_scribble_a_box_and_a_lasso_tell_where_it_is():
    volume, (ball,) = scene(GEOMETRY, ((25, 40, 60), 14), noise=5)
    world = volume.geometry.to_world
    square = [(25, 28, 46), (25, 28, 74), (25, 52, 74), (25, 52, 46)]
    for prompt in (
        Prompt.scribble([world((25, 36, 56)), world((25, 44, 64))]),
        Prompt.box(world(square[0]), world(square[1]), world(square[3])),
        Prompt.lasso([world(corner) for corner in square]),
    ):
        assert dice(predict(BrightEngine(), volume, [prompt]), ball) > 0.93, prompt.kind


def test_a_box_alone_gives_the_network_its_area_and_no_click():
    volume, _ = scene(GEOMETRY, ((25, 40, 60), 14))
    world = volume.geometry.to_world
    engine = BrightEngine()
    predict(engine, volume, [Prompt.box(world((25, 28, 46)), world((25, 28, 74)), world((25, 52, 46)))])
    assert engine.asked[0][5].any()
    assert not engine.asked[0][3].any()


def test_negative_prompts_alone_are_refused():
    volume, _ = scene(GEOMETRY, ((25, 40, 60), 14))
    with pytest.raises(ModelError, match="Mark the object first"):
        predict(BrightEngine(), volume, [click(volume, (25, 40, 60), False)])


def test_it_can_be_cancelled():
    volume, _ = scene(GEOMETRY, ((25, 40, 60), 14))
    cancel = Event()
    cancel.set()
    request = EngineRequest(volume, (click(volume, (25, 40, 60)),), np.zeros(GEOMETRY.shape, bool))
    with pytest.raises(CancelledError):
        BrightEngine().predict(request, Monitor(1, cancel=cancel))


def test_voxels_without_a_value_do_no_harm():
    volume, (ball,) = scene(GEOMETRY, ((25, 40, 60), 14))
    array = volume.array.copy()
    array[:, :8] = np.nan
    mask = predict(BrightEngine(), Volume(array, GEOMETRY), [click(volume, (25, 40, 60))])
    assert dice(mask, ball) > 0.95


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_constant_scan_gives_an_answer(value):
    volume = Volume(np.full(GEOMETRY.shape, value, np.float32), GEOMETRY)
    assert predict(BrightEngine(), volume, [click(volume, (25, 40, 60))])[25, 40, 60]


def test_a_single_slice():
    flat = Geometry.from_parts((1, 120, 130), (1, 0.8, 0.8))
    volume, (disk,) = scene(flat, ((0, 60, 70), 15))
    mask = predict(BrightEngine(), volume, [click(volume, (0, 60, 70))])
    assert dice(mask, disk) > 0.95


def test_coarse_looks_see_the_same_place():
    """A scan averaged by two and by four lies where the scan lies."""
    geometry = oblique((64, 96, 100), (2.0, 0.9, 0.8))
    array = np.fromfunction(lambda k, j, i: 3 * k + 5 * j + 7 * i, geometry.shape).astype(np.float32)
    levels = Levels(Volume(array, geometry))
    grid = View(levels, (32.0, 48.0, 50.0), 0.8).grid
    for spacing, size in ((0.8, 20), (1.7, 14), (3.4, 8)):
        there = type(grid)(geometry, (32.0, 48.0, 50.0), spacing, size)
        index = geometry.to_index(there.geometry.to_world(np.argwhere(np.ones((size,) * 3))))
        assert np.abs(levels.sample(there).ravel() - index @ (3, 5, 7)).max() < 0.1 * (3 + 5 + 7)  # of a voxel


def test_the_mask_so_far_is_shown_where_it_lies():
    volume, (ball,) = scene(GEOMETRY, ((25, 40, 60), 14))
    view = View(Levels(volume), (25.0, 40.0, 60.0), 1.0)
    proposal = np.roll(ball, 4, axis=1)
    channels = view.channels(ball, (click(volume, (25, 40, 60)),), proposal)
    shown, proposed = channels[2] > 0, channels[6] > 0
    assert np.count_nonzero(shown) == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.03)
    middle = view.grid.geometry.to_world(np.argwhere(shown).mean(0))
    assert np.linalg.norm(middle - GEOMETRY.to_world((25, 40, 60))) < 0.5
    moved = view.grid.geometry.to_world(np.argwhere(proposed).mean(0))
    assert np.linalg.norm(moved - GEOMETRY.to_world((25, 44, 60))) < 0.5
    assert shown.shape == (SIZE, SIZE, SIZE)


def test_a_lasso_is_sure_of_its_middle_only():
    world = GEOMETRY.to_world
    square = [(25, 28, 46), (25, 28, 74), (25, 52, 74), (25, 52, 46)]
    drawn = Drawn.of((Prompt.lasso([world(corner) for corner in square]),), GEOMETRY)
    (sure,) = drawn.positive
    assert 0 < np.count_nonzero(sure.mask) < 0.6 * 25 * 29
    assert drawn.has_positive


def test_other_weights_are_refused(tmp_path):
    import torch

    from napari_radcnn.networks.safetensors import write_safetensors

    path = tmp_path / "other.safetensors"
    write_safetensors({"stem.weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="do not belong to this network"):
        promptable_network(path, "0").torch_module()


def test_weights_survive_the_file(tmp_path):
    import torch

    from napari_radcnn.interactive.engines.promptable.network import build_network
    from napari_radcnn.networks.safetensors import write_safetensors

    torch.manual_seed(0)
    network = build_network().eval()
    path = tmp_path / "net.safetensors"
    write_safetensors({k: v for k, v in network.state_dict().items() if v.is_floating_point()}, path)
    patch = torch.randn(1, 7, 32, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(promptable_network(path, "0").torch_module()(patch), network(patch))

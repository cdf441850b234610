"""The network that segments what is pointed at: what it is shown, what it learns from, and that it learns."""

import json

import numpy as np
import pytest
import torch

from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.few_clicks import channels as ch
from napari_radcnn.interactive.engines.few_clicks.channels import Board, bump, units_of, value_at
from napari_radcnn.interactive.engines.few_clicks.network import CHANNELS, SIZE_BINS, build_network, count_gflop
from napari_radcnn.interactive.simulate import Click
from napari_radcnn.metrics import dice
from napari_radcnn.training.few_clicks import held_out, prepare, recipe, scans
from napari_radcnn.training.few_clicks.brain_map import map_brain
from napari_radcnn.training.few_clicks.crops import IN_A_SHARD, Cache, Crop, write_shard
from napari_radcnn.training.few_clicks.games import Game, Games, spoilt
from napari_radcnn.training.few_clicks.lesions import paint_lesion
from napari_radcnn.training.few_clicks.looks import Look, random_look, thick_slices
from napari_radcnn.training.few_clicks.samples import Sampler
from napari_radcnn.training.few_clicks.scans import Scan
from napari_radcnn.volume import Volume

N = 16
#: Made-up shapes need more room.
WIDE = 32


def _field(shape):
    k, j, i = np.indices(shape, np.float32)
    return 3 * k + 5 * j + 7 * i


def _scan(shape=(30, 34, 38), spacing=(2.5, 0.8, 0.7), *, is_drawn=True):
    """Two boxes, 1 and 2, on a slanted background."""
    labels = np.zeros(shape, np.uint16)
    boxes = ((slice(6, 16), slice(5, 22), slice(8, 30)), (slice(18, 26), slice(20, 30), slice(4, 14)))
    image = _field(shape) / 10
    for value, box in enumerate(boxes, 1):
        labels[box] = value
        image[box] += 200 * value
    objects = tuple(enumerate(boxes, 1))
    return Scan("toy", image, labels, np.array(spacing), is_drawn, objects, 1.0, 0.0, 600.0, 1.0)


def _crop(rng, *, is_fit=True, extent=9.0):
    target = np.zeros((N, N, N), bool)
    target[3:9, 4:13, 6:11] = True
    picture = np.where(target, np.float32(120), np.float32(0)) + _field((N, N, N)) / 50
    return Crop(
        picture, target, target.copy(), np.ones_like(target), np.array([5, 8, 8]), 0.0, 200.0, 2.0, extent, is_fit
    )


@pytest.fixture
def cache(tmp_path):
    rng = np.random.default_rng(0)
    write_shard(tmp_path, 0, [_crop(rng) for _ in range(3)])
    return Cache(tmp_path)


def test_units_are_hounsfield_units_of_ct_and_a_thousandth_of_the_range_of_other_scans():
    values = np.linspace(-1000, 400, 1401)
    assert units_of(values) == (1.0, pytest.approx(-986), pytest.approx(386))
    factor, low, high = units_of(np.linspace(100, 300, 2001))
    assert (factor, low, high) == (pytest.approx(1000 / 196), pytest.approx(102 * factor), pytest.approx(298 * factor))
    factor, _, _ = units_of(np.full(5, 7.0))
    assert np.isfinite(factor)


def test_a_click_is_drawn_where_it_is_and_centers_the_windows_on_its_value():
    picture = _field((N, N, N))
    board = Board(picture, 0.0, 200.0, 4.0, picture < 200)
    board.click((3, 8, 5), positive=True)
    shown = board.channels
    assert np.unravel_index(shown[ch.POSITIVE].argmax(), picture.shape) == (3, 8, 5)
    assert not shown[ch.NEGATIVE].any()
    value = 3 * 3 + 5 * 8 + 7 * 5
    assert value_at(picture, (3, 8, 5)) == pytest.approx(value, abs=1e-3)
    np.testing.assert_allclose(shown[ch.NARROW_AT], np.clip((picture - value) / 20, -1, 1), atol=1e-3)
    np.testing.assert_allclose(shown[ch.MIDDLE_AT], np.clip((picture - value) / 75, -1, 1), atol=1e-3)
    np.testing.assert_allclose(shown[ch.SCAN], np.clip((picture - 100) / 100, -1.5, 1.5), atol=1e-5)
    assert (shown[ch.ZOOM] == 1).all()
    assert np.array_equal(shown[ch.OUTSIDE] > 0, picture >= 200)
    first = shown[ch.NARROW_AT].copy()
    board.click((12, 2, 9), positive=False)
    assert np.array_equal(shown[ch.NARROW_AT], first)
    assert shown[ch.NEGATIVE][12, 2, 9] == 1
    assert shown[ch.NEWEST][12, 2, 9] == -1
    other = 3 * 12 + 5 * 2 + 7 * 9
    np.testing.assert_allclose(shown[ch.NEWEST_VALUE], np.clip((picture - other) / 75, -1, 1), atol=1e-3)


def test_the_size_is_drawn_around_the_first_place_as_far_as_the_object_is_likely_to_reach():
    picture = _field((N, N, N))
    board = Board(picture, 0.0, 200.0, 1.0, np.ones_like(picture, bool))
    assert not board.channels[ch.SIZE].any()
    board.tell_size(0.75, (3, 8, 5))  # 12 voxels: the object ends 6 from its middle
    assert board.channels[ch.SIZE][3, 8, 5] == 1
    assert board.channels[ch.SIZE][9, 8, 5] == pytest.approx(np.exp(-(1.5**2) / 2), rel=1e-4)


def test_boxes_and_lines_have_channels_of_their_own():
    picture = _field((N, N, N))
    board = Board(picture, 0.0, 200.0, 1.0, np.ones_like(picture, bool))
    board.box(np.array([2.2, 3.6, -4.0]), np.array([5.0, 9.0, 3.0]))
    expected = np.zeros(picture.shape, bool)
    expected[2:5, 4:9, 0:3] = True
    assert np.array_equal(board.channels[ch.BOX] > 0, expected)
    line = np.array([[7, n, 4] for n in range(3, 9)])
    board.scribble(line, positive=False)
    assert (board.channels[ch.SCRIBBLE][tuple(line.T)] == -1).all()
    assert board.channels[ch.SCRIBBLE].max() <= 0
    assert not board.channels[ch.POSITIVE].any()


def test_a_bump_may_lie_outside():
    assert bump(N, (-2, 5, 5), 2.0)[0, 5, 5] == pytest.approx(np.exp(-0.5))


def test_the_network_is_within_its_budget_and_answers_in_the_cubes_grid():
    network = build_network()
    assert count_gflop(network, 40) < 12
    assert network.training
    assert count_gflop(network, 16) == pytest.approx(count_gflop(network, 40) * (16 / 40) ** 3)
    logits, size = network(torch.zeros(2, len(CHANNELS), 16, 24, 32))
    assert logits.shape == (2, 1, 16, 24, 32)
    assert size.shape == (2, SIZE_BINS)


def test_the_last_layer_puts_voxels_back_where_they_were():
    network = build_network().eval()
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network.last.weight[0, 4, 1, 1, 1] = 1  # the first of the channels that are seen again
        network.answer.weight[0, 0] = 1
        given = torch.rand(1, len(CHANNELS), 8, 16, 24)
        logits, _ = network(given)
        torch.testing.assert_close(logits[0, 0], given[0, 0])
        network.trust[0], network.trust[1] = 2, 5
        logits, _ = network(given)
    torch.testing.assert_close(logits[0, 0], given[0, 0] + 2 * given[0, ch.MASK] + 5 * given[0, ch.PROPOSAL])


def test_a_cube_is_the_same_after_it_was_kept_but_turned_and_mirrored(tmp_path):
    rng = np.random.default_rng(5)
    crop = _crop(rng, extent=23.0)
    write_shard(tmp_path, 7, [crop])
    cache = Cache(tmp_path)
    turns = set()
    for _ in range(20):
        taken = cache.take(rng)
        assert taken.target.sum() == crop.target.sum()
        # the click and the picture are turned as the masks are
        assert taken.picture[tuple(taken.click)] == pytest.approx(crop.picture[tuple(crop.click)], abs=0.1)
        assert np.array_equal(taken.picture > 100, taken.target)
        assert np.array_equal(taken.proposal, taken.target)
        assert (taken.low, taken.high, taken.zoom, taken.extent, taken.is_fit) == (0.0, 200.0, 2.0, 23.0, True)
        turns.add(tuple(taken.click))
    assert len(turns) > 10


def test_a_cache_without_cubes_is_refused_and_one_that_grows_is_seen(tmp_path):
    with pytest.raises(ReadError, match="holds no cubes"):
        Cache(tmp_path)
    rng = np.random.default_rng(1)
    write_shard(tmp_path, 0, [_crop(rng)])
    cache = Cache(tmp_path)
    write_shard(tmp_path, 1, [_crop(rng), _crop(rng)])
    assert cache.look() == 3
    before = sorted(tmp_path.iterdir())
    write_shard(tmp_path, 1, [_crop(rng)])  # another process was faster
    assert sorted(tmp_path.iterdir()) == before
    assert cache.look() == 3


@pytest.mark.parametrize("zoom", [0.7, 2.0, 2.6])
def test_a_look_samples_a_linear_field_where_it_lies(zoom):
    shape, spacing = (20, 60, 70), np.array([2.5, 0.8, 0.7])
    scan = Scan("field", _field(shape), np.zeros(shape, np.uint16), spacing, True, (), 2.0, 0.0, 1.0, 1.0)
    line = (np.arange(8) - 3.5) * zoom
    where = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    turn = np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1.0]])
    positions = np.tensordot(turn / spacing[:, None], where, axes=1) + np.array([9.3, 30.0, 34.5])[:, None, None, None]
    look = Look(scan, positions.astype(np.float32), zoom)
    expected = 2 * (3 * positions[0] + 5 * positions[1] + 7 * positions[2])
    assert look.inside.all()
    np.testing.assert_allclose(look.picture(), expected, atol=2e-2)


def test_a_look_knows_what_lies_outside_and_shows_objects_in_their_place():
    scan = _scan()
    rng = np.random.default_rng(2)
    look = random_look(rng, scan, np.array([0.0, 13.0, 18.0]), 2.0, N)
    assert 0.3 < look.inside.mean() < 0.7
    for _ in range(10):
        look = random_look(rng, scan, np.array([10.5, 13.0, 18.5]), 1.5, N)
        target = look.target(1)
        away = np.abs(look.labels().astype(int) - target).mean()
        assert target[N // 2, N // 2, N // 2]
        assert away < 0.1


def test_thick_slices_keep_the_mean_and_lose_detail():
    rng = np.random.default_rng(3)
    picture = rng.standard_normal((N, N, N)).astype(np.float32)
    for _ in range(5):
        thick = thick_slices(rng, picture)
        assert thick.std() < 0.95 * picture.std()
        np.testing.assert_allclose(thick_slices(rng, np.full_like(picture, 7)), 7, rtol=1e-5)


def test_a_lesion_differs_from_what_is_around_and_leaves_the_rest_alone():
    rng = np.random.default_rng(4)
    picture = np.full((24, 24, 24), 50, np.float32)
    for _ in range(12):
        painted, target = paint_lesion(rng, picture, 9.0, 300.0)
        assert 30 < target.sum() < 5000
        assert abs(float(painted[target].mean()) - 50) > 3
        far = ~target & (np.indices(target.shape).max(0) > 20)
        assert np.abs(painted[far] - 50).max() < 1


def test_a_sampler_shows_objects_of_every_kind_with_the_click_on_them():
    sampler = Sampler([_scan(), _scan(is_drawn=False)], WIDE, 11)
    crops = [sampler.make() for _ in range(25)]
    for crop in crops:
        assert crop.target[tuple(crop.click)]
        assert crop.proposal[tuple(crop.click)]
        assert 60 <= crop.target.sum() <= 0.85 * WIDE**3
        assert not (crop.target & ~crop.inside).any()
        assert np.isfinite(crop.picture).all()
        if crop.is_fit:
            assert 0.35 * WIDE < crop.extent < 0.9 * WIDE
    assert {crop.is_fit for crop in crops} == {True, False}
    again = Sampler([_scan(), _scan(is_drawn=False)], WIDE, 11)
    for crop in crops[:3]:
        assert np.array_equal(again.make().picture, crop.picture)


def test_a_game_puts_the_next_prompt_where_the_answer_is_wrong(cache):
    rng = np.random.default_rng(6)
    seen = set()
    for _ in range(60):
        shown = np.zeros((len(CHANNELS), N, N, N), np.float32)
        game = Game(cache.take(rng), shown, rng)
        before = shown[[ch.POSITIVE, ch.NEGATIVE, ch.SCRIBBLE]].copy()
        answer = np.zeros((N, N, N), np.float32) if rng.random() < 0.5 else np.ones((N, N, N), np.float32)
        if not game.answer(answer):
            continue
        assert np.array_equal(shown[ch.MASK], answer)
        at = np.unravel_index(np.abs(shown[ch.NEWEST]).argmax(), game.target.shape)
        assert game.target[at] == (answer[0, 0, 0] == 0)
        assert (shown[ch.NEWEST][at] > 0) == game.target[at]
        after = shown[[ch.POSITIVE, ch.NEGATIVE, ch.SCRIBBLE]]
        assert not np.array_equal(before, after)
        seen.add((game.kind, bool(game.target[at])))
    assert {kind for kind, _ in seen} == {"click", "box", "scribble", "given"}
    assert {positive for _, positive in seen} == {True, False}


def test_a_game_is_over_when_nothing_is_wrong(cache):
    rng = np.random.default_rng(7)
    for _ in range(10):
        game = Game(cache.take(rng), np.zeros((len(CHANNELS), N, N, N), np.float32), rng)
        assert not game.answer(game.target.astype(np.float32))


def test_games_tell_how_well_they_go(cache):
    games = Games(cache, N, 12, np.random.default_rng(8))
    for _ in range(30):
        _, chosen = games.batch(4)
        games.answer(np.stack([game.target for game in chosen]).astype(np.float32))
    figures = games.figures()
    assert figures["told"] == figures["box"] == 1
    assert np.isnan(figures["turn_3"])


def test_a_spoilt_mask_is_like_the_mask_but_not_the_mask(cache):
    rng = np.random.default_rng(9)
    mask = cache.take(rng).target
    found = [dice(mask, spoilt(rng, mask) > 0.5) for _ in range(40)]
    assert 0.3 < np.mean(found) < 0.95


def test_the_loss_is_none_for_the_object_and_blind_outside_the_scan():
    target = torch.zeros(2, 1, 8, 8, 8)
    target[:, :, 2:5, 1:6, 3:7] = 1
    inside = torch.ones_like(target)
    inside[..., 7] = 0
    right = 40 * (2 * target - 1)
    assert float(recipe.object_loss(right, target, inside)) == pytest.approx(0, abs=1e-4)
    wrong_outside = right.clone()
    wrong_outside[..., 7] = 40
    assert float(recipe.object_loss(wrong_outside, target, inside)) == pytest.approx(0, abs=1e-4)
    nothing = torch.full_like(target, -40)
    share = 60 / (8 * 8 * 7)
    assert float(recipe.object_loss(nothing, target, inside)) == pytest.approx(1.5 * 40 * share + 1 - 8 / 68, rel=1e-4)


def test_the_size_is_learned_only_where_nobody_told_it(cache):
    rng = np.random.default_rng(10)
    shown = np.zeros((len(CHANNELS), N, N, N), np.float32)
    games = [Game(cache.take(rng), shown, rng) for _ in range(2)]
    games[0].is_told, games[1].is_told = True, False
    games[1].extent = 2.0**-0.75  # between the bins of -1 and -0.5
    logits = torch.zeros(2, SIZE_BINS)
    assert float(recipe.size_loss(logits, games)) == pytest.approx(np.log(SIZE_BINS) / 2, rel=1e-5)
    logits[1, 4] = logits[1, 5] = 30
    assert float(recipe.size_loss(logits, games)) == pytest.approx(np.log(2) / 2, rel=1e-4)
    logits[0, 0] = 1e3
    assert float(recipe.size_loss(logits, games)) == pytest.approx(np.log(2) / 2, rel=1e-4)
    games[1].is_told = True
    assert float(recipe.size_loss(logits, games)) == 0


class Bright(torch.nn.Module):
    """Answers with what lies in the window around the clicked value, and says that objects are half a cube large."""

    def forward(self, x):
        sizes = torch.zeros(len(x), SIZE_BINS)
        sizes[:, 4] = 20
        return 20 * (0.5 - x[:, ch.MIDDLE_AT : ch.MIDDLE_AT + 1].abs()), sizes


def test_a_player_finds_an_object_from_a_click_and_takes_back_what_it_is_told():
    scan = _scan()
    affine = np.diag([0.7, 0.8, 2.5, 1.0])
    affine[:3, 3] = (-40, 30, 12)
    geometry = Geometry(scan.image.shape, affine[:, [2, 1, 0, 3]])
    assert geometry.spacing == pytest.approx((2.5, 0.8, 0.7))
    truth = scan.labels == 1
    player = held_out.Player(Bright(), Volume(scan.image, geometry), WIDE, truth)
    player.click(Click((10, 13, 18), True))
    assert dice(truth, player.mask) > 0.75
    assert not player.mask[22, 25, 9]
    player.click(Click((7, 6, 9), False))
    assert not player.mask[7, 6, 9]
    assert dice(truth, player.mask) > 0.75


def test_the_held_out_scan_is_never_learned_from():
    learned = {name.removesuffix(".nii.gz") for name in scans.names()}
    assert held_out.SCAN[0].removesuffix(".nii.gz") not in learned
    assert not any("example_ct_sm" in name or "spinal_cord" in name for name in learned)
    assert "ct_totalsegmentator/example_ct_dicom" in learned


def test_it_learns_goes_on_and_keeps_the_curve(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "napari_radcnn.training.few_clicks.scans.load_scans", lambda data, cache: [_scan(), _scan(is_drawn=False)]
    )
    monkeypatch.setattr("napari_radcnn.training.few_clicks.crops.IN_A_SHARD", 4)
    monkeypatch.setattr(prepare, "IN_A_SHARD", 4)
    made = prepare.prepare(tmp_path, tmp_path / "few-clicks-cache", WIDE, 1, 6)
    assert made == 8
    assert IN_A_SHARD > 8

    class Fixed:
        def __init__(self, data, size):
            pass

        def curve(self, network):
            assert not network.training
            return np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.4, 0.5, 0.6, 0.7]])

    monkeypatch.setattr(recipe, "HeldOut", Fixed)
    settings = {"size": WIDE, "batch": 2, "games": 3, "cubes": 4, "every": 8}
    out = tmp_path / "out"
    path = recipe.train(tmp_path, out, recipe.Recipe(samples=16, **settings), 1)
    assert path == out / "few-clicks.safetensors"
    lines = (out / "held_out.csv").read_text().splitlines()
    assert lines[0] == "minutes,steps,samples,clicks_1,clicks_2,clicks_3,clicks_5"
    assert lines[1].split(",")[1:] == ["4", "8", "0.2000", "0.3000", "0.4000", "0.6000"]
    assert (out / "held_out.svg").read_text().startswith("<svg")
    recipe.train(tmp_path, out, recipe.Recipe(samples=24, **settings), 1)
    assert (out / "held_out.csv").read_text().splitlines()[-1].split(",")[1:3] == ["12", "24"]


def _write_teacher(folder, *, activation="elu"):
    """A chain of two convolutions that tells voxels above 0.75 (class 1) and those with one above behind them (2)."""
    folder.mkdir(exist_ok=True)
    first = np.zeros((3, 3, 3, 1, 2), np.float32)
    first[1, 1, 1, 0, 0] = 1
    first[1, 1, 2, 0, 1] = 1
    last = np.zeros((1, 1, 1, 2, 3), np.float32)
    last[0, 0, 0, 0, 1], last[0, 0, 0, 1, 2] = 2, 1
    arrays = {"a/kernel": first, "a/bias": np.zeros(2, np.float32), "b/kernel": last, "b/bias": np.array([0.75, 0, 0])}
    conv = {"class_name": "Conv3D", "config": {"name": "a", "dilation_rate": [3, 3, 3]}}
    layers = [
        conv,
        {"class_name": "Activation", "config": {"activation": activation}},
        {"class_name": "Conv3D", "config": {"name": "b", "dilation_rate": [1, 1, 1]}},
    ]
    weights = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in arrays.items()]
    manifest = [{"paths": ["model.bin"], "weights": weights}]
    model = {"modelTopology": {"model_config": {"config": {"layers": layers}}}, "weightsManifest": manifest}
    (folder / "model.json").write_text(json.dumps(model))
    np.concatenate([array.ravel() for array in arrays.values()]).astype("<f4").tofile(folder / "model.bin")
    return folder


def test_a_teacher_is_asked_in_its_own_orientation_and_answers_on_the_scans_grid(tmp_path):
    image = np.zeros((14, 16, 18), np.float32)
    image[4:9, 3:9, 6:11] = 1  # k up, j to the back, i to the left
    geometry = Geometry(image.shape, np.array([[0, 0, 1, -9], [0, 1, 0, 5], [1, 0, 0, 30], [0, 0, 0, 1.0]]))
    assert geometry.orientation == "SPL"
    found = map_brain(Volume(image, geometry), _write_teacher(tmp_path / "net"))
    assert np.array_equal(found == 1, image > 0)
    # the teacher's last axis points to the face: what has the lump three voxels before it lies behind the lump
    assert set(np.unique(found)) == {0, 1, 2}
    second = np.zeros_like(image, bool)
    second[4:9, 9:12, 6:11] = True
    assert np.array_equal(found == 2, second)


def test_a_teacher_that_is_none_is_refused(tmp_path):
    volume = Volume(np.zeros((4, 5, 6), np.float32), Geometry((4, 5, 6), np.eye(4)))
    with pytest.raises(ModelError, match=r"model\.json cannot be read"):
        map_brain(volume, tmp_path)
    with pytest.raises(ModelError, match="elu, relu, gelu between them is expected, got"):
        map_brain(volume, _write_teacher(tmp_path, activation="softmax"))
    _write_teacher(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"\0" * 40)
    with pytest.raises(ModelError, match="the binary holds 10 numbers"):
        map_brain(volume, tmp_path)

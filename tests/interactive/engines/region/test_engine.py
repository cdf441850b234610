"""The region engine on objects whose shape is known."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from napari_radcnn.errors import CancelledError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import Engine, EngineRequest
from napari_radcnn.interactive.engines.region.engine import RegionEngine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.phantom import rotation
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Anisotropic, oblique and nowhere near zero.
GRID = Geometry.from_parts(
    (26, 56, 64), (2.5, 1.1, 0.9), (-31.0, 17.5, 40.25), rotation(12.0, -9.0, 17.0) @ np.eye(3)[:, ::-1]
)
FLAT = Geometry.from_parts((1, 60, 70), (4.0, 0.8, 0.7), (5.0, -8.0, 3.0))


def ball(geometry: Geometry, center: tuple[float, float, float], radius: float) -> np.ndarray:
    """Return the voxels within `radius` mm of an index."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    return (((index - np.array(center)) * geometry.spacing) ** 2).sum(-1) <= radius**2


def scan(mask: np.ndarray, geometry: Geometry = GRID, *, contrast: float = 100.0, noise: float = 8.0) -> Volume:
    values = mask * contrast + np.random.default_rng(5).normal(0, noise, mask.shape)
    return Volume(values.astype(np.float32), geometry)


def click(index: tuple[float, float, float], geometry: Geometry = GRID, *, positive: bool = True) -> Prompt:
    return Prompt.point(geometry.to_world(index), positive=positive)


class Clicked:
    """An object from its first prompt to its last."""

    def __init__(self, volume: Volume, current: np.ndarray | None = None) -> None:
        self.engine: Engine = RegionEngine()
        self.volume = volume
        self.mask = np.zeros(volume.geometry.shape, bool) if current is None else current.copy()
        self.prompts: list[Prompt] = []

    def add(self, prompt: Prompt, forbidden: np.ndarray | None = None) -> MaskUpdate:
        self.prompts.append(prompt)
        self.mask.setflags(write=False)
        request = EngineRequest(self.volume, tuple(self.prompts), self.mask, forbidden)
        update = self.engine.predict(request, Monitor(1))
        self.mask = self.mask.copy()
        self.mask[update.box] = update.mask
        return update


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Return Dice's coefficient."""
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("radius", [7.0, 12.0])
@pytest.mark.parametrize("contrast", [100.0, -60.0])
def test_a_click_in_a_ball_outlines_the_ball(radius: float, contrast: float) -> None:
    truth = ball(GRID, (14, 25, 35), radius)
    object_ = Clicked(scan(truth, contrast=contrast))
    object_.add(click((14, 26, 33)))
    assert agreement(object_.mask, truth) > 0.93


def test_strong_noise() -> None:
    truth = ball(GRID, (13, 28, 30), 12.0)
    object_ = Clicked(scan(truth, noise=35.0))
    object_.add(click((13, 28, 30)))
    assert agreement(object_.mask, truth) > 0.85


def test_a_scribble_in_a_hollow_shell_outlines_the_shell_with_what_it_holds() -> None:
    outer, inner = ball(GRID, (13, 28, 32), 20.0), ball(GRID, (13, 28, 32), 13.0)
    object_ = Clicked(scan(outer & ~inner, noise=4.0))
    angles = np.linspace(0, 2 * np.pi, 24)
    around = [(13, 28 + 16.5 / 1.1 * np.sin(a), 32 + 16.5 / 0.9 * np.cos(a)) for a in angles]
    object_.add(Prompt.scribble([GRID.to_world(point) for point in around]))
    assert object_.mask[tuple(np.rint(np.array(around)).astype(int).T)].all()
    assert agreement(object_.mask, outer) > 0.8 or agreement(object_.mask, outer & ~inner) > 0.8


def test_a_negative_click_takes_one_of_two_touching_balls_away() -> None:
    first, second = ball(GRID, (13, 28, 20), 10.0), ball(GRID, (13, 28, 41), 10.0)
    object_ = Clicked(scan(first | second, noise=5.0), first | second)
    object_.prompts.append(click((13, 28, 20)))
    object_.add(click((13, 28, 41), positive=False))
    assert not object_.mask[13, 28, 41]
    assert agreement(object_.mask, first) > 0.9


def test_a_positive_click_adds_what_is_missing_and_takes_nothing_away() -> None:
    first, second = ball(GRID, (13, 28, 20), 9.0), ball(GRID, (13, 28, 43), 9.0)
    object_ = Clicked(scan(first | second, noise=5.0))
    object_.add(click((13, 28, 20)))
    assert agreement(object_.mask, first) > 0.9
    before = object_.mask
    object_.add(click((13, 28, 43)))
    assert (object_.mask >= before).all()
    assert agreement(object_.mask, first | second) > 0.9


def test_a_negative_click_takes_away_near_itself() -> None:
    k, j, i = np.indices(GRID.shape)
    tube = ((k - 13) * 2.5) ** 2 + ((j - 28) * 1.1) ** 2 <= 6.0**2
    object_ = Clicked(scan(tube, noise=5.0), tube)
    object_.prompts.append(click((13, 28, 60)))
    object_.add(click((13, 28, 6), positive=False))
    gone = tube & ~object_.mask
    assert gone[13, 28, 6]
    far = np.abs(i - 6) * 0.9 > 27.0  # the click lies 6 mm deep
    assert not gone[far].any()
    assert gone.sum() > 100


def test_a_positive_click_adds_no_more_than_there_is() -> None:
    held = ball(GRID, (13, 28, 14), 14.0)
    beside = np.zeros(GRID.shape, bool)
    beside[:, :, 34:] = True
    object_ = Clicked(scan(held | beside, noise=5.0), held)
    object_.prompts.append(click((13, 28, 14)))
    object_.add(click((13, 28, 48)))
    added = object_.mask & ~held
    assert added[13, 28, 48]
    assert 0.1 * held.sum() < added.sum() <= 1.25 * held.sum()  # its boundary is drawn finely, afterwards
    assert 3 * held.sum() < beside.sum()


def test_strokes_elsewhere_stay_as_they_are() -> None:
    truth = ball(GRID, (13, 28, 20), 9.0)
    stroke = np.zeros(GRID.shape, bool)
    stroke[3:6, 45:52, 52:60] = True
    object_ = Clicked(scan(truth), stroke)
    object_.add(click((13, 28, 20)))
    np.testing.assert_array_equal(object_.mask[3:6, 45:52, 52:60], True)
    assert agreement(object_.mask & ~stroke, truth) > 0.85
    object_.add(click((13, 20, 20), positive=False))
    np.testing.assert_array_equal(object_.mask[3:6, 45:52, 52:60], True)


def test_a_click_on_a_stroke_grows_it() -> None:
    truth = ball(GRID, (13, 28, 30), 10.0)
    stroke = ball(GRID, (13, 28, 30), 3.0)
    object_ = Clicked(scan(truth), stroke)
    object_.add(click((13, 28, 30)))
    assert (object_.mask >= stroke).all()
    assert agreement(object_.mask, truth) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_every_prompt_is_obeyed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    object_ = Clicked(scan(ball(GRID, (13, 28, 30), 13.0), noise=20.0))
    used = set()
    for n in range(6):
        index = tuple(int(value) for value in rng.integers(0, GRID.shape))
        used.add((index, n == 0 or bool(rng.random() < 0.6)))
        object_.add(click(index, positive=n == 0 or (index, True) in used))
        for voxel, is_positive in used:
            assert object_.mask[voxel] == is_positive


@pytest.mark.parametrize("geometry", [GRID, FLAT, Geometry.from_parts((5, 6, 7), (3.0, 1.0, 2.0))])
def test_an_even_scan_gives_a_small_region(geometry: Geometry) -> None:
    object_ = Clicked(Volume(np.full(geometry.shape, 7, np.int16), geometry))
    middle = tuple(n // 2 for n in geometry.shape)
    object_.add(click(middle, geometry))
    assert object_.mask[middle]
    assert 1 <= np.count_nonzero(object_.mask) < 0.6 * object_.mask.size


def test_a_scan_of_one_voxel() -> None:
    geometry = Geometry.from_parts((1, 1, 1), (3.0, 1.0, 2.0))
    object_ = Clicked(Volume(np.ones((1, 1, 1), np.int16), geometry))
    object_.add(click((0, 0, 0), geometry))
    assert object_.mask.all()


def test_voxels_that_are_no_number_do_not_matter() -> None:
    truth = ball(GRID, (14, 25, 35), 10.0)
    volume = scan(truth)
    volume.array[~ball(GRID, (14, 25, 35), 20.0)] = np.nan
    volume.array[14, 25, 38] = np.nan
    object_ = Clicked(volume)
    object_.add(click((14, 25, 35)))
    assert agreement(object_.mask, truth) > 0.9
    nothing = Clicked(Volume(np.full(GRID.shape, np.nan, np.float32), GRID))
    nothing.add(click((14, 25, 35)))
    assert nothing.mask[14, 25, 35]
    assert np.count_nonzero(nothing.mask) < 0.2 * nothing.mask.size


@pytest.mark.parametrize("corner", [(0, 0, 0), (25, 55, 63), (0, 55, 30)])
def test_an_object_at_the_border_of_the_scan(corner: tuple[int, int, int]) -> None:
    truth = ball(GRID, corner, 14.0)
    object_ = Clicked(scan(truth))
    object_.add(click(corner))
    assert agreement(object_.mask, truth) > 0.85


def test_a_single_slice() -> None:
    truth = ball(FLAT, (0, 25, 35), 12.0)
    object_ = Clicked(scan(truth, FLAT))
    object_.add(click((0, 26, 33), FLAT))
    assert agreement(object_.mask, truth) > 0.93
    object_.add(click((0, 5, 60), FLAT, positive=False))
    assert agreement(object_.mask, truth) > 0.93


@pytest.mark.parametrize("depth", [0, 24])
def test_a_box_outlines_what_it_holds(depth: float) -> None:
    truth = ball(GRID, (13, 28, 30), 11.0) | ball(GRID, (13, 28, 36), 8.0)
    object_ = Clicked(scan(truth | ball(GRID, (13, 48, 55), 9.0)))
    corners = [(13, 16, 16), (13, 40, 16), (13, 16, 47)]
    if depth:
        corners = [(7, 16, 16), (7, 40, 16), (7, 16, 47), (19, 16, 16)]
    object_.add(Prompt.box(*(GRID.to_world(corner) for corner in corners)))
    assert agreement(object_.mask, truth) > 0.85
    outside = object_.mask[13].copy()
    outside[16:41, 16:48] = False
    assert not outside.any()


def test_a_lasso_belongs_to_the_object() -> None:
    truth = ball(GRID, (13, 28, 30), 11.0)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    line = [GRID.to_world((13, 28 + 9 / 1.1 * np.sin(a), 30 + 9 / 0.9 * np.cos(a))) for a in angles]
    object_ = Clicked(scan(truth))
    lasso = Prompt.lasso(line)
    object_.add(lasso)
    covered = rasterize(lasso, GRID)
    assert covered is not None
    assert object_.mask[covered.box][covered.mask].all()
    assert agreement(object_.mask, truth) > 0.85


def test_a_negative_scribble_is_taken_out() -> None:
    truth = ball(GRID, (13, 28, 30), 13.0)
    object_ = Clicked(scan(truth), truth)
    object_.prompts.append(click((13, 28, 30)))
    line = Prompt.scribble([GRID.to_world((13, 22, 38)), GRID.to_world((13, 34, 38))], positive=False, radius=1.5)
    object_.add(line)
    covered = rasterize(line, GRID)
    assert covered is not None
    assert not object_.mask[covered.box][covered.mask].any()
    assert object_.mask[13, 28, 30]
    assert (object_.mask <= truth).all()


def test_locked_objects_stop_the_growth() -> None:
    first, second = ball(GRID, (13, 28, 20), 9.0), ball(GRID, (13, 28, 38), 10.0)
    object_ = Clicked(scan(first | second, noise=5.0))
    object_.add(click((13, 28, 20)), forbidden=second & ~first)
    assert agreement(object_.mask & ~second, first & ~second) > 0.85
    assert np.count_nonzero(object_.mask & second & ~first) < 0.1 * np.count_nonzero(second)


def test_negative_prompts_alone_are_refused() -> None:
    volume = scan(ball(GRID, (13, 28, 30), 10.0))
    with pytest.raises(ModelError, match="Mark the object first"):
        Clicked(volume).add(click((13, 28, 30), positive=False))
    with pytest.raises(ModelError, match="needs a prompt"):
        RegionEngine().predict(EngineRequest(volume, (), np.zeros(GRID.shape, bool)), Monitor(1))


def test_a_prompt_that_is_obeyed_already_changes_nothing() -> None:
    truth = ball(GRID, (13, 28, 30), 10.0)
    object_ = Clicked(scan(truth))
    object_.add(click((13, 28, 30)))
    before = object_.mask
    object_.add(click((13, 28, 31)))
    np.testing.assert_array_equal(object_.mask, before)
    object_.add(click((2, 3, 4), positive=False))
    np.testing.assert_array_equal(object_.mask, before)


def test_it_can_be_cancelled_at_every_stage() -> None:
    volume = scan(ball(GRID, (13, 28, 30), 10.0), noise=70.0)  # without a clear outline
    request = EngineRequest(volume, (click((13, 28, 30)),), np.zeros(GRID.shape, bool))

    class After:
        """Set from the n-th time on that somebody looks."""

        def __init__(self, n: int) -> None:
            self.left = n

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    looks = After(10**6)
    RegionEngine().predict(request, Monitor(1, cancel=looks))
    n_looks = 10**6 - looks.left
    assert n_looks >= 5
    for n in range(0, n_looks, 3):
        with pytest.raises(CancelledError):
            RegionEngine().predict(request, Monitor(1, cancel=After(n)))


def test_an_event_that_is_set_stops_the_preparation() -> None:
    cancel = Event()
    cancel.set()
    with pytest.raises(CancelledError):
        RegionEngine().prepare(scan(ball(GRID, (13, 28, 30), 10.0)), Monitor(1, cancel=cancel))


def test_a_color_image_is_seen_in_gray() -> None:
    truth = ball(FLAT, (0, 25, 35), 12.0)
    gray = scan(truth, FLAT).array + 60
    volume = Volume(np.repeat(gray[..., None], 3, -1).clip(0, 255).astype(np.uint8), FLAT)
    object_ = Clicked(volume)
    object_.add(click((0, 25, 35), FLAT))
    assert agreement(object_.mask, truth) > 0.93

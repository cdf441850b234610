"""When an answer was of something else: a mark in its middle, what else is likely, and that nothing of it stays."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from alike_engine import by_network
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.anew import (
    coreness,
    denies,
    instead,
    is_as_answered,
    is_denied,
    likelier,
)
from napari_radcnn.interactive.engines.few_clicks.channels import NEGATIVE, SIZE as TOLD
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine
from napari_radcnn.interactive.engines.few_clicks.guesses import NAMES, Choice, Guess
from napari_radcnn.interactive.engines.few_clicks.looks import Looks
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.few_clicks.network import SIZE_BINS
from napari_radcnn.interactive.engines.lattice import Lattice
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

GEOMETRY = Geometry.from_parts((40, 90, 80), (2.5, 0.9, 1.1), (-31.0, 12.0, 5.0), np.eye(3)[:, ::-1])
MIDDLE = np.array([19.0, 44.0, 40.0])


def ball(middle: np.ndarray, radius: float) -> np.ndarray:
    """Return a ball on the grid of the scan, its radius in mm."""
    apart = (np.moveaxis(np.indices(GEOMETRY.shape), 0, -1) - middle) * GEOMETRY.spacing
    return np.linalg.norm(apart, axis=-1) < radius


def at(k: float, j: float, i: float) -> np.ndarray:
    """Return a place so many voxels from the middle."""
    return MIDDLE + np.array([k, j, i])


def marks_at(*places: tuple[np.ndarray, bool]) -> Marks:
    prompts = tuple(Prompt.point(GEOMETRY.to_world(place), positive=positive) for place, positive in places)
    return Marks.of(prompts, GEOMETRY)


def test_depth_is_a_share_of_that_of_the_deepest_place() -> None:
    mask = ball(MIDDLE, 30.0)
    for share in (0.2, 0.5, 0.9):
        beside = at(0, 0, (1 - share) * 30 / 1.1)
        assert coreness(mask, beside[None], GEOMETRY.spacing) == pytest.approx(share, abs=0.08)
    assert coreness(mask, at(0, 0, 35)[None], GEOMETRY.spacing) == 0
    assert coreness(mask, at(0, 0, 900)[None], GEOMETRY.spacing) == 0
    assert coreness(np.zeros_like(mask), MIDDLE[None], GEOMETRY.spacing) == 0
    both = np.array([at(0, 0, 35), MIDDLE])
    assert coreness(mask, both, GEOMETRY.spacing) > 0.95


def test_only_an_early_negative_mark_in_the_middle_denies_an_object() -> None:
    mask = ball(MIDDLE, 30.0)
    inside, border = at(0, 3, 0), at(0, 26, 0)
    assert is_denied(marks_at((border, True), (inside, False)), mask, GEOMETRY.spacing)
    assert not is_denied(marks_at((inside, True), (border, False)), mask, GEOMETRY.spacing)
    assert not is_denied(marks_at((border, True), (inside, True)), mask, GEOMETRY.spacing)
    later = marks_at((border, True), (border + 1, True), (border + 2, True), (inside, False))
    assert not is_denied(later, mask, GEOMETRY.spacing)
    box = Prompt.box(
        *(GEOMETRY.to_world(MIDDLE + np.array(p) * 20) for p in ([-1] * 3, [1, -1, -1], [-1, 1, -1], [-1, -1, 1]))
    )
    boxed = Marks.of((box, Prompt.point(GEOMETRY.to_world(inside), positive=False)), GEOMETRY)
    assert not is_denied(boxed, mask, GEOMETRY.spacing)


def test_an_organ_is_denied_in_its_middle_alone() -> None:
    mask = ball(MIDDLE, 25.0)
    organ = MaskUpdate((slice(0, 40), slice(5, 90), slice(0, 75)), mask[:, 5:, :75])
    spacing = np.asarray(GEOMETRY.spacing)
    assert denies(marks_at((at(0, 20, 0), True), (MIDDLE, False)), organ, spacing)
    assert not denies(marks_at((MIDDLE, True), (at(0, 20, 0), False)), organ, spacing)
    assert not denies(marks_at((MIDDLE, True)), organ, spacing)


def answers() -> list[tuple[Guess, Lattice, np.ndarray]]:
    """Return a ball of 6 mm and one of 26 mm, each in a cube of its own."""
    found = []
    for radius, zoom in ((6.0, 0.8), (26.0, 2.6)):
        lattice = Lattice.cube(GEOMETRY, MIDDLE, zoom, 40)
        places = lattice.back(np.moveaxis(np.indices((40,) * 3), 0, -1).reshape(-1, 3))
        apart = np.linalg.norm((places - MIDDLE) * GEOMETRY.spacing, axis=1).reshape(40, 40, 40)
        found.append((Guess(2 * radius, zoom, 1, np.where(apart < radius, 3, -3).astype(np.float32)), lattice, NONE))
    return found


NONE = np.zeros(len(NAMES), np.float32)


def test_what_is_likely_counts_only_where_the_object_is_something_larger() -> None:
    found, surely = answers(), np.array([6.0, -6.0], np.float32)
    chosen = likelier(found, surely, ball(MIDDLE, 26.0))
    assert chosen is not None
    assert chosen[0] is found[0][0]
    assert likelier(found, surely, ball(MIDDLE, 6.5)) is None  # as good as the same
    assert likelier(found, -surely, ball(MIDDLE, 6.0)) is None  # unlike, but the object is the smaller one
    assert likelier(found, surely / 100, ball(MIDDLE, 26.0)) is None  # nobody knows


def test_nothing_is_left_of_what_an_object_was() -> None:
    before, after = ball(MIDDLE, 25.0), ball(at(0, 10, 5), 6.0)
    box = (slice(12, 27), slice(40, 66), slice(32, 58))
    update = instead(MaskUpdate(box, after[box]), before)
    result = before.copy()
    result[update.box] = update.mask
    np.testing.assert_array_equal(result, after)


def test_what_was_painted_since_is_noticed() -> None:
    box = (slice(12, 27), slice(40, 66), slice(32, 58))
    mask = ball(at(0, 10, 5), 6.0)
    update = MaskUpdate(box, mask[box])
    assert is_as_answered(mask, update)
    for stroke in ((19, 54, 45), (2, 3, 4)):
        painted = mask.copy()
        painted[stroke] ^= True
        assert not is_as_answered(painted, update)


class OrganEngine(FewClicksEngine):
    """Its network answers with as large a ball as it is told, and prefers a large one until something is denied."""

    def __init__(self) -> None:
        weight = np.zeros((2, len(NAMES)), np.float32)
        weight[0, NAMES.index("side_mm")], weight[1, NAMES.index("side_mm")] = 1, -1
        tensors = {
            "mean": np.zeros(len(NAMES)),
            "spread": np.ones(len(NAMES)),
            "0.weight": weight,
            "0.bias": np.zeros(2),
            "0.last": np.array([4.0, -4.0]),
            "0.level": np.zeros(1),
        }
        self.large = Choice.of(tensors, Path("c"))
        self.small = Choice.of(tensors | {"0.last": np.array([-4.0, 4.0])}, Path("c"))
        super().__init__(RunSettings(), decision=by_network(), choice=self.large)

    def ask(self, channels, monitor):
        monitor.check()
        self._choice = self.small if channels[NEGATIVE].any() else self.large
        told = channels[TOLD] > np.exp(-9 / 8)
        told &= channels[NEGATIVE] < 0.5
        return np.where(told, np.float32(4), np.float32(-4)), np.zeros(SIZE_BINS, np.float32)


def test_an_object_in_an_organ_is_found_by_denying_the_organ_and_not_where_something_was_painted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun_anew = []
    take = Looks.take_anew
    monkeypatch.setattr(Looks, "take_anew", lambda self, after: begun_anew.append(take(self, after)) or begun_anew[-1])
    rng = np.random.default_rng(0)
    organ, lump = ball(MIDDLE, 34.0), ball(at(0, 20, 0), 5.0)
    image = ndimage.gaussian_filter(100.0 * organ, 2) + 12.0 * lump + rng.normal(0, 9, organ.shape)
    volume = Volume(image.astype(np.float32), GEOMETRY)
    first = Prompt.point(GEOMETRY.to_world(at(0, 20, 0)))
    second = Prompt.point(GEOMETRY.to_world(MIDDLE), positive=False)

    def played(*, is_painted: bool) -> tuple[np.ndarray, np.ndarray]:
        engine, mask = OrganEngine(), np.zeros(organ.shape, bool)
        update = engine.predict(EngineRequest(volume, (first,), mask), Monitor(1))
        mask[update.box] = update.mask
        begun = mask.copy()
        if is_painted:
            mask[1, 3:6, 3:6] ^= True
        update = engine.predict(EngineRequest(volume, (first, second), mask.copy()), Monitor(1))
        mask[update.box] = update.mask
        return begun, mask

    begun, found = played(is_painted=False)
    assert np.count_nonzero(begun) > 20 * np.count_nonzero(lump)
    assert np.count_nonzero(found) < 6 * np.count_nonzero(lump)
    assert dice(found, lump) > 0.3
    assert begun_anew == [True]
    played(is_painted=True)
    assert begun_anew == [True]

"""Objects with a clear outline: closed forms, at every noise, on oblique and anisotropic grids."""

from __future__ import annotations

import numpy as np
import pytest

from costly import few_together
from napari_radcnn.errors import CancelledError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.region.engine import RegionEngine
from napari_radcnn.interactive.engines.region.stable import clear_object, stable_region
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.metrics import dice
from napari_radcnn.phantom import rotation
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

TURNED = rotation(25.0, -31.0, 14.0)
SPACINGS = ((1.0, 1.0, 1.0), (5.0, 1.0, 0.9), (0.8, 0.9, 3.0))


def grid(spacing: tuple[float, float, float]) -> Geometry:
    shape = tuple(round(78 / s) for s in spacing)
    return Geometry.from_parts(shape, spacing, (-31.0, 17.5, 40.25), rotation(12.0, -9.0, 17.0) @ np.eye(3)[:, ::-1])


def places(geometry: Geometry) -> np.ndarray:
    """Return where voxels lie from the middle of the grid, mm, along its axes."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(geometry.shape, geometry.spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def sphere(geometry: Geometry) -> tuple[np.ndarray, tuple[int, ...]]:
    return np.linalg.norm(places(geometry), axis=-1) <= 14, tuple(n // 2 for n in geometry.shape)


def ellipsoid(geometry: Geometry) -> tuple[np.ndarray, tuple[int, ...]]:
    turned = places(geometry) @ TURNED / np.array([26.0, 13.0, 9.0])
    return np.linalg.norm(turned, axis=-1) <= 1, tuple(n // 2 for n in geometry.shape)


def tube(geometry: Geometry) -> tuple[np.ndarray, tuple[int, ...]]:
    turned = places(geometry) @ TURNED
    across = np.linalg.norm(turned[..., 1:], axis=-1)
    return (across <= 7) & (np.abs(turned[..., 0]) <= 24), tuple(n // 2 for n in geometry.shape)


def shell(geometry: Geometry) -> tuple[np.ndarray, tuple[int, ...]]:
    away = np.linalg.norm(places(geometry), axis=-1)
    index = np.unravel_index(int(np.argmin(np.abs(away - 24))), away.shape)
    return (away >= 19) & (away <= 29), tuple(int(n) for n in index)


def scan(truth: np.ndarray, geometry: Geometry, noise: float, contrast: float = 400.0) -> Volume:
    values = truth * contrast - 70 + np.random.default_rng(3).normal(0, 1, truth.shape) * noise
    return Volume(values.astype(np.float32), geometry)


def one_click(volume: Volume, index: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(volume.geometry.shape, bool)
    request = EngineRequest(volume, (Prompt.point(volume.geometry.to_world(index)),), mask.copy())
    update = RegionEngine().predict(request, Monitor(1))
    mask[update.box] = update.mask
    return mask


#: One of each shape, grid and noise; all together in the slow tests.
FEW = [(sphere, SPACINGS[1], 60.0), (ellipsoid, SPACINGS[2], 5.0), (tube, SPACINGS[1], 0.0), (shell, SPACINGS[0], 5.0)]


@pytest.mark.parametrize(
    ("shape", "spacing", "noise"), few_together(FEW, [sphere, ellipsoid, tube, shell], SPACINGS, [0.0, 5.0, 60.0])
)
def test_one_click_finds_what_has_a_clear_outline(shape, spacing, noise) -> None:
    geometry = grid(spacing)
    truth, index = shape(geometry)
    assert truth[index]
    assert dice(one_click(scan(truth, geometry, noise), index), truth) >= 0.95


def test_dark_things_are_found_like_bright_ones() -> None:
    geometry = grid(SPACINGS[1])
    truth, index = ellipsoid(geometry)
    assert dice(one_click(scan(truth, geometry, 5.0, contrast=-300.0), index), truth) >= 0.95


def test_the_border_lies_halfway_between_inside_and_outside() -> None:
    """Partial volume counts: a ball sampled from 27 points a voxel has the volume of the ball."""
    geometry = grid(SPACINGS[0])
    inside = np.zeros(geometry.shape)
    for offset in np.ndindex(3, 3, 3):
        shifted = places(geometry) + (np.array(offset) - 1.0) / 3
        inside += np.linalg.norm(shifted, axis=-1) <= 9.3
    volume = Volume((inside / 27 * 400).astype(np.float32), geometry)
    mask = one_click(volume, tuple(n // 2 for n in geometry.shape))
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 9.3**3, rel=0.02)


@pytest.mark.parametrize("kind", ["noise", "ramp", "constant"])
def test_nothing_is_found_where_nothing_has_an_outline(kind: str) -> None:
    geometry = grid(SPACINGS[1])
    values = {
        "noise": np.random.default_rng(1).normal(0, 20, geometry.shape),
        "ramp": places(geometry) @ np.array([3.0, 5.0, 7.0]),
        "constant": np.full(geometry.shape, 41.0),
    }[kind]
    volume = Volume(values.astype(np.float32), geometry)
    assert stable_region(volume, np.array([[n // 2 for n in geometry.shape]]), Monitor(1)) is None


def test_what_reaches_beyond_180_mm_is_left_to_others() -> None:
    geometry = Geometry.from_parts((40, 40, 40), (12.0, 12.0, 12.0), (0, 0, 0), np.eye(3)[:, ::-1])
    truth = np.zeros(geometry.shape, bool)
    truth[8:32, 8:32, 1:39] = True
    assert stable_region(scan(truth, geometry, 0.0), np.array([[20, 20, 20]]), Monitor(1)) is None


def test_it_answers_first_clicks_and_lines_only() -> None:
    geometry = grid(SPACINGS[1])
    truth, index = sphere(geometry)
    volume, nothing = scan(truth, geometry, 5.0), np.zeros(geometry.shape, bool)
    to_world = geometry.to_world
    first = Prompt.point(to_world(index))
    line = Prompt.scribble([to_world(index), to_world(np.add(index, (0, 3, 2)))])
    asked = {
        "click": EngineRequest(volume, (first,), nothing),
        "line": EngineRequest(volume, (line,), nothing),
        "exclude": EngineRequest(volume, (Prompt.point(to_world(index), positive=False),), nothing),
        "second": EngineRequest(volume, (first, first), nothing),
        "begun": EngineRequest(volume, (first,), truth),
        "locked": EngineRequest(volume, (first,), nothing, truth),
    }
    answered = {name for name, request in asked.items() if clear_object(request, Monitor(1)) is not None}
    assert answered == {"click", "line"}


def test_values_that_are_no_numbers_are_not_part_of_it() -> None:
    geometry = grid(SPACINGS[1])
    truth, index = sphere(geometry)
    volume = scan(truth, geometry, 5.0)
    values = np.array(volume.array)
    hole = np.linalg.norm(places(geometry) - (0.0, 6.0, 0.0), axis=-1) <= 3
    values[hole] = np.nan
    mask = one_click(Volume(values, geometry), index)
    assert not (mask & hole).any()
    assert dice(mask, truth & ~hole) >= 0.9


def test_it_can_be_cancelled() -> None:
    class Set:
        def is_set(self) -> bool:
            return True

    geometry = grid(SPACINGS[1])
    truth, index = sphere(geometry)
    with pytest.raises(CancelledError):
        stable_region(scan(truth, geometry, 5.0), np.array([index]), Monitor(1, cancel=Set()))

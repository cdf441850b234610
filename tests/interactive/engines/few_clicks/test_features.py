"""What is known of a voxel beside the newest mark: measured by the way from that mark to the border of the object."""

from pathlib import Path

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.decision import Decision
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine
from napari_radcnn.interactive.engines.few_clicks.features import NAMES, Known
from napari_radcnn.interactive.engines.few_clicks.network import SIZE_BINS
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Axes of unlike spacing, none of them the patient's.
TURN, _ = np.linalg.qr(np.array([[0.9, -0.3, 0.1], [0.28, 0.95, 0.0], [-0.1, 0.05, 0.99]]))
GEOMETRY = Geometry.from_parts(
    (36, 60, 56), (1.5, 0.9, 1.1), (-31.0, 12.0, 5.0), (TURN * np.sign(np.diag(TURN)))[:, ::-1]
)
SPACING = np.asarray(GEOMETRY.spacing)
MIDDLE = np.array([17, 24, 27])
RADIUS = 9.0


class EmptyEngine(FewClicksEngine):
    """Its network sees nothing anywhere."""

    def __init__(self) -> None:
        weights = {"0.weight": np.zeros((1, len(NAMES)), np.float32), "0.bias": np.zeros(1, np.float32)}
        super().__init__(decision=Decision.of(weights, Path("d.safetensors")))

    def ask(self, channels, monitor):
        return np.full(channels.shape[1:], -6, np.float32), np.zeros(SIZE_BINS, np.float32)


def distance(at: np.ndarray) -> np.ndarray:
    """Return how far every voxel of the scan is from one, mm."""
    grid = np.moveaxis(np.indices(GEOMETRY.shape), 0, -1) - at
    return np.sqrt(((grid * SPACING) ** 2).sum(-1))


BALL = distance(MIDDLE) <= RADIUS


def known(image: np.ndarray, current: np.ndarray, *clicks: tuple[np.ndarray, bool]) -> Known:
    prompts = tuple(Prompt.point(GEOMETRY.to_world(at), positive=positive) for at, positive in clicks)
    request = EngineRequest(Volume(image.astype(np.float32), GEOMETRY), prompts, current)
    return EmptyEngine().know(request, Monitor(1))[0]


def feature(of: Known, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a feature, and the indices in the scan of where they stand."""
    lattice = of.lattice
    indices = np.moveaxis(np.indices(lattice.shape), 0, -1).reshape(-1, 3)
    return of.features[NAMES.index(name)].ravel(), lattice.back(indices)


FLAT = np.random.default_rng(1).normal(100, 3, GEOMETRY.shape)


@pytest.mark.parametrize(("offset", "positive"), [(16, True), (0, False), (20, True)])
def test_one_is_the_way_from_the_newest_mark_to_the_border(offset: int, positive: bool) -> None:
    at = MIDDLE + np.array([0, offset, 0])
    to_border = abs(offset * SPACING[1] - RADIUS)
    values, places = feature(known(FLAT, BALL, (MIDDLE, True), (at, positive)), "within_newest")
    apart = np.linalg.norm((places - at) * SPACING, axis=1)
    wanted = (1 if positive else -1) * np.exp(-apart / to_border)
    near = apart < 2 * to_border
    assert near.sum() > 200
    # The border of a mask is known to a voxel, which counts for more the nearer the mark is to it.
    assert np.abs(values - wanted)[near].max() < 0.4 * SPACING.max() / to_border
    assert (np.sign(values) == (1 if positive else -1)).all()


def test_a_first_mark_says_nothing_of_a_border() -> None:
    of = known(FLAT, np.zeros(GEOMETRY.shape, bool), (MIDDLE, True))
    for name in ("within_newest", "within_ways"):
        assert not feature(of, name)[0].any()


def test_ways_stop_at_an_edge_that_a_straight_line_crosses() -> None:
    at = MIDDLE + np.array([0, 18, 0])
    image = FLAT.copy()
    image[:, :, at[2] + 4 :] += 400  # a wall beside the mark, not between it and the object
    of = known(image, BALL, (MIDDLE, True), (at, True))
    straight, places = feature(of, "within_newest")
    ways, _ = feature(of, "within_ways")
    beside = [np.linalg.norm((places - (at + np.array([0, 0, step]))) * SPACING, axis=1).argmin() for step in (-7, 7)]
    assert straight[beside[0]] == pytest.approx(straight[beside[1]], abs=0.05)
    assert ways[beside[0]] > 3 * ways[beside[1]]


def test_depth_is_the_way_to_the_nearest_voxel_on_the_other_side() -> None:
    """Told in finest voxels here, where the network sees nothing, and two of them at most."""
    of = known(FLAT, BALL, (MIDDLE, True))
    assert of.lattice.is_fine
    depths, at = feature(of, "depth_before")
    at = np.rint(at).astype(int)
    belongs = BALL[tuple(at.T)]
    places = at * SPACING
    near = np.linalg.norm(places - MIDDLE * SPACING, axis=1) < RADIUS + 3
    for side in (True, False):
        of_side, others = np.flatnonzero(near & (belongs == side))[::7], places[belongs != side]
        ways = np.array([np.sqrt(((others - places[n]) ** 2).sum(1).min()) for n in of_side])
        expected = np.minimum(ways / SPACING.min(), 2) * (1 if side else -1)
        np.testing.assert_allclose(depths[of_side], expected, atol=1e-4)


def test_a_scan_that_is_the_object_as_a_whole_is_deep_everywhere() -> None:
    of = known(FLAT, np.ones_like(BALL), (MIDDLE, True))
    assert (feature(of, "depth_before")[0] == 2).all()
    assert np.isfinite(of.features).all()

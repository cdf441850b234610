"""What puts nodules into scans for the figures of lung-nodules: where they lie, how large and how dense they are."""

import numpy as np
import pytest

synthetic = pytest.importorskip(
    "benchmarks.models.lung_nodules.synthetic", reason="the benchmarks lie in the repository only"
)
from napari_radcnn.geometry import Geometry  # noqa: E402
from napari_radcnn.phantom import rotation  # noqa: E402
from napari_radcnn.volume import Volume  # noqa: E402

TILTED = Geometry.from_parts((90, 110, 120), (1.5, 1.1, 1.0), (-50.0, 20.0, 7.0), rotation(12, -8, 20)[:, ::-1])


@pytest.fixture(scope="module")
def lung():
    """A ball of lung in flesh, and where it is."""
    index = np.stack(np.meshgrid(*map(np.arange, TILTED.shape), indexing="ij"), axis=-1)
    away = np.linalg.norm(TILTED.to_world(index) - TILTED.to_world((45.0, 55.0, 60.0)), axis=-1)
    hu = np.where(away < 45, -850, 40).astype(np.int16)
    return Volume(hu, TILTED), away < 45


def test_nodules_lie_where_they_say_and_nothing_else_changes(lung):
    scan, mask = lung
    lungs = synthetic.look_at(scan, mask)
    worse, put = synthetic.insert(scan, lungs, 6, np.random.default_rng(3))
    again, _ = synthetic.insert(scan, lungs, 6, np.random.default_rng(3))
    assert np.array_equal(worse.array, again.array)
    assert len(put) >= 4
    changed = np.argwhere(worse.array != scan.array)
    places = TILTED.to_world(changed)
    near = np.full(len(places), np.inf)
    for one in put:
        near = np.minimum(near, np.linalg.norm(places - one.detection.center, axis=1) - one.detection.size[0] / 2)
        low, high = synthetic.SIZES[one.size]
        assert low <= one.detection.size[0] <= high
    assert near.max() < 13  # strands reach that far at most


@pytest.mark.parametrize(("kind", "low", "high"), [("solid", -60, 120), ("ground-glass", -740, -520)])
def test_a_nodule_has_the_density_and_the_volume_of_its_kind(lung, kind, low, high):
    scan, _ = lung
    volumes = []
    for seed in range(4):
        hu = scan.array.astype(np.float32)
        center = TILTED.to_world((45.0, 55.0, 60.0))
        synthetic._add(hu, scan, center, 18.0, kind, np.random.default_rng(seed))
        assert low < hu[45, 55, 60] < high
        share = (hu - scan.array) / (hu[45, 55, 60] + 850)
        volumes.append(float(share.sum()) * TILTED.voxel_volume)
    assert np.median(volumes) == pytest.approx(np.pi / 6 * 18**3, rel=0.35)

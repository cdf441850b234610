"""What the network says of a place lies where it belongs, however the scan is stored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.lattice import carried
from napari_radcnn.models.ct_organs import around
from napari_radcnn.models.ct_organs.network import CLASSES
from napari_radcnn.progress import Monitor
from napari_radcnn.suitability.judge import Suitability
from napari_radcnn.volume import Volume
from trunk import AXIAL, trunk

LIVER, HEART = CLASSES.index("liver"), CLASSES.index("heart")
#: A window is 144 x 192 x 288 mm: less than this scan along every axis.
UPRIGHT = Geometry.from_parts((90, 96, 120), (2.5, 2.2, 2.6), (-150.0, -90.0, 40.0), np.eye(3)[:, ::-1])
PLACE = (-30.0, 20.0, 140.0)  # LPS mm


class _Predictor:
    """Says liver where the scan is brighter than 40 HU, heart where it is darker than -40."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, channels: np.ndarray) -> np.ndarray:
        self.asked += 1
        logits = np.zeros((len(CLASSES), *channels.shape[1:]), np.float32)
        logits[LIVER] = np.where(channels[0] > 0.04, 12, -12)
        logits[HEART] = np.where(channels[0] < -0.04, 12, -12)
        return logits

    def close(self) -> None:
        """Nothing is held."""


def _blocks(geometry: Geometry) -> Volume:
    """Return liver and heart beside each other, each unlike its mirror image, around `PLACE`."""
    x, y, z = (geometry.to_world(np.moveaxis(np.indices(geometry.shape), 0, -1)) - PLACE).transpose(3, 0, 1, 2)
    hu = np.zeros(geometry.shape, np.float32)
    hu[(x > -10) & (x < 45) & (y > -20) & (y < 30) & (z > -12) & (z < 33)] = 100
    hu[(x > -60) & (x < -20) & (y > 0) & (y < 35) & (z > -45) & (z < -5)] = -300
    return Volume(hu, geometry)


def _around(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> tuple[around.OrgansAround, _Predictor]:
    monkeypatch.setattr(around, "judge", lambda spec, volumes: Suitability())
    asked = around.OrgansAround(RunSettings())
    predictor = _Predictor()
    monkeypatch.setattr(asked, "_predictor", predictor)
    asked.prepare(volume, Monitor(1))
    return asked, predictor


ORIENTATIONS = ["SPL", "IAR", "LPS", "RAI", "PSL", "AIL"]
ALL = ["".join(letters) for axes in itertools.permutations(("SI", "PA", "LR")) for letters in itertools.product(*axes)]


@pytest.mark.parametrize(
    "letters",
    [*ORIENTATIONS, *(pytest.param(name, marks=pytest.mark.slow) for name in ALL if name not in ORIENTATIONS)],
)
def test_classes_stand_where_the_scan_shows_them(letters: str, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = UPRIGHT.reoriented(UPRIGHT.axis_map(letters))
    assert geometry.orientation == letters
    volume = _blocks(geometry)
    asked, _ = _around(volume, monkeypatch)
    shares = asked.around(geometry.to_index(PLACE), Monitor(1))
    assert shares is not None
    at = shares.lattice.back(np.moveaxis(np.indices(shares.lattice.shape), 0, -1))
    x, y, z = (geometry.to_world(at) - PLACE).transpose(3, 0, 1, 2)
    inside = {
        LIVER: (x > -10) & (x < 45) & (y > -20) & (y < 30) & (z > -12) & (z < 33),
        HEART: (x > -60) & (x < -20) & (y > 0) & (y < 35) & (z > -45) & (z < -5),
    }
    found = shares.values.argmax(0)
    for number, truth in inside.items():
        assert truth.sum() > 500
        assert np.count_nonzero((found == number) != truth) < 0.2 * truth.sum()  # borders, at 3 mm
        middle = [np.median(axis[found == number]) for axis in (x, y, z)]
        np.testing.assert_allclose(middle, [np.median(axis[truth]) for axis in (x, y, z)], atol=1.6)
    np.testing.assert_allclose(shares.values.sum(0), 1, atol=1e-5)


def test_a_place_is_looked_at_once_and_every_place_lies_in_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, predictor = _around(_blocks(UPRIGHT), monkeypatch)
    for place in ((0, 0, 0), (89, 95, 119), (45, 40, 60), (45, 41, 60)):
        shares = asked.around(np.array(place, float), Monitor(1))
        assert shares is not None
        at = shares.lattice.index(place)
        assert ((at > -1) & (at < shares.lattice.shape)).all()
    assert predictor.asked == 3


def test_a_small_scan_is_filled_up_with_air_that_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = Geometry.from_parts((20, 60, 50), (2.0, 1.5, 1.5), (-60.0, -30.0, 110.0), np.eye(3)[:, ::-1])
    volume = _blocks(geometry)
    asked, _ = _around(volume, monkeypatch)
    shares = asked.around(np.array([10.0, 30.0, 25.0]), Monitor(1))
    assert shares is not None
    assert shares.lattice.shape == (13, 30, 25)
    liver = carried(shares.values[LIVER], shares.lattice, shares.lattice.whole(geometry.shape), outside=0.0) > 0.5
    assert np.count_nonzero(liver != (volume.array > 40)) < 0.2 * np.count_nonzero(volume.array > 40)


def test_another_scan_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = _blocks(UPRIGHT)
    asked, predictor = _around(volume, monkeypatch)
    at = UPRIGHT.to_index(PLACE)
    assert asked.around(at, Monitor(1)).values[LIVER].max() > 0.9
    asked.prepare(volume.with_array(np.zeros_like(volume.array)), Monitor(1))
    assert asked.around(at, Monitor(1)).values[LIVER].max() < 0.1
    assert predictor.asked == 2


def test_nothing_is_said_of_what_is_no_ct_of_a_trunk() -> None:
    scan, _ = trunk(AXIAL)
    gray = scan.with_array((scan.array + 1024).clip(0))
    asked = around.OrgansAround(RunSettings())
    asked.prepare(gray, Monitor(1))
    assert asked.around(np.array([5.0, 5.0, 5.0]), Monitor(1)) is None
    asked.close()
    assert asked.around(np.array([5.0, 5.0, 5.0]), Monitor(1)) is None

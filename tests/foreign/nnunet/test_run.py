"""Our pipeline against the labels of nnU-Net's own predictor, for networks that nnU-Net trained."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

import napari_radcnn as radcnn
from costly import few_of, few_rows
from napari_radcnn.errors import CancelledError, ModelError, OptionError
from napari_radcnn.foreign.nnunet import run as nnunet
from napari_radcnn.foreign.nnunet.open import NnunetOptions, open_nnunet
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.request import Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.progress import Monitor
from nnunet_folder import CHOICES, copied, folder, reference, scan
from sources import CountingSource

#: One fold without mirroring, for what does not hang on these: a sixteenth of the work.
QUICK = {"folds": "0", "mirroring": False}


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second)))


def _worst(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert set(np.unique(theirs)) == {0, 1, 2}
    return min(_dice(ours == value, theirs == value) for value in (1, 2))


@pytest.fixture(scope="module")
def held_out() -> radcnn.Volume:
    return scan()


def _opened(source, patch, settings, *, threads, sample, outputs, monitor, scan):
    assert sample.shape == (source.channels, *patch)
    return TorchPredictor(source.torch_module(), source.spatial_dims, "float32", 1), ()


@pytest.fixture
def on_torch(monkeypatch):
    """Compute in float32 with torch on the CPU, whatever else there is."""
    monkeypatch.setattr(nnunet, "open_predictor", _opened)


@pytest.fixture(scope="module")
def quick(held_out) -> np.ndarray:
    """The labels that the settings `QUICK` give."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nnunet, "open_predictor", _opened)
        labels = radcnn.segment(held_out, folder(), QUICK).array
    labels.setflags(write=False)
    return labels


def _options(choice: str) -> tuple[str, dict]:
    configuration, folds = choice.split("/")
    folds, _, rest = folds.partition("_")
    return configuration, {"folds": folds.replace("-", ","), "mirroring": not rest}


# -- as nnU-Net does it ---------------------------------------------------------------------------------------------


def test_the_references_are_of_folds_stages_and_mirroring():
    assert {choice.split("/")[0] for choice in CHOICES} == {"3d_fullres", "3d_lowres", "3d_cascade_fullres"}
    assert {"3d_fullres/0-1", "3d_fullres/0", "3d_fullres/0-1_nomirror"} <= set(CHOICES)


@pytest.mark.parametrize(
    "choice", few_of(CHOICES, "3d_fullres/0-1_nomirror", "3d_lowres/all", "3d_cascade_fullres/all_nomirror")
)
def test_labels_are_those_of_nnunet_s_predictor(held_out, on_torch, choice):
    configuration, options = _options(choice)
    found = radcnn.segment(held_out, folder(configuration), options, device="cpu")
    assert found.array.shape == held_out.shape
    assert found.geometry.is_close(held_out.geometry)
    assert _worst(found.array, reference(choice)) >= 0.9995


def test_the_choices_differ_among_themselves():
    # Else the test before would not see folds or mirroring that are left out.
    both = reference("3d_fullres/0-1")
    for other in ("3d_fullres/0", "3d_fullres/1", "3d_fullres/0-1_nomirror", "3d_cascade_fullres/all"):
        assert _worst(reference(other), both) < 0.995


def test_whatever_backend_is_chosen_agrees(held_out):
    found = radcnn.segment(held_out, folder(), device="cpu")
    # Less precise than float32 where the computer has it; the labels are of a few hundred voxels.
    assert _worst(found.array, reference("3d_fullres/0-1")) >= 0.99
    facts = found.provenance["facts"]
    assert facts["folds"] == ["0", "1"]
    assert facts["mirrored_axes"] == [0, 1, 2]


@pytest.mark.slow
def test_nothing_said_is_nnunet_s_own_choice(held_out, on_torch):
    found = radcnn.segment(held_out, folder())
    assert _worst(found.array, reference("3d_fullres/0-1")) >= 0.9995


# -- where the scan lies in memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", few_of(["RAS", "IPL", "SAR"], "IPL"))
def test_turned_scans_give_turned_labels_where_the_model_turns_them(held_out, on_torch, quick, orientation):
    spec = open_nnunet(folder())
    turning = replace(spec, network=replace(spec.network, orientation="SAR"))
    expected = radcnn.segment(held_out, turning, QUICK).array
    turned = held_out.reoriented(orientation)
    found = radcnn.segment(turned, turning, QUICK).array
    assert np.array_equal(held_out.geometry.axis_map(orientation).invert(found), expected)
    # As stored, another order of axes is another scan to the network.
    assert _worst(expected, quick) < 0.9995


def test_the_orientation_can_be_left_as_stored(held_out, on_torch, quick):
    stored = radcnn.segment(held_out, folder(), QUICK | {"orientation": "stored"}).array
    assert np.array_equal(stored, quick)


@pytest.mark.parametrize(
    ("option", "letters"), few_rows([("RAS", "SAR"), ("LAS", "SAL"), ("LPS", "SPL")], ("LAS", "SAL"))
)
def test_the_orientation_can_be_chosen(held_out, on_torch, option, letters):
    spec = open_nnunet(folder())
    turning = replace(spec, network=replace(spec.network, orientation=letters))
    chosen = radcnn.segment(held_out, spec, QUICK | {"orientation": option}).array
    assert np.array_equal(chosen, radcnn.segment(held_out, turning, QUICK).array)


def test_transposed_axes_come_back(held_out, on_torch, quick):
    # The scan with its axes exchanged, and a model told to exchange them back, is the same run.
    spec = open_nnunet(folder())
    exchanged = held_out.reoriented(_letters(held_out, (1, 2, 0)))
    back = replace(spec, network=replace(spec.network, transpose=(2, 0, 1)))
    found = radcnn.segment(exchanged, back, QUICK).array
    assert np.array_equal(found.transpose(2, 0, 1), quick)


def _letters(volume: radcnn.Volume, order: tuple[int, int, int]) -> str:
    return "".join(volume.geometry.orientation[n] for n in order)


def test_a_frame_of_zeros_is_cut_off_and_stays_background(held_out, on_torch, quick):
    framed = np.zeros(tuple(n + 9 for n in held_out.shape), held_out.dtype)
    framed[2:-7, 5:-4, 3:-6] = held_out.array
    wider = radcnn.Volume(framed, radcnn.Geometry(framed.shape, held_out.geometry.affine), held_out.metadata)
    found = radcnn.segment(wider, folder(), QUICK).array
    assert np.array_equal(found[2:-7, 5:-4, 3:-6], quick)
    assert np.count_nonzero(found) == np.count_nonzero(quick)


def test_what_is_no_number_is_said(held_out, on_torch):
    assert radcnn.segment(held_out, folder(), QUICK).warnings == ()
    holed = held_out.array.astype(np.float32)
    holed[3, 4, 5] = np.nan
    found = radcnn.segment(held_out.with_array(holed), folder(), QUICK)
    assert any("not finite" in text and "saw -1024 (air)" in text for text in found.warnings)
    assert found.array[3, 4, 5] == 0


def test_a_scan_smaller_than_a_patch_is_labelled(held_out, on_torch):
    small = held_out.array[6:10, 12:30, 10:25]
    cut = radcnn.Volume(small, radcnn.Geometry(small.shape, held_out.geometry.affine), held_out.metadata)
    assert radcnn.segment(cut, folder(), QUICK).array.shape == small.shape


# -- block by block -------------------------------------------------------------------------------------------------


class _Sink:
    """Keeps what is written, and dies after some marks."""

    def __init__(self, shape, dies_after: int | None = None) -> None:
        self.array = np.full(shape, 99, np.uint8)
        self.mark_reached = 0
        self.begun_at: int | None = None
        self._left = dies_after

    def write(self, box, values) -> None:
        first = box[0].start
        self.begun_at = first if self.begun_at is None else min(first, self.begun_at)
        self.array[box] = values

    def mark(self, reached: int) -> None:
        self.mark_reached = reached
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt


def _request(volume: radcnn.Volume, configuration: str = "3d_fullres", sink=None) -> Request:
    spec = open_nnunet(folder(configuration))
    options = NnunetOptions(mirroring=False, folds="0" if configuration == "3d_fullres" else "")
    return Request(spec, volume, options, RunSettings("cpu", "float32"), 1, sink=sink)


@pytest.mark.parametrize("configuration", few_of(["3d_fullres", "3d_cascade_fullres"], "3d_cascade_fullres"))
def test_labels_can_be_streamed(held_out, on_torch, configuration):
    expected = nnunet.run(_request(held_out, configuration), Monitor(1)).array
    sink = _Sink(held_out.shape)
    outcome = nnunet.run(_request(held_out, configuration, sink), Monitor(1))
    assert outcome.array is None
    assert np.array_equal(sink.array, expected)
    assert sink.mark_reached == held_out.shape[0]


def test_a_run_that_was_killed_goes_on_where_it_was(held_out, on_torch, quick):
    sink = _Sink(held_out.shape, dies_after=4)
    with pytest.raises(KeyboardInterrupt):
        nnunet.run(_request(held_out, sink=sink), Monitor(1))
    reached = sink.mark_reached
    assert 0 < reached < held_out.shape[0]
    sink.begun_at, sink._left = None, None
    again = Monitor(1)
    nnunet.run(_request(held_out, sink=sink), again)
    assert sink.begun_at == reached
    assert 0 < again.total < nnunet.plan(_request(held_out)).patches
    assert np.array_equal(sink.array, quick)


def test_little_memory_gives_the_same_labels(held_out, on_torch, quick, monkeypatch):
    for budget in ("blending_budget", "keeping_budget"):
        monkeypatch.setattr(nnunet, budget, lambda: 40_000)
    found = radcnn.segment(held_out, folder(), QUICK).array
    assert _worst(found, quick) >= 0.9995


# -- plan, options, errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("configuration", few_of(["3d_fullres", "3d_cascade_fullres"], "3d_cascade_fullres"))
def test_the_plan_counts_the_patches_that_are_computed(held_out, on_torch, configuration):
    planned = nnunet.plan(_request(held_out, configuration))
    monitor = Monitor(planned.patches)
    nnunet.run(_request(held_out, configuration), monitor)
    assert monitor.done == monitor.total == planned.patches > 10


def test_fast_mode_says_that_it_differs(held_out, on_torch):
    planned = radcnn.plan(held_out, folder(), {"mode": "fast"})
    assert planned.patches < radcnn.plan(held_out, folder()).patches
    assert any("labels differ from those of nnU-Net" in text for text in planned.warnings)
    found = radcnn.segment(held_out, folder(), {"mode": "fast"})
    assert found.provenance["facts"]["mirrored_axes"] == []
    assert 0.8 < _worst(found.array, reference("3d_fullres/0-1")) < 0.9995


@pytest.mark.parametrize("mode", ["fast", "reference"])
def test_fast_mode_leaves_out_patches_of_air_and_finds_nothing_there(held_out, on_torch, monkeypatch, mode):
    k, j, i = held_out.shape
    noise = np.random.default_rng(0).normal(-1000.0, 40.0, (k, j, 3 * i)).astype(np.float32)
    noise[..., :i] = held_out.array
    wide = replace(held_out, array=noise, geometry=radcnn.Geometry(noise.shape, held_out.geometry.affine))
    calls = []
    compute = TorchPredictor.__call__
    monkeypatch.setattr(TorchPredictor, "__call__", lambda self, patch: (calls.append(1), compute(self, patch))[1])
    options = QUICK | {"mode": mode}
    patches = radcnn.plan(wide, folder(), options).patches
    found = radcnn.segment(wide, folder(), options)
    facts = found.provenance["facts"]
    if mode == "reference":
        assert len(calls) == patches
        assert "patches_of_air_skipped" not in facts
        return
    assert len(calls) == patches - facts["patches_of_air_skipped"]
    assert facts["patches_of_air_skipped"] > 0.4 * patches
    # The last patch that reaches into the scan is 24 voxels wide on a grid of about that spacing.
    assert not found.array[..., 2 * i :].any()
    assert found.array[..., :i].any()


def test_voxels_much_longer_than_in_training_are_said(held_out):
    affine = held_out.geometry.affine @ np.diag([4.0, 1.0, 1.0, 1.0])
    coarse = replace(held_out, geometry=radcnn.Geometry(held_out.shape, affine))
    assert any(
        "14.9 mm; the model was trained at" in text or "mm; the model was trained at" in text
        for text in radcnn.plan(coarse, folder()).warnings
    )
    assert not any("mm; the model was trained at" in text for text in radcnn.plan(held_out, folder()).warnings)


@pytest.mark.parametrize("configuration", ["3d_fullres", "3d_lowres", "3d_cascade_fullres"])
def test_a_grid_out_of_all_proportion_is_refused_before_the_run(held_out, configuration):
    affine = held_out.geometry.affine @ np.diag([10.0, 10.0, 10.0, 1.0])  # cm for mm
    coarse = replace(held_out, geometry=radcnn.Geometry(held_out.shape, affine))
    for call in (radcnn.plan, radcnn.segment):
        with pytest.raises(
            ModelError, match=r"would turn the 20 x 39 x 47 voxels of .* into \d+ x \d+ x \d+: .*100 times"
        ):
            call(coarse, folder(configuration))


@pytest.mark.parametrize("folds", ["2", "0,7", "best", "all"])
def test_a_fold_that_was_not_trained_is_named(held_out, folds):
    with pytest.raises(OptionError, match=f"no fold '{folds.split(',')[-1]}'; it has: 0, 1"):
        radcnn.segment(held_out, folder(), {"folds": folds})


def test_weights_that_changed_after_opening_are_refused(held_out, tmp_path):
    dataset = copied(tmp_path)
    spec = open_nnunet(dataset)
    with (folder(dataset=dataset) / "fold_0" / "checkpoint_final.pth").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelError, match="has changed since the model was opened"):
        radcnn.segment(held_out, spec)


def test_cancel_ends_it_between_two_patches(held_out, on_torch):
    cancel, told = threading.Event(), []

    def progress(done, total, message):
        told.append(done)
        if done == 3:
            cancel.set()

    with pytest.raises(CancelledError):
        radcnn.segment(held_out, folder(), QUICK, progress=progress, cancel=cancel)
    assert max(told) == 3


def test_a_scan_that_stays_in_its_store_is_never_loaded(held_out, on_torch, quick, monkeypatch):
    for budget in ("blending_budget", "keeping_budget"):  # nothing is made at once
        monkeypatch.setattr(nnunet, budget, lambda: 300_000)
    lazy = radcnn.Volume.lazy(CountingSource(held_out.array), held_out.geometry, held_out.metadata)
    sink = _Sink(held_out.shape)
    nnunet.plan(_request(lazy))
    nnunet.run(_request(lazy, sink=sink), Monitor(1))
    assert not lazy.is_loaded
    assert _worst(sink.array, quick) >= 0.9995

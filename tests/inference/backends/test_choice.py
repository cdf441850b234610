from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn import user_folders as remembered
from napari_radcnn.errors import ModelError, ResourceError
from napari_radcnn.inference.backends import (
    BackendError,
    OutOfMemoryError,
    candidates,
    choice,
    hardware,
    open_predictor,
)
from napari_radcnn.inference.backends.candidates import Candidate
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.progress import Monitor
from toy_networks import ToySource, affine, smooth_noise, unet

PATCH = (8, 12, 10)
SAMPLE = smooth_noise((1, *PATCH))
TORCH = tuple(Candidate("torch", precision) for precision in ("bfloat16", "float32"))


@pytest.fixture(autouse=True)
def _processor_with_bfloat16(monkeypatch):
    monkeypatch.setattr(candidates, "_on", lambda device: TORCH)


@pytest.fixture
def opened(monkeypatch):
    """Return the list of candidates that were opened."""
    real, seen = choice._open, []

    def spy(candidate, *arguments, **more):
        seen.append(candidate)
        return real(candidate, *arguments, **more)

    monkeypatch.setattr(choice, "_open", spy)
    return seen


def run(source, settings=None, sample=SAMPLE, **more):
    return open_predictor(source, PATCH, settings or RunSettings(), threads=1, sample=sample, **more)


def test_the_fastest_that_agrees_is_taken_and_remembered(opened):
    source = ToySource(unet())
    predictor, warnings = run(source, tolerance=0.9)
    assert (predictor.precision, warnings) == ("bfloat16", ())
    assert 0.9 < predictor.agreement <= 1
    assert opened == [Candidate("torch", "bfloat16"), Candidate("torch", "float32")]
    opened.clear()
    again, _ = run(source, tolerance=0.9, sample=None)
    assert (again.precision, again.agreement) == ("bfloat16", predictor.agreement)
    assert opened == [Candidate("torch", "bfloat16")]  # without a comparison


def test_another_network_patch_or_tolerance_is_compared_anew(opened):
    run(ToySource(unet()), tolerance=0.9)
    for source, patch, tolerance in [(unet(1), PATCH, 0.9), (unet(), (8, 12, 14), 0.9), (unet(), PATCH, 0.91)]:
        opened.clear()
        sample = smooth_noise((1, *patch))
        open_predictor(ToySource(source), patch, RunSettings(), threads=1, sample=sample, tolerance=tolerance)
        assert Candidate("torch", "float32") in opened


def test_without_a_sample_nothing_less_than_float32_is_taken_unless_asked_for():
    predictor, _ = run(ToySource(unet()), sample=None)
    assert (predictor.precision, predictor.agreement) == ("float32", None)
    predictor, _ = run(ToySource(unet()), RunSettings(precision="bfloat16"), sample=None)
    assert (predictor.precision, predictor.agreement) == ("bfloat16", None)


def wrong_backend(change):
    """Return a `_open` whose bfloat16 gives changed outputs."""

    class Wrong(TorchPredictor):
        def __call__(self, patch):
            output = super().__call__(patch)
            return change(output) if self.precision == "bfloat16" else output

    def open_wrong(candidate, source, patch, threads, is_compared):
        return Wrong(source.torch_module(), source.spatial_dims, candidate.precision, threads)

    return open_wrong


@pytest.mark.parametrize("change", [lambda x: x[::-1], lambda x: x * np.nan, lambda x: x[:, :, ::-1]])
def test_a_wrong_backend_is_dropped_with_a_warning_each_time(monkeypatch, change):
    monkeypatch.setattr(choice, "_open", wrong_backend(change))
    for _ in range(2):
        predictor, (warning,) = run(ToySource(unet()))
        assert (predictor.precision, predictor.agreement) == ("float32", 1.0)
        assert warning.startswith("PyTorch in bfloat16 gives ")
        assert warning.endswith("so it was not used.")


THREE = tuple(Candidate(*way) for way in [("openvino", "bfloat16"), ("torch", "bfloat16"), ("torch", "float32")])


@pytest.fixture
def timed(monkeypatch):
    """Return seconds a patch by backend, to be changed; three ways to compute, all with torch in fact."""
    seconds, seen = {"openvino": 1.0, "torch": 1.0}, []

    class Named(TorchPredictor):
        changed = staticmethod(lambda output: output)

        def __init__(self, backend, *arguments):
            super().__init__(*arguments)
            self.backend = backend

        def __call__(self, patch):
            output = super().__call__(patch)
            return self.changed(output) if (self.backend, self.precision) == ("torch", "bfloat16") else output

    def open_named(candidate, source, patch, threads, is_compared):
        seen.append(candidate)
        return Named(candidate.backend, source.torch_module(), source.spatial_dims, candidate.precision, threads)

    monkeypatch.setattr(candidates, "_on", lambda device: THREE)
    monkeypatch.setattr(choice, "_open", open_named)
    monkeypatch.setattr(choice, "_timed", lambda predictor, sample: seconds[predictor.backend])
    return seconds, seen, Named


@pytest.mark.parametrize(("torch_seconds", "expected"), [(0.5, "torch"), (0.9, "openvino"), (3.0, "openvino")])
def test_of_those_that_agree_a_clearly_faster_one_is_taken_and_remembered(timed, torch_seconds, expected):
    seconds, seen, _ = timed
    seconds["torch"] = torch_seconds
    predictor, warnings = run(ToySource(unet()), tolerance=0.9)
    assert (predictor.backend, predictor.precision, warnings) == (expected, "bfloat16", ())
    assert 0.9 < predictor.agreement <= 1
    seen.clear()
    again, _ = run(ToySource(unet()), tolerance=0.9)
    assert (again.backend, again.agreement) == (expected, predictor.agreement)
    assert seen == [Candidate(expected, "bfloat16")]


def fail(output):
    raise BackendError("it cannot.")


@pytest.mark.parametrize("change", [lambda output: output[::-1], fail])
def test_a_faster_one_that_is_wrong_is_not_taken_and_nobody_is_told(timed, change):
    seconds, _, named = timed
    seconds["torch"] = 0.1
    named.changed = staticmethod(change)
    predictor, warnings = run(ToySource(unet()), tolerance=0.9)
    assert (predictor.backend, predictor.precision, warnings) == ("openvino", "bfloat16", ())
    assert predictor(SAMPLE).shape == (3, *PATCH)


def test_where_a_patch_is_quick_no_other_is_tried(timed):
    seconds, seen, _ = timed
    seconds.update(openvino=0.2, torch=0.01)
    assert run(ToySource(unet()), tolerance=0.9)[0].backend == "openvino"
    assert seen == [THREE[0], THREE[2]]


def test_a_processor_is_not_tried_against_a_card(timed, monkeypatch):
    _, seen, _ = timed
    monkeypatch.setattr(choice, "cuda_name", lambda: "card")
    ways = (Candidate("cuda", "bfloat16"), *THREE)
    monkeypatch.setattr(candidates, "_on", lambda device: ways)
    monkeypatch.setattr(choice, "_timed", lambda predictor, sample: 9.0)
    run(ToySource(unet()), tolerance=0.9)
    assert set(seen) == {ways[0], THREE[2]}


def test_a_precision_that_is_asked_for_is_taken_with_a_warning(monkeypatch):
    monkeypatch.setattr(choice, "_open", wrong_backend(lambda x: x[::-1]))
    predictor, warnings = run(ToySource(unet()), RunSettings(precision="bfloat16"))
    assert predictor.precision == "bfloat16"
    assert predictor.agreement < 0.9
    assert "because this precision was requested" in warnings[-1]


def test_a_backend_that_cannot_be_opened_is_passed_over(monkeypatch):
    def refuse(candidate, source, patch, threads, is_compared):
        if candidate.precision == "bfloat16":
            raise BackendError("no such kernel.")
        return TorchPredictor(source.torch_module(), source.spatial_dims, candidate.precision, threads)

    monkeypatch.setattr(choice, "_open", refuse)
    predictor, warnings = run(ToySource(unet()))
    assert predictor.precision == "float32"
    assert warnings == ("PyTorch in bfloat16 was not used: no such kernel.",)
    with pytest.raises(ModelError, match="no such kernel"):
        run(ToySource(unet()), RunSettings(precision="bfloat16"))


def test_a_backend_that_fails_at_its_first_patch_is_passed_over(monkeypatch):
    monkeypatch.setattr(choice, "_open", wrong_backend(fail))
    predictor, warnings = run(ToySource(unet()))
    assert (predictor.precision, warnings) == ("float32", ("PyTorch in bfloat16 was not used: it cannot.",))


def test_a_precision_that_is_not_there_says_what_is(monkeypatch):
    with pytest.raises(ResourceError, match=r"cannot run this network in float16; .*: float32, bfloat16\."):
        run(ToySource(unet()), RunSettings(precision="float16"))
    monkeypatch.setattr(candidates, "_on", lambda device: TORCH[1:])
    with pytest.raises(ResourceError, match=r"in bfloat16; it supports: float32\."):
        run(ToySource(unet()), RunSettings(precision="bfloat16"))


def test_a_device_that_is_not_there_is_an_error(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="does not find a CUDA device"):
        run(ToySource(unet()), RunSettings(device="cuda"))


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_card_without_room_is_passed_over_unless_it_was_asked_for(monkeypatch, device):
    monkeypatch.setattr(candidates, "device_name", lambda settings: "cuda")
    monkeypatch.setattr(
        candidates, "_on", lambda device: (Candidate("cuda", "float16"),) if device == "cuda" else TORCH
    )
    monkeypatch.setattr(choice, "cuda_name", lambda: "a card")
    real = choice._open

    def full(candidate, *arguments, **more):
        if candidate.backend == "cuda":
            raise OutOfMemoryError("The graphics card is full.")
        return real(candidate, *arguments, **more)

    monkeypatch.setattr(choice, "_open", full)
    if device == "cuda":
        with pytest.raises(OutOfMemoryError):
            run(ToySource(unet()), RunSettings(device="cuda"))
    else:
        predictor, warnings = run(ToySource(unet()), tolerance=0.9)
        assert (predictor.device, predictor.precision) == ("cpu", "bfloat16")
        assert warnings == ("CUDA in float16 was not used: The graphics card is full.",)


def test_what_takes_long_is_said():
    said = []
    run(ToySource(unet()), monitor=Monitor(1, lambda done, total, message: said.append(message)), tolerance=0.9)
    assert said == [
        "preparing the model for PyTorch in bfloat16",
        "computing one patch in float32 for comparison",
        "comparing PyTorch in bfloat16 with float32",
    ]


def test_a_damaged_memory_is_made_anew(opened):
    source = ToySource(affine())
    run(source)
    file = remembered.cache_folder() / "backends.json"
    text = file.read_text()
    file.write_text(text.replace('"bfloat16"', '"int3"'))
    opened.clear()
    assert run(source)[0].precision == "bfloat16"
    assert len(opened) == 2


def test_a_torch_without_cuda_is_known_without_importing_it(monkeypatch):
    monkeypatch.setattr(hardware, "package_version", lambda name: "2.13.0+cpu")
    monkeypatch.setattr(hardware, "torch_device", None)
    assert hardware.device_name(RunSettings()) == "cpu"

"""A graphics card that fails in the middle of a run: the processor goes on with the patch, and the user is told."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends import OutOfMemoryError, late_warnings
from napari_radcnn.inference.backends.fallback import FallingBackPredictor
from napari_radcnn.inference.patches.stream import run_patches
from napari_radcnn.spec.patches import Sampling
from toy_networks import smooth_noise


class TwicePlusOne:
    agreement, measured_on = 1.0, None

    def __init__(self, device: str, error: Exception | None = None, fails_at: int = 10**9) -> None:
        self.device = self.backend = device
        self.precision = "float16" if device == "cuda" else "float32"
        self.calls, self.closed = 0, 0
        self._error, self._fails_at = error, fails_at

    def __call__(self, patch):
        self.calls += 1
        if self.calls >= self._fails_at:
            raise self._error
        return 2 * patch + 1

    def close(self):
        self.closed += 1
        if isinstance(self._error, RuntimeError) and self.calls >= self._fails_at:
            raise RuntimeError("CUDA error: unknown error")


def labels_of(predictor, shape=(20, 18, 22)):
    array = smooth_noise(shape)
    found = np.full(shape, np.nan, np.float32)
    done = 0
    for final, blend in run_patches(
        [predictor], lambda box: array[None, *box], shape, Sampling((8, 8, 8)), classes=1, budget_bytes=1 << 22
    ):
        found[done:final] = blend.read((slice(done, final), slice(0, shape[1]), slice(0, shape[2])))[0]
        blend.release(final)
        done = final
    return array, found


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OutOfMemoryError("no memory"), "ran out of memory"),
        (RuntimeError("CUDA error: the launch timed out"), "failed"),
    ],
)
def test_the_processor_computes_the_rest(error, said):
    card, processor = TwicePlusOne("cuda", error, fails_at=5), TwicePlusOne("cpu")
    predictor = FallingBackPredictor(card, lambda: processor)
    assert (predictor.device, predictor.precision) == ("cuda", "float16")
    array, found = labels_of(predictor)
    assert np.allclose(found, 2 * array + 1, rtol=1e-5)
    assert card.calls == 5  # four answers and the failure
    assert processor.calls > 20
    assert card.closed == 1
    assert (predictor.device, predictor.precision) == ("cpu", "float32")
    (warning,) = late_warnings([predictor, predictor])
    assert said in warning
    predictor.close()
    assert processor.closed == 1


def test_a_card_that_works_is_not_left():
    card = TwicePlusOne("cuda")

    def never():
        raise AssertionError("the processor was opened")

    predictor = FallingBackPredictor(card, never)
    array, found = labels_of(predictor)
    assert np.allclose(found, 2 * array + 1, rtol=1e-5)
    assert late_warnings([predictor]) == []
    predictor.close()
    assert card.closed == 1


def test_an_error_of_the_model_itself_is_passed_on():
    card = TwicePlusOne("cuda", ModelError("closed"), fails_at=1)
    with pytest.raises(ModelError, match="closed"):
        FallingBackPredictor(card, lambda: TwicePlusOne("cpu"))(np.zeros((1, 2, 2, 2), np.float32))


def test_an_error_on_the_processor_is_passed_on():
    card = TwicePlusOne("cuda", OutOfMemoryError("no memory"), fails_at=1)
    processor = TwicePlusOne("cpu", OutOfMemoryError("none here either"), fails_at=1)
    with pytest.raises(OutOfMemoryError, match="none here"):
        FallingBackPredictor(card, lambda: processor)(np.zeros((1, 2, 2, 2), np.float32))

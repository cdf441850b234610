"""What happens when a graphics card fails in the middle of a run: the processor goes on with the same patch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from napari_radcnn.inference.backends.base import BackendError, OutOfMemoryError, Patch, Predictor


class FallingBackPredictor:
    """A predictor on a graphics card, and one on the processor that takes over where the card fails.

    Cards lose their memory to other programs, are reset by their driver, and vanish with a laptop's dock; an hour's run
    need not begin again for it.

    Parameters
    ----------
    predictor : Predictor
        On the card.
    open_next : callable
        Opens the network on the processor.
    """

    def __init__(self, predictor: Predictor, open_next: Callable[[], Predictor]) -> None:
        self._predictor = predictor
        self._open_next: Callable[[], Predictor] | None = open_next
        self.agreement, self.measured_on = predictor.agreement, predictor.measured_on
        #: What the user must be told after the run.
        self.warnings: list[str] = []

    @property
    def backend(self) -> str:
        """Of the predictor that computes now; see `Predictor`."""
        return self._predictor.backend

    @property
    def device(self) -> str:
        """Of the predictor that computes now."""
        return self._predictor.device

    @property
    def precision(self) -> str:
        """Of the predictor that computes now."""
        return self._predictor.precision

    def __call__(self, patch: Patch) -> Patch:
        """Return the answer to a patch; see `Predictor`."""
        if self._open_next is None:
            return self._predictor(patch)
        try:
            return self._predictor(patch)
        except (OutOfMemoryError, BackendError, RuntimeError) as error:  # torch says what a card does as RuntimeError
            cause = "ran out of memory" if isinstance(error, OutOfMemoryError) else "failed"
            self._fall_back(f"The graphics card {cause} during the run; the processor computed the rest.")
        return self._predictor(patch)

    def _fall_back(self, reason: str) -> None:
        open_next, self._open_next = self._open_next, None
        with suppress(RuntimeError):  # a card that is gone cannot give its memory back
            self._predictor.close()
        if open_next is not None:
            self._predictor = open_next()
            self.agreement, self.measured_on = self._predictor.agreement, self._predictor.measured_on
            self.warnings.append(reason)

    def close(self) -> None:
        """Give the memory back."""
        if self._open_next is None:
            self._predictor.close()
            return
        with suppress(RuntimeError):
            self._predictor.close()


def late_warnings(predictors: Iterable[Predictor]) -> list[str]:
    """Return what happened to predictors after they were opened, each text once."""
    texts = (text for one in predictors for text in getattr(one, "warnings", ()))
    return list(dict.fromkeys(texts))

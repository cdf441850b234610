"""A clock for trainings: they end after so many steps on every computer, however busy it is."""


class Ticking:
    """Stands for the module `time`; each look at the clock finds it some seconds later than the one before.

    Parameters
    ----------
    seconds : float
        How much later.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._now = seconds, 0.0

    def monotonic(self) -> float:
        self._now += self._seconds
        return self._now

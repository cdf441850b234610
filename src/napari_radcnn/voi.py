"""From values to gray: display windows, as DICOM defines them (PS3.3, C.11.2), by their function and their table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

VoiFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "TABLE"]
#: The functions that VOILUTFunction may name.
STATED_FUNCTIONS: tuple[VoiFunction, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
#: A sigmoid is drawn over this many widths to either side of its center: there it is within 0.0004 of 0 and 1.
_SIGMOID_REACH = 2.0


@dataclass(frozen=True)
class VoiWindow:
    """A range of values, and how bright each of them is.

    Attributes
    ----------
    center, width : float
        As DICOM states them, in the units of the values; the width is positive. Those of a table are its domain's.
    name : str
        What it is for: ``"abdomen"``; empty where the file does not say.
    function : str
        ``"LINEAR"``, where the upper end is one below that of ``"LINEAR_EXACT"`` (DICOM PS3.3, C.11.2.1.2.1),
        ``"SIGMOID"`` or ``"TABLE"``, an item of VOI LUT Sequence.
    table : tuple of float
        Brightness from 0 to 1 at equal steps over the range; empty unless the function is ``"TABLE"``.

    Examples
    --------
    >>> VoiWindow(40, 400, function="LINEAR_EXACT").limits
    (-160.0, 240.0)
    >>> VoiWindow(40, 400).limits
    (-160.0, 239.0)
    """

    center: float
    width: float
    name: str = ""
    function: VoiFunction = "LINEAR"
    table: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.width) and self.width > 0):
            raise ValueError(f"a window needs a finite center and a positive width, got {self.center}, {self.width}")
        if (self.function == "TABLE") != (len(self.table) > 1):
            raise ValueError("a table is needed by, and only by, the function TABLE")

    @classmethod
    def of_limits(
        cls, limits: tuple[float, float], name: str = "", function: VoiFunction = "LINEAR_EXACT", table: tuple = ()
    ) -> VoiWindow:
        """Return the window whose `limits` are the given ones.

        Parameters
        ----------
        limits : (low, high)
            With ``low < high``.
        name, function, table
            As of the window.
        """
        low, high = float(limits[0]), float(limits[1])
        middle, extent = (low + high) / 2, high - low
        if function == "LINEAR":
            return cls(middle + 0.5, extent + 1, name, function)
        width = extent / (2 * _SIGMOID_REACH) if function == "SIGMOID" else extent
        return cls(middle, width, name, function, table)

    @property
    def limits(self) -> tuple[float, float]:
        """Below the first value all is black, above the second all is white; a sigmoid comes close to it."""
        center, half = self.center, self.width / 2
        if self.function == "LINEAR":  # of width 1 a step: as steep as a display can show
            center, half = center - 0.5, max((self.width - 1) / 2, 1e-3)
        elif self.function == "SIGMOID":
            half = self.width * _SIGMOID_REACH
        return center - half, center + half

    @property
    def is_straight(self) -> bool:
        """Whether brightness rises evenly between the limits."""
        return self.function in ("LINEAR", "LINEAR_EXACT")

    def brightness(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return how bright values are, from 0, black, to 1."""
        low, high = self.limits
        along = (np.asarray(values, np.float64) - low) / (high - low)
        if self.function == "SIGMOID":
            steepness = np.clip(-4 * (np.asarray(values, np.float64) - self.center) / self.width, -700, 700)
            return np.asarray(1 / (1 + np.exp(steepness)))
        if self.function == "TABLE":
            return np.interp(along, np.linspace(0, 1, len(self.table)), self.table)
        return np.clip(along, 0.0, 1.0)

    def curve(self, n_points: int = 256) -> npt.NDArray[np.float64]:
        """Return the brightness at `n_points` equal steps from the lower to the upper limit."""
        return self.brightness(np.linspace(*self.limits, n_points))

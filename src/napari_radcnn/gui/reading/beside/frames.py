"""Views side by side that show the same part of the patient at the same scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.reading.beside.pairs import extent_of

#: How much of a canvas a scan that is shown whole takes.
_PART = 0.95


@dataclass(frozen=True)
class Seat:
    """A view, and the scan in it.

    Attributes
    ----------
    scan : napari layer
        Of the scan.
    model : viewer or ViewerModel
        In 2-D.
    canvas : QWidget
        Where it is shown.
    """

    scan: Any
    model: Any
    canvas: QWidget

    @property
    def axes(self) -> list[int]:
        """The displayed axes, down and to the right, 0 S, 1 P, 2 L."""
        return [int(axis) - (self.model.dims.ndim - 3) for axis in self.model.dims.displayed]

    @property
    def is_flat(self) -> bool:
        """Whether the view shows slices, and has its layers."""
        return bool(self.model.dims.ndisplay == 2 and self.model.dims.ndim >= 3)

    def fitting(self) -> float:
        """Return the zoom that shows the scan whole."""
        low, high = extent_of(self.scan)
        down, right = (high - low)[self.axes]
        return _PART * min(self.canvas.height() / down, self.canvas.width() / right)

    @property
    def center(self) -> npt.NDArray[np.float64]:
        """What is in the middle of the canvas, along the displayed axes, mm."""
        return np.array(self.model.scene.camera.center, float)[-2:]

    def look(self, zoom: float | None, center: npt.NDArray[np.float64] | None) -> None:
        """Set the camera; what is None stays."""
        camera = self.model.scene.camera
        if zoom is not None and not np.isclose(camera.zoom, zoom, rtol=1e-9):
            camera.zoom = zoom
        if center is not None and not np.allclose(self.center, center, atol=1e-9):
            camera.center = (*camera.center[:-2], *center.tolist())

    def look_at_all(self, zoom: float) -> None:
        """Have the middle of the scan in the middle of the canvas."""
        low, high = extent_of(self.scan)
        self.look(zoom, ((low + high) / 2)[self.axes])


def fit(seats: Sequence[Seat], *, is_one_scale: bool) -> None:
    """Show the scans of a row of views whole, all at one scale or each as large as its canvas allows."""
    zooms = [seat.fitting() for seat in seats]
    for seat, zoom in zip(seats, zooms, strict=True):
        seat.look_at_all(min(zooms) if is_one_scale else zoom)


class Framing:
    """Keeps the cameras of views that lie beside each other together.

    Parameters
    ----------
    rows : callable
        Returns the views that lie beside each other.
    away : callable
        Returns how far places of a scan, along S, P, L, are from the same ones of the first scan, mm; None where that
        is not known, or of no use.
    is_linked : callable
        Whether all views have one scale.
    """

    def __init__(
        self,
        rows: Callable[[], list[list[Seat]]],
        away: Callable[[Any], npt.NDArray[np.float64] | None],
        is_linked: Callable[[], bool],
    ) -> None:
        self._rows, self._away, self._is_linked = rows, away, is_linked
        self._is_busy = False

    def fit(self) -> None:
        """Show all scans whole; at one scale, and the same part of the patient, where that is linked."""
        self._is_busy = True
        is_one_scale = self._is_linked()
        for row in self._rows():
            if all(seat.is_flat for seat in row):
                fit(row, is_one_scale=is_one_scale)
        self._is_busy = False
        for row in self._rows():
            self.follow(row[0].model)

    def on_camera(self, event: Any) -> None:
        """Follow a camera that was moved."""
        for row in () if self._is_busy else self._rows():
            for seat in row:
                if seat.model.scene.camera is event.source:
                    self.follow(seat.model)

    def follow(self, source: Any) -> None:
        """Give the views beside one its scale, and its part of the patient where positions are linked, too."""
        if self._is_busy or not self._is_linked():
            return
        row = next((row for row in self._rows() if any(seat.model is source for seat in row)), [])
        leader = next((seat for seat in row if seat.model is source), None)
        if leader is None or not all(seat.is_flat for seat in row):
            return
        self._is_busy = True
        own = self._away(leader.scan)
        for seat in row:
            away = self._away(seat.scan)
            if seat is not leader:
                center = None if own is None or away is None else leader.center + (away - own)[leader.axes]
                seat.look(float(source.scene.camera.zoom), center)
        self._is_busy = False

"""A viewer whose planes are turned and thickened with a real mouse and keys."""

from __future__ import annotations

import numpy as np

from napari_radcnn.gui.reading import planes
from reading_room import Reading, canvas_of
from screens import pump


class Cutting(Reading):
    """A viewer with scans, three linked planes, and the rings on their cross-hairs."""

    def __init__(self, make_napari_viewer, qtbot, *volumes, layout="three"):
        super().__init__(make_napari_viewer, qtbot, *volumes)
        self.room.choose_layout(layout)
        pump()
        self.desk = self.room.desk

    @property
    def cuts(self):
        return self.desk.cuts

    def model(self, plane):
        return next(model for model in self.room.layouts.models if planes.plane_of(model) == plane)

    def view(self, plane):
        """Return what covers a plane; None where nothing does."""
        return self.desk.view_of(self.model(plane))

    def widget(self, plane):
        """Return what the mouse is over in a plane."""
        model = self.model(plane)
        if self.desk.view_of(model) is not None:
            return self.desk.view_of(model)
        pane = next((pane for pane in self.room.layouts.panes if pane.model is model), None)
        return self.canvas if pane is None else canvas_of(pane)

    def cross(self, plane):
        """Return where the cross-hair of a plane is painted, in pixels from the upper left corner."""
        widget = self.widget(plane)
        return np.array([widget.width(), widget.height()]) / 2 + self.room._corners(self.model(plane)).cross

    def turn(self, plane, degrees):
        """Drag a ring on the cross-hair of a plane by degrees, clockwise."""
        widget, corners = self.widget(plane), self.room._corners(self.model(plane))
        middle, reach = self.cross(plane), corners.reach * min(widget.width(), widget.height())
        for arm in (*corners.arms, *(tuple(-part for part in arm) for arm in corners.arms)):
            start = np.degrees(np.arctan2(arm[1], arm[0]))
            first = middle + reach * np.array(arm)
            if (first > 5).all() and (first < np.array([widget.width(), widget.height()]) - 5).all():
                break
        angles = np.radians(start + np.linspace(0, degrees, 6))
        self.drag([tuple(middle + reach * np.array([np.cos(a), np.sin(a)])) for a in angles], canvas=widget)
        self.settle()

    def settle(self):
        """Wait until every pixel is sampled."""
        self.qtbot.waitUntil(lambda: all(view.is_exact and not view.is_waiting for view in self.desk.awake))

    def at(self, plane, right, down):
        """Return the pixel of a covered plane that is mm right of and below its cross-hair, and its place, LPS mm."""
        view = self.view(plane)
        middle = np.array([view.width(), view.height()]) / 2
        place = self.cuts.center + view.frame.in_patient(right, down)
        return tuple(view.pixel(place) + middle), place

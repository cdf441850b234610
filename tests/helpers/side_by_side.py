"""A viewer with scans side by side, a real mouse over each view, and keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from qtpy.QtCore import Qt

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.phantom import FIELD_COEFFICIENTS, oblique_geometry, world_field
from napari_radcnn.volume import VolumeMetadata
from reading_room import CONTROL, PLAIN, SHIFT, Reading, canvas_of
from screens import pump

ALT_SHIFT = Qt.KeyboardModifier.AltModifier | SHIFT
#: Oblique and anisotropic, and no two of one shape.
NOW, BEFORE = oblique_geometry((9, 14, 17)), oblique_geometry((12, 11, 15))
#: What lies between the same places of two scans, LPS mm, where nothing says so.
APART = np.array((6.5, -11.25, 23.0))


def scan(grid, name, **known):
    """Return a scan of the closed form of positions."""
    known = {"modality": "CT", "units": "HU"} | known
    return replace(world_field(grid), metadata=VolumeMetadata(name=name, **known))


def moved(grid, by):
    affine = grid.affine.copy()
    affine[:3, 3] += by
    return Geometry(grid.shape, affine)


class SideBySide(Reading):
    """Scans side by side; the last one is the first to be seen."""

    def __init__(self, make_napari_viewer, qtbot, *volumes, key=(Qt.Key.Key_F8, SHIFT)):
        super().__init__(make_napari_viewer, qtbot, *volumes)
        for layer in self.layers[:-1]:
            layer.visible = False
        self.viewer.layers.selection.active = self.layers[-1]
        self.beside = self.room.beside
        pump()
        if key is not None:
            self.key(*key)

    @property
    def side(self):
        return self.beside.panes[0]

    @property
    def side_canvas(self):
        return canvas_of(self.side)

    def message(self):
        return self.beside.bar.message_label.text()

    def here(self):
        """Return the place that the viewer's own canvas shows, LPS mm."""
        return np.array(self.viewer.dims.point)[-3:][::-1]

    def there(self, number=0):
        """Return the place under the cross-hair of a view at the side, LPS mm, by where it is painted."""
        pane = self.beside.panes[number]
        right, down = self.room._corners(pane.model).cross
        camera, point = pane.model.scene.camera, np.array(pane.model.dims.point, float)
        signs = [-1 if str(side) in ("up", "left") else 1 for side in camera.orientation[1:]]
        point[list(pane.model.dims.displayed)] = (
            np.array(camera.center)[-2:] + np.array([down, right]) * signs / camera.zoom
        )
        return point[-3:][::-1]

    def click_side(self, place):
        self.click(self.pixel(place, self.side.model, self.side_canvas), canvas=self.side_canvas)

    def press(self, button):
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        pump(3)

    def go(self, place):
        """Show a place, LPS mm, in the viewer's own canvas."""
        self.viewer.dims.set_point([0, 1, 2], to_display(place).tolist())
        pump(2)


__all__ = [
    "ALT_SHIFT",
    "APART",
    "BEFORE",
    "CONTROL",
    "FIELD_COEFFICIENTS",
    "NOW",
    "PLAIN",
    "SideBySide",
    "moved",
    "scan",
]

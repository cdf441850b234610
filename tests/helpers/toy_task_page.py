"""The page of the viewer for the toy task."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_radcnn.gui.models.pages import Page, PageLayers


class LandmarksPage(Page):
    def __init__(self, viewer):
        self.widget = QLabel()
        self.widget.hide()

    @staticmethod
    def layers(result, scan, layer, progress, cancel):
        return PageLayers(None, notes=("a note",))

    def show(self, result):
        self.widget.setText(", ".join(result.places))
        self.widget.show()

    def clear(self):
        self.widget.hide()

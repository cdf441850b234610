"""The Fusion dock: lay one scan over another in the patient, such as PET over CT."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from threading import Event
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from napari_radcnn.gui.fusion.aligning import AlignBox
from napari_radcnn.gui.fusion.overlay import Fused, fuse, modality_of, shows_activity, suv_factor, units_of
from napari_radcnn.gui.layers.belonging import identity, is_map, made_of, scan_of
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import snapshot
from napari_radcnn.gui.parts.pin import Pin
from napari_radcnn.gui.parts.widgets import LayerCombo, WorkPanel, fill_scrolled, narrow_combo, wrapped_label
from napari_radcnn.gui.reading.show import add_result, watch, words_of
from napari_radcnn.progress import Progress

#: napari's names: from black, so that nothing covers the scan below where the overlay is empty.
_COLORMAPS = ("inferno", "hot", "magma", "bop orange", "magenta", "cyan", "green", "gray")
#: How the overlay's colors and the base are mixed: what is shown, napari's name, and what it does.
_MIXES = (
    ("Add to the base", "additive", "Dark parts of the overlay leave the base unchanged; bright on bright is white"),
    ("Cover the base", "translucent_no_depth", "The opacity sets how much of the base shows through"),
)
#: The usual window of a whole-body FDG scan.
_SUV_WINDOW = (0.0, 5.0)


class FusionDock(QWidget):
    """Puts one layer on the grid of another and shows both through each other.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._fused: weakref.ref[Any] | None = None
        self._n_offered = 0
        self._build()
        watch(napari_viewer)
        self.base_combo.changed.connect(self._on_choice)
        self.overlay_combo.changed.connect(self._on_choice)
        self.overlay_combo.currentIndexChanged.connect(self._on_overlay)
        self._on_overlay()
        self._on_choice()
        self.pin = Pin(napari_viewer, self.overlay_combo, self._layer_for, self._held, self._take, [self.base_combo])
        self._pin_place.addWidget(self.pin)
        self.panel.ended.connect(self.pin.follow)

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.base_combo = LayerCombo(self._viewer, _is_scan)
        self.base_combo.setToolTip("Drawn below, on its own grid; for example a CT")
        self.overlay_combo = LayerCombo(self._viewer, _is_scan)
        self.overlay_combo.setToolTip(
            "Drawn on top, resampled to the base's grid as a new layer; for example a PET or labels"
        )
        form.addRow("Base", self.base_combo)
        form.addRow("Overlay", self.overlay_combo)
        layout.addLayout(form)
        self._pin_place = QVBoxLayout()
        layout.addLayout(self._pin_place)
        self.about_label = wrapped_label()
        layout.addWidget(self.about_label)
        self.panel = WorkPanel("Fuse")
        self.align_box = AlignBox(self._viewer, lambda: (self.base_combo.layer, self.overlay_combo.layer))
        layout.addWidget(self.align_box)
        layout.addWidget(self.panel)
        self.warning_label = wrapped_label(color=WARNING_COLOR)
        self.warning_label.hide()
        layout.addWidget(self.warning_label)
        self._look = QWidget()
        look = QFormLayout(self._look)
        look.setContentsMargins(0, 0, 0, 0)
        look.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.colormap_combo = narrow_combo()
        self.colormap_combo.addItems(list(_COLORMAPS))
        self.opacity_slider = QSlider(Qt.Orientation.Horizontal)
        self.opacity_slider.setRange(0, 100)
        self.opacity_slider.setValue(60)
        self.opacity_label = QLabel("60 %")
        self.opacity_label.setMinimumWidth(self.opacity_label.fontMetrics().horizontalAdvance("100 %"))
        opacity = QHBoxLayout()
        opacity.addWidget(self.opacity_slider)
        opacity.addWidget(self.opacity_label)
        self.mix_combo = narrow_combo()
        for row, (title, name, help_text) in enumerate(_MIXES):
            self.mix_combo.addItem(title, name)
            self.mix_combo.setItemData(row, help_text, Qt.ItemDataRole.ToolTipRole)
        look.addRow("Colors", self.colormap_combo)
        look.addRow("Mix", self.mix_combo)
        look.addRow("Opacity", opacity)
        layout.addWidget(self._look)
        self.window_label = wrapped_label()
        layout.addWidget(self.window_label)
        self.suv_button = QPushButton(f"Window SUV {_SUV_WINDOW[0]:g} to {_SUV_WINDOW[1]:g}")
        self.suv_button.setToolTip("The usual window for a whole-body FDG scan; the values keep their own units")
        self.suv_button.hide()
        layout.addWidget(self.suv_button)
        layout.addStretch()
        fill_scrolled(self, inside)
        self.panel.start_button.clicked.connect(self.fuse)
        self.colormap_combo.currentTextChanged.connect(self._on_colormap)
        self.mix_combo.currentIndexChanged.connect(self._on_mix)
        self.opacity_slider.valueChanged.connect(self._on_opacity)
        self.suv_button.clicked.connect(self._on_suv)

    # -- what is chosen --------------------------------------------------------------------------------------------

    def _choose_first(self) -> None:
        """Offer what is most often meant: the activity over the anatomy, else the second scan over the first."""
        layers = self.overlay_combo.layers
        activity = [layer for layer in layers if shows_activity(layer)]
        anatomy = [layer for layer in layers if not shows_activity(layer)]
        if activity and anatomy:
            self.overlay_combo.choose(activity[0])
            self.base_combo.choose(anatomy[0])
        elif len(layers) > 1:
            self.overlay_combo.choose(layers[1])
            self.base_combo.choose(layers[0])

    def _layer_for(self, layer: Any) -> Any | None:
        """Return the layer that the user turns to, unless it is one of the two already, or what was made of them."""
        chosen = (self.base_combo.layer, self.overlay_combo.layer)
        is_new = layer in self.overlay_combo.layers and layer not in chosen
        return layer if is_new and not is_map(layer) else None

    def _held(self, _layer: Any) -> str:
        """Return why another layer is not taken up now."""
        return "" if self.panel.job is None else "These scans are being fused"

    def _take(self, layer: Any) -> None:
        """Take labels and what shows activity as the overlay, and any other scan as the base; labels over their own."""
        is_over = not _is_gray(layer) or shows_activity(layer)
        (self.overlay_combo if is_over else self.base_combo).choose(layer)
        if not _is_gray(layer):
            self.base_combo.choose(scan_of(layer, self._viewer.layers))

    def _on_choice(self) -> None:
        base, overlay = self.base_combo.layer, self.overlay_combo.layer
        n_offered = min(len(self.base_combo.layers), len(self.overlay_combo.layers))  # one of them follows first
        is_new, self._n_offered = n_offered > self._n_offered, n_offered
        if is_new and base is overlay:
            self._choose_first()
            base, overlay = self.base_combo.layer, self.overlay_combo.layer
        self.panel.set_ready(base is not None and overlay is not None and base is not overlay)
        self.align_box.follow()
        if base is None or len(self.base_combo.layers) < 2:
            self.about_label.setText("Open two scans, or a scan and labels: they then appear in the lists above.")
        elif base is overlay:
            self.about_label.setText("Base and overlay are the same layer: choose two different layers.")
        else:
            self.about_label.setText(
                "Both keep their positions in the patient; only Align moves the overlay. What is fused is a new layer."
            )

    def _on_overlay(self, _index: int = 0) -> None:
        """Offer colors that fit the overlay."""
        overlay = self.overlay_combo.layer
        if overlay is not None and _is_gray(overlay) and self.fused is None:
            self.colormap_combo.setCurrentText("inferno" if shows_activity(overlay) else "bop orange")

    # -- the work --------------------------------------------------------------------------------------------------

    def fuse(self) -> None:
        """Put the overlay on the base's grid, beside the viewer, and add it."""
        base, overlay = self.base_combo.layer, self.overlay_combo.layer
        if base is None or overlay is None or base is overlay or self.panel.job is not None:
            return
        look: dict[str, Any] = {"opacity": self.opacity_slider.value() / 100, "blending": "translucent_no_depth"}
        if _is_gray(overlay):
            colors = self.colormap_combo.currentText()
            limits = tuple(overlay.contrast_limits)
            look |= {"colormap": colors, "blending": self.mix_combo.currentData(), "contrast_limits": limits}
        upper, lower = snapshot(overlay), snapshot(base)

        def work(progress: Progress, cancel: Event) -> Fused:
            return fuse(upper, lower, look, progress=progress, cancel=cancel)

        self.warning_label.hide()
        hidden, below, base_name = weakref.ref(overlay), identity(base), str(base.name)
        self.panel.start(
            "Fusing",
            work,
            lambda fused: self._on_fused(fused, hidden(), below, base_name),
            lambda: "Cancelled; no layer was added.",
        )

    def _on_fused(self, fused: Fused, original: Any, below: Hashable | None, base_name: str) -> str:
        if below not in map(identity, self._viewer.layers):  # it would lie on whatever scan is seen by now
            return f"'{base_name}' was closed; no layer was added."
        name = add_result(self._viewer, made_of(fused.data, below, is_map=True)).name
        # The layer itself: what `add_layer` returns to a plugin is a proxy that nothing else keeps alive.
        layer = next(one for one in self._viewer.layers if one.name == name)
        self.warning_label.setText("\n".join(f"⚠ {warning}" for warning in fused.warnings))
        self.warning_label.setVisible(bool(fused.warnings))
        self._fused = weakref.ref(layer)
        if _is_gray(layer):
            layer.events.contrast_limits.connect(self._update_window)
        self._update_window()
        line = f"Done: {words_of(layer)}"
        if layer.visible and original is not None and original.visible:
            original.visible = False  # it would cover the base where it lies above it
            line += f". '{original.name}' itself is unchanged and hidden; click the eye in the layer list to show it."
        return line

    # -- how the result looks --------------------------------------------------------------------------------------

    @property
    def fused(self) -> Any | None:
        """The layer that was made last, while it is in the viewer."""
        layer = None if self._fused is None else self._fused()
        return layer if layer is not None and layer in self._viewer.layers else None

    def _on_colormap(self, name: str) -> None:
        layer = self.fused
        if layer is not None and _is_gray(layer):
            layer.colormap = name

    def _on_mix(self, _index: int) -> None:
        layer = self.fused
        if layer is not None and _is_gray(layer):
            layer.blending = self.mix_combo.currentData()

    def _on_opacity(self, percent: int) -> None:
        self.opacity_label.setText(f"{percent} %")
        layer = self.fused
        if layer is not None:
            layer.opacity = percent / 100

    def _on_suv(self) -> None:
        layer = self.fused
        factor = None if layer is None else suv_factor(layer)
        if layer is not None and factor:
            layer.contrast_limits = tuple(suv / factor for suv in _SUV_WINDOW)

    def _update_window(self, _event: Any = None) -> None:
        """Say which values the colors span, for a PET also as SUV."""
        layer = self.fused
        if layer is None or not _is_gray(layer):
            self.window_label.setText("")
            self.suv_button.hide()
            return
        low, high = layer.contrast_limits
        text = f"Colors span {_short(low)} to {_short(high)} {units_of(layer)}".rstrip()
        factor = suv_factor(layer)
        if factor:
            text += f", which is SUVbw {low * factor:.3g} to {high * factor:.3g}"
        elif modality_of(layer) == "PT":
            text += "; the scan lacks the data needed for SUV"
        self.window_label.setText(f"{text}.")
        self.suv_button.setVisible(bool(factor))


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _is_scan(layer: Any) -> bool:
    from napari.layers import Image, Labels

    return isinstance(layer, Image | Labels)


def _is_gray(layer: Any) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image) and not layer.rgb

"""A form generated from a dataclass of settings: the same that the command line's options are generated from."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_radcnn.spec.options import OptionField, describe

_LARGEST = 1_000_000_000


class OptionsForm(QWidget):
    """One row a setting, each with a widget of magicgui.

    Parameters
    ----------
    options : type
        A dataclass of settings, see `napari_radcnn.spec.options`.
    """

    changed = Signal()

    def __init__(self, options: type, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options = options
        self._widgets = {field.name: _widget(field) for field in describe(options)}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)  # a dock is narrow
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for field in describe(options):
            label = QLabel(field.title)
            label.setToolTip(field.help)
            layout.addRow(label, self._widgets[field.name].native)
            self._widgets[field.name].changed.connect(self._on_edit)

    @property
    def editors(self) -> dict[str, QWidget]:
        """What is clicked and typed into, by the name of the setting."""
        return {name: widget.native for name, widget in self._widgets.items()}

    def value(self) -> Any:
        """Return the settings as the dataclass.

        Raises
        ------
        OptionError
            If they do not go together.
        """
        kinds = {field.name: field.kind for field in describe(self._options)}
        return self._options(**{name: kinds[name](widget.value) for name, widget in self._widgets.items()})

    def _on_edit(self, *_: Any) -> None:
        self.changed.emit()


def _widget(field: OptionField) -> ValueWidget:
    """Return the widget for one setting, which holds its default."""
    shared = {"value": field.default, "tooltip": field.help}
    if field.kind is bool:
        return CheckBox(**shared)
    if field.kind in (int, float):
        return _number(field, shared)
    if field.choices:
        return ComboBox(choices=field.choices, **shared)
    return LineEdit(**shared)


def _number(field: OptionField, shared: dict[str, Any]) -> FloatSpinBox:
    """Return the widget for a number, whole ones too: magicgui's SpinBox shows no unit and clamps while one types."""
    low = -_LARGEST if field.low is None else field.low
    high = _LARGEST if field.high is None else min(field.high, _LARGEST)
    step = field.step or (1 if field.kind is int else 0.1)
    number = FloatSpinBox(min=low, max=high, step=step, **shared)
    number.native.setDecimals(0 if field.kind is int else 1 if 0.1 <= step < 1 else 2)
    number.native.setSuffix(f" {field.unit}" if field.unit else "")
    return number

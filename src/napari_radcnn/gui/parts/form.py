"""A form generated from a dataclass of settings: the same that the command line's options are generated from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QLineEdit, QSpinBox, QWidget

from napari_radcnn.spec.options import OptionField, describe

_LARGEST = 1_000_000_000


class OptionsForm(QWidget):
    """One row a setting.

    Parameters
    ----------
    options : type
        A dataclass of settings, see `napari_radcnn.spec.options`.
    """

    changed = Signal()

    def __init__(self, options: type, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options = options
        self._read: dict[str, Callable[[], Any]] = {}
        self.editors: dict[str, QWidget] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for field in describe(options):
            editor, read = self._editor(field)
            editor.setToolTip(field.help)
            label = QLabel(field.title)
            label.setToolTip(field.help)
            layout.addRow(label, editor)
            self._read[field.name] = read
            self.editors[field.name] = editor

    def value(self) -> Any:
        """Return the settings as the dataclass.

        Raises
        ------
        OptionError
            If they do not go together.
        """
        return self._options(**{name: read() for name, read in self._read.items()})

    def _editor(self, field: OptionField) -> tuple[QWidget, Callable[[], Any]]:
        """Return the widget for one setting and the function that reads it."""
        if field.kind is bool:
            box = QCheckBox()
            box.setChecked(field.default)
            box.toggled.connect(self._on_edit)
            return box, box.isChecked
        if field.kind is int:
            whole = QSpinBox()
            whole.setRange(*(int(bound) for bound in _bounds(field)))
            whole.setSingleStep(int(field.step or 1))
            whole.setValue(field.default)
            whole.setSuffix(f" {field.unit}" if field.unit else "")
            whole.valueChanged.connect(self._on_edit)
            return whole, whole.value
        if field.kind is float:
            number = QDoubleSpinBox()
            step = field.step or 0.1
            number.setDecimals(2 if step < 0.1 else 1 if step < 1 else 2)
            number.setRange(*_bounds(field))
            number.setSingleStep(step)
            number.setValue(field.default)
            number.setSuffix(f" {field.unit}" if field.unit else "")
            number.valueChanged.connect(self._on_edit)
            return number, number.value
        if field.choices:
            combo = QComboBox()
            combo.addItems(list(field.choices))
            combo.setCurrentText(field.default)
            combo.currentTextChanged.connect(self._on_edit)
            return combo, combo.currentText
        line = QLineEdit(field.default)
        line.editingFinished.connect(self._on_edit)
        return line, line.text

    def _on_edit(self, *_: Any) -> None:
        self.changed.emit()


def _bounds(field: OptionField) -> tuple[float, float]:
    return (
        -_LARGEST if field.low is None else field.low,
        _LARGEST if field.high is None else min(field.high, _LARGEST),
    )

"""What is done with every case of a cohort: the options of a model, and which column of the list holds each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QVBoxLayout, QWidget

from napari_radcnn.cohort import CaseList, read_chain
from napari_radcnn.cohort.cases import IMAGE, inputs_for
from napari_radcnn.cohort.chain import resolve, wanted_columns
from napari_radcnn.cohort.chain.kinds import OPERATIONS
from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.parts.form import OptionsForm
from napari_radcnn.gui.parts.section import Section
from napari_radcnn.gui.parts.widgets import narrow_combo
from napari_radcnn.models import ModelSpec
from napari_radcnn.spec.options import describe


class InputColumns(QWidget):
    """One list of columns for each input of what is done."""

    def __init__(self) -> None:
        super().__init__()
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)  # the panel is narrow
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.combos: dict[str, QComboBox] = {}
        self.show_for((), None)

    def show_for(self, wanted: Sequence[str], cases: CaseList | None) -> None:
        """Offer the columns of a list for inputs; those that are called alike are chosen, and else none."""
        while self._form.rowCount():
            self._form.removeRow(0)
        self.combos = {}
        columns = () if cases is None else cases.columns
        for name in wanted if columns else ():
            combo = self.combos[name] = narrow_combo()
            combo.setMinimumContentsLength(8)
            combo.setToolTip(f"The column of the list that holds '{name}' of each case")
            combo.addItem("choose a column", "")
            for column in columns:
                combo.addItem(column, column)
            combo.setCurrentIndex(max(0, combo.findData(_column_of(name, cases))))
            self._form.addRow(name, combo)
        self.setVisible(bool(self.combos))

    def mapping(self) -> dict[str, str]:
        """Return the column of each input for which one is chosen."""
        return {name: str(combo.currentData()) for name, combo in self.combos.items() if combo.currentData()}


class ModelChoices(QWidget):
    """The options of a model, folded until they are wanted, and whether it runs on scans it was not made for."""

    def __init__(self) -> None:
        super().__init__()
        inside = QWidget()
        self._place = QVBoxLayout(inside)
        self._place.setContentsMargins(0, 0, 0, 0)
        self.anyway_box = QCheckBox("Also scans that it was not made for")
        self.anyway_box.setToolTip("Otherwise such a case fails, and its note gives the reason")
        self._place.addWidget(self.anyway_box)
        self.form: OptionsForm | None = None
        self.section = Section("Options", inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.section)
        self.hide()

    def show_for(self, spec: ModelSpec | None) -> None:
        """Offer the options of a model; of other operations, and of a chain, there are none here."""
        if self.form is not None:
            self._place.removeWidget(self.form)
            self.form.hide()
            self.form.deleteLater()
            self.form = None
        if spec is not None and describe(spec.options):
            self.form = OptionsForm(spec.options)
            self._place.insertWidget(0, self.form)
        self.setVisible(spec is not None)

    def options(self) -> Mapping[str, Any] | None:
        """Return the options by name; None where there are none.

        Raises
        ------
        OptionError
            If they do not go together.
        """
        if self.form is None:
            return None
        value = self.form.value()
        return {entry.name: getattr(value, entry.name) for entry in describe(type(value))}

    @property
    def anyway(self) -> bool:
        """Whether the model runs on whatever scans."""
        return not self.isHidden() and self.anyway_box.isChecked()


def wanted_of(what: str, spec: ModelSpec | None) -> tuple[str, ...]:
    """Return the inputs that come from the list, for a model, an operation or the path of a chain."""
    if spec is not None:
        return tuple(slot.name for slot in spec.inputs) or (IMAGE,)
    if what in OPERATIONS:
        return tuple(OPERATIONS[what].inputs)
    try:
        return wanted_columns(resolve(read_chain(Path(what))))
    except RadcnnError:  # Run says what is wrong with it
        return ()


def _column_of(name: str, cases: CaseList | None) -> str:
    if cases is None:
        return ""
    try:
        return inputs_for(cases, (name,))[name]
    except RadcnnError:
        return ""

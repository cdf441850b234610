"""Where work is done: on this computer, or by the workers of a cluster."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_radcnn.cohort.cluster.certificates import default_folder
from napari_radcnn.cohort.cluster.connecting import parsed
from napari_radcnn.errors import OptionError
from napari_radcnn.gui.parts.widgets import narrow_combo

HERE, CLUSTER = "This computer", "Cluster"


class WhereBox(QWidget):
    """A choice between this computer and a cluster, whose address and certificates are asked for then."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.where_combo = narrow_combo()
        self.where_combo.addItems([HERE, CLUSTER])
        self.where_combo.setToolTip("Where it is computed; scans go to a cluster encrypted, and results come back")
        form.addRow("Where", self.where_combo)
        self.address_line = QLineEdit()
        self.address_line.setPlaceholderText("tls://host:8786")
        self.certificates_line = QLineEdit(str(default_folder()))
        self.certificates_line.setToolTip("Folder made by `radcnn cohort certificates`")
        for line in (self.address_line, self.certificates_line):
            line.setMinimumWidth(60)
        self.choose_button = QPushButton("…")
        self.choose_button.setMaximumWidth(30)
        self._inside = QWidget()
        inner = QFormLayout(self._inside)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        inner.addRow("Scheduler", self.address_line)
        certificates = QHBoxLayout()
        certificates.addWidget(self.certificates_line)
        certificates.addWidget(self.choose_button)
        inner.addRow("Certificates", certificates)
        form.addRow(self._inside)
        self._inside.hide()
        self.where_combo.currentIndexChanged.connect(self._on_where)
        self.address_line.editingFinished.connect(self.changed)
        self.certificates_line.editingFinished.connect(self.changed)
        self.choose_button.clicked.connect(self._choose)

    @property
    def is_cluster(self) -> bool:
        """Whether it is a cluster."""
        return bool(self.where_combo.currentText() == CLUSTER)

    def cluster(self) -> tuple[str, Path | None] | None:
        """Return the address of the scheduler and the folder of certificates; None for this computer.

        Raises
        ------
        OptionError
            If the address is none, or plain TCP to another computer.
        """
        if not self.is_cluster:
            return None
        address = self.address_line.text().strip()
        if not address:
            raise OptionError("Enter the address of the scheduler, such as tls://cluster:8786.")
        parsed(address)
        folder = self.certificates_line.text().strip()
        return address, Path(folder).expanduser() if folder else None

    def _on_where(self) -> None:
        self._inside.setVisible(self.is_cluster)
        self.changed.emit()

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of certificates", self.certificates_line.text())
        if chosen:
            self.certificates_line.setText(chosen)
            self.changed.emit()

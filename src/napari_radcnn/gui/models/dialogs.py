"""What the Models dock asks: whether a model's code may run, and which of those found on the computer is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QMessageBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.foreign.nnunet.local import LocalModel
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.models.foreign import NeedsInstall, NeedsTrust, is_pack
from napari_radcnn.gui.models.text import foreign_card, own_card, tip
from napari_radcnn.gui.parts.widgets import wrapped_label
from napari_radcnn.models import ModelSpec

#: The most pieces of code that are listed.
_MOST_REASONS = 8


def ask_for_trust(parent: QWidget, wanted: NeedsTrust, then: Callable[[bool], None]) -> QMessageBox:
    """Say what code a model would run, and call `then` with whether the user wants that."""
    shown = [f"•  {reason[:200]}" for reason in wanted.reasons[:_MOST_REASONS]]
    if len(wanted.reasons) > _MOST_REASONS:
        shown.append(f"•  and {len(wanted.reasons) - _MOST_REASONS} more")
    box = QMessageBox(parent)
    box.setObjectName("radcnn_trust")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("Run this model's code?")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    half = len(wanted.sha256) // 2
    kept = "You will be asked again each time the model is opened."
    if is_pack(wanted.path):
        kept = "A model installed from a pack stays trusted on this computer."
    box.setText(f"'{wanted.path.name}' contains code of its own, which has not been run:\n\n" + "\n".join(shown))
    box.setInformativeText(
        "That code could read, change or send whatever you can on this computer. Allow it only if you trust its "
        "authors and the source you got it from.\n\nSHA-256, to compare with the one published by its "
        f"authors:\n{wanted.sha256[:half]}\n{wanted.sha256[half:]}\n\n{kept}"
    )
    run = box.addButton("Open and run its code", QMessageBox.ButtonRole.AcceptRole)
    refuse = box.addButton("Do not open", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(refuse)
    box.setEscapeButton(refuse)
    box.finished.connect(lambda _code: then(box.clickedButton() is run))
    box.open()
    return box


def ask_to_install(parent: QWidget, wanted: NeedsInstall, then: Callable[[bool], None]) -> QMessageBox:
    """Say what a model pack holds, and call `then` with whether the user wants it installed."""
    box = QMessageBox(parent)
    box.setObjectName("radcnn_install")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowTitle("Install this model?")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(
        f"{wanted.title[:200]}\nVersion {wanted.version[:60] or 'not stated'}\nLicense: "
        f"{wanted.licence[:200] or 'not stated'}"
    )
    box.setInformativeText(
        f"The pack '{wanted.path.name}' is complete: every file has the SHA-256 listed in the pack. The installed "
        "model stays on this computer until it is removed (radcnn models remove)."
    )
    install = box.addButton("Install", QMessageBox.ButtonRole.AcceptRole)
    refuse = box.addButton("Do not install", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(install)
    box.setEscapeButton(refuse)
    box.finished.connect(lambda _code: then(box.clickedButton() is install))
    box.open()
    return box


def ask_to_run_anyway(
    parent: QWidget, spec: ModelSpec, reasons: Sequence[str], then: Callable[[], None]
) -> QMessageBox:
    """Say why a model does not suit the scan, and call `then` if the user wants to run it all the same."""
    box = QMessageBox(parent)
    box.setObjectName("radcnn_anyway")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("Run this model anyway?")
    box.setTextFormat(Qt.TextFormat.PlainText)
    listed = "\n".join(f"•  {reason[:300]}" for reason in reasons[:_MOST_REASONS])
    box.setText(f"'{spec.title[:100]}' was not made for such a scan:\n\n{listed}")
    box.setInformativeText(
        "Its result for such a scan is meaningless. If you run it anyway, its result is marked as such: in the "
        "layer's name, in the files that are written, and in their manifests."
    )
    run = box.addButton("Run anyway", QMessageBox.ButtonRole.AcceptRole)
    refuse = box.addButton("Do not run", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(refuse)
    box.setEscapeButton(refuse)
    # once the box is done with: what is run may end before a click on it has
    box.finished.connect(lambda _code: QTimer.singleShot(0, then) if box.clickedButton() is run else None)
    box.open()
    return box


def show_card(parent: QWidget, spec: ModelSpec) -> QMessageBox:
    """Show a model's card, or what is known of a model that has none."""
    own = own_card(spec)
    box = QMessageBox(parent)
    box.setObjectName("radcnn_card")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowTitle(f"Model card: {spec.title}")
    # Markdown could dress up a foreign model's text as ours.
    box.setTextFormat(Qt.TextFormat.PlainText if own is None else Qt.TextFormat.MarkdownText)
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    box.setText(foreign_card(spec) if own is None else own)
    box.open()
    return box


class LocalModelsDialog(QDialog):
    """Lists the models of nnU-Net and TotalSegmentator on this computer, with their licenses.

    Parameters
    ----------
    parent : QWidget
        The dock.
    models : sequence of LocalModel
        What is listed.
    open_path : callable
        Called with the path of the one that the user opens.
    """

    def __init__(self, parent: QWidget, models: Sequence[LocalModel], open_path: Callable[[Path], None]) -> None:
        super().__init__(parent)
        self.setObjectName("radcnn_found")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Models found on this computer")
        self.resize(900, 300)
        self._open_path = open_path
        layout = QVBoxLayout(self)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Model", "Configuration", "License of the weights"])
        self.tree.setRootIsDecorated(False)
        self.tree.setWordWrap(True)
        header = self.tree.header()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        header.setMaximumSectionSize(360)
        for model in models:
            self.tree.addTopLevelItem(_row(model))
        layout.addWidget(self.tree)
        note = wrapped_label()
        note.setText("The license is that of the weights: check that it permits your use.")
        layout.addWidget(note)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Close)
        self.open_button = buttons.button(QDialogButtonBox.StandardButton.Open)
        self.open_button.setEnabled(False)
        layout.addWidget(buttons)
        self.tree.itemSelectionChanged.connect(self._on_selected)
        self.tree.itemDoubleClicked.connect(self.accept)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)

    def _on_selected(self) -> None:
        self.open_button.setEnabled(bool(self.tree.selectedItems()))

    def accept(self, *_: object) -> None:
        """Open the selected model."""
        items = self.tree.selectedItems()
        super().accept()
        if items:
            self._open_path(items[0].data(0, Qt.ItemDataRole.UserRole))


def _row(model: LocalModel) -> QTreeWidgetItem:
    number = model.dataset.split("_")[0].removeprefix("Dataset")
    title = f"{model.task} ({number})" if model.task else model.dataset
    item = QTreeWidgetItem([title, model.configuration, model.licence])
    item.setData(0, Qt.ItemDataRole.UserRole, model.path)
    for column in range(3):
        item.setToolTip(column, tip(f"{model.dataset}, folds {', '.join(model.folds)}. {model.licence}. {model.path}"))
    if "non-commercial" in model.licence:
        item.setForeground(2, QColor(WARNING_COLOR))
    return item

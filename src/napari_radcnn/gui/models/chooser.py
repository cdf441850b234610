"""The list of models and the ways a foreign one gets into it: a button, a drop, what is found, what was opened last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QAction, QStandardItemModel
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_radcnn.foreign.nnunet.local import LocalModel, find_nnunet_models
from napari_radcnn.foreign.pack import unusable
from napari_radcnn.gui.models import foreign
from napari_radcnn.gui.models.dialogs import LocalModelsDialog, ask_for_trust, ask_to_install, show_card
from napari_radcnn.gui.models.suited import PLACE_ROLE, ReasonDelegate, forget_reasons, sort_rows
from napari_radcnn.gui.models.text import tip
from napari_radcnn.gui.parts.widgets import WorkPanel, narrow_combo
from napari_radcnn.models import ModelSpec, models
from napari_radcnn.progress import Progress
from napari_radcnn.suitability import Suitability

_FILES = "Models (*.zip *.pt *.pth *.ts *.onnx *.safetensors *.json);;All files (*)"
_FOLDER, _FILE, _FOUND = _WAYS = ("Folder …", "File …", "Found on this computer …")


#: What is chosen before the user chooses: a model that many scans of the head can be tried with.
_FIRST = "brain-extraction"
#: When to try again to sort the list that is open now.
_LATER_MS = 500


class ModelChooser(QWidget):
    """A list of the models, and a button that opens a foreign one beside the viewer.

    Parameters
    ----------
    panel : WorkPanel
        Where opening is told of, and cancelled.
    """

    #: Another model is chosen.
    changed = Signal()

    def __init__(self, panel: WorkPanel) -> None:
        super().__init__()
        self._panel = panel
        self._specs: dict[str, ModelSpec] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.combo = narrow_combo()
        self.combo.setItemDelegate(ReasonDelegate(self.combo))
        self.open_button = QPushButton("Open model …")
        self.open_button.setToolTip(
            "Open a model from elsewhere: an nnU-Net folder, a MONAI bundle, TorchScript, ONNX or safetensors. You "
            "can also drop it here."
        )
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.menu.triggered.connect(self._on_action)
        self.open_button.setMenu(self.menu)
        layout.addWidget(self.combo)
        buttons = QHBoxLayout()
        self.card_button = QPushButton("Model card …")
        self.card_button.setToolTip("Training data, performance and limitations")
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.card_button)
        layout.addLayout(buttons)
        for spec in models():
            if spec.task != "interactive":  # those answer prompts, in a dock of their own
                self._add(spec.name, spec)
        for left in unusable():
            self._add_unusable(left.name, left.reason)
        for path, spec in foreign.opened().items():
            self._add(str(path), spec)
        self.combo.setCurrentIndex(max(0, self.combo.findData(_FIRST)))
        self.combo.currentIndexChanged.connect(self._on_index)
        self.card_button.clicked.connect(self._show_card)

    @property
    def spec(self) -> ModelSpec | None:
        """The chosen model."""
        return self._specs.get(self.combo.currentData())

    @property
    def specs(self) -> dict[str, ModelSpec]:
        """The models that can be chosen, by their key."""
        return dict(self._specs)

    def show_suitability(self, found: Mapping[str, Suitability]) -> None:
        """List the models that fit a scan first, then the doubtful, then the others, with the reasons."""
        if self.combo.view().isVisible():  # rows do not move under the mouse
            QTimer.singleShot(_LATER_MS, lambda: self.show_suitability(found) if isalive(self) else None)
        else:
            sort_rows(self.combo, found)

    def forget_suitability(self) -> None:
        """Take the reasons away, since another scan is chosen."""
        forget_reasons(self.combo)

    def _on_index(self, _index: int) -> None:
        self.changed.emit()

    def _show_card(self) -> None:
        if self.spec is not None:
            show_card(self, self.spec)

    # -- opening ---------------------------------------------------------------------------------------------------

    def open_path(self, path: Path, trust: str | None = None, *, may_install: bool = False) -> None:
        """Open a foreign model beside the viewer and choose it.

        Parameters
        ----------
        path : Path
            Its folder or file.
        trust : str, optional
            The SHA-256 of a model whose code the user lets run.
        may_install : bool
            Whether the user lets a model pack be installed.
        """
        if self._panel.job is not None:
            return

        def work(progress: Progress, _cancel: Event) -> foreign.Opened:
            progress(0, 0, f"Checking {path.name}")
            if not path.exists():
                foreign.forget_path(path)
            return foreign.open_or_ask(path, trust, may_install=may_install)

        self._panel.start(
            f"Opening {path.name}",
            work,
            lambda found: self._on_opened(path, found),
            lambda: "Cancelled; no model was opened.",
        )

    def _on_opened(self, path: Path, opened: foreign.Opened) -> str:
        if isinstance(opened, foreign.NeedsTrust):
            ask_for_trust(self, opened, self._answer(path, opened.sha256))
            return f"{path.name} contains code: it is opened only if you allow it."
        if isinstance(opened, foreign.NeedsInstall):
            ask_to_install(self, opened, self._answer(path, None))
            return f"{path.name} is a model pack."
        if foreign.is_pack(path):
            return self._choose(opened.name, opened, f"Installed: {opened.title}")
        foreign.keep(path, opened)
        foreign.remember_path(path)
        return self._choose(str(path.absolute()), opened, f"Opened: {opened.title}")

    def _choose(self, key: str, spec: ModelSpec, message: str) -> str:
        self._add(key, spec)
        row = self.combo.findData(key)
        if row == self.combo.currentIndex():
            self.changed.emit()  # opened again, and perhaps another one now
        self.combo.setCurrentIndex(row)
        return message

    def _answer(self, path: Path, sha256: str | None) -> Callable[[bool], None]:
        def answer(is_wanted: bool) -> None:
            if is_wanted:
                self.open_path(path, sha256, may_install=True)
            else:
                self._panel.message_label.setText(f"{path.name} was not opened.")

        return answer

    def _add(self, key: str, spec: ModelSpec) -> None:
        self._specs[key] = spec
        row = self.combo.findData(key)
        if row < 0:
            self.combo.addItem(spec.title, key)
            row = self.combo.count() - 1
            self.combo.setItemData(row, row, PLACE_ROLE)
        self.combo.setItemText(row, spec.title)
        about = spec.how_to_install or (spec.summary if spec.origin is None else f"{spec.title}. {key}")
        self.combo.setItemData(row, tip(about), Qt.ItemDataRole.ToolTipRole)
        if not spec.is_available:
            gray = self.palette().brush(self.palette().ColorGroup.Disabled, self.palette().ColorRole.Text)
            self.combo.setItemData(row, gray, Qt.ItemDataRole.ForegroundRole)

    def _add_unusable(self, name: str, reason: str) -> None:
        """Show an installed model that cannot be chosen, and why."""
        self.combo.addItem(f"{name} (cannot be used)")
        row = self.combo.count() - 1
        self.combo.setItemData(row, row, PLACE_ROLE)
        self.combo.setItemData(row, tip(reason), Qt.ItemDataRole.ToolTipRole)
        items = self.combo.model()
        if isinstance(items, QStandardItemModel):
            items.item(row).setEnabled(False)

    # -- the menu --------------------------------------------------------------------------------------------------

    def _fill_menu(self) -> None:
        self.menu.clear()
        for title in _WAYS:
            self.menu.addAction(title).setData(title)
        recent = foreign.recent_paths()
        if recent:
            self.menu.addSeparator()
        for path in recent:
            action = self.menu.addAction(_short(path))
            action.setData(path)
            action.setToolTip(tip(str(path)))
        for action in self.menu.actions():
            action.setEnabled(self._panel.job is None)

    def _on_action(self, action: QAction) -> None:
        chosen = action.data()
        if isinstance(chosen, Path):
            self.open_path(chosen)
        elif chosen == _FOLDER:
            self._choose_folder()
        elif chosen == _FILE:
            self._choose_file()
        elif chosen == _FOUND:
            self.show_local_models()

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a model's folder")
        if folder:
            self.open_path(Path(folder))

    def _choose_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Open a model's file", "", _FILES)
        if file:
            self.open_path(Path(file))

    def show_local_models(self) -> None:
        """List the models of nnU-Net and TotalSegmentator that are on this computer; none is loaded."""
        self._panel.start(
            "Looking for models",
            lambda _progress, _cancel: find_nnunet_models(),
            self._on_local_models,
            lambda: "Cancelled.",
        )

    def _on_local_models(self, models: list[LocalModel]) -> str:
        if not models:
            return (
                "No models in the usual folders of nnU-Net and TotalSegmentator (nnUNet_results, "
                "TOTALSEG_WEIGHTS_PATH, TOTALSEG_HOME_DIR, .totalsegmentator in your home folder). Use Folder … to "
                "open a model elsewhere."
            )
        LocalModelsDialog(self, models, self.open_path).open()
        return f"{len(models)} models found on this computer." if len(models) > 1 else "1 model found on this computer."


def _short(path: Path) -> str:
    """Return the end of a path: a model's folder is often called like others."""
    parts = path.parts[-2:]
    name = "/".join(part if len(part) <= 36 else part[:24] + "…" + part[-11:] for part in parts)
    return name.replace("&", "&&")

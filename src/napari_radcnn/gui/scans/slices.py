"""Whether one slice that was opened means its series: asked once, and the answer kept if the user likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from qtpy.QtWidgets import QCheckBox, QMessageBox, QWidget

from napari_radcnn.user_folders import recall, remember

Answer = Literal["series", "slice"]
#: Where the answer is kept: losing it with the cache means to be asked once more.
_FILE, _KEY = "opening", "one slice"
_NAME = "radcnn_slice_question"


def kept_answer() -> Answer | None:
    """Return what the user wants done with one slice; None where that is to be asked."""
    entry = recall(_FILE, _KEY) or {}
    answer = entry.get("answer")
    return answer if answer in ("series", "slice") else None


def keep_answer(answer: Answer | None) -> None:
    """Keep what the user wants done; None to be asked again."""
    remember(_FILE, _KEY, {"answer": answer})


def ask(parent: QWidget, name: str, n_slices: int, title: str, then: Callable[[Answer | None], None]) -> QMessageBox:
    """Ask whether one slice means its series, and call `then` with the answer; None where the user gives up.

    Parameters
    ----------
    parent : QWidget
        Over which the question stands; the viewer goes on meanwhile.
    name : str
        Of the file.
    n_slices : int
        In the series beside it.
    title : str
        Of the series.
    then : callable
        Called once.
    """
    for before in parent.findChildren(QMessageBox, _NAME):
        before.deleteLater()
    box = QMessageBox(parent)
    box.setObjectName(_NAME)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Open the whole series?")
    box.setText(f"{name} is one of {n_slices} slices of the series '{title}' in its folder.")
    series = box.addButton("Open the series", QMessageBox.ButtonRole.AcceptRole)
    alone = box.addButton("Only this slice", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(series)
    always = QCheckBox("Do the same with every slice", box)
    box.setCheckBox(always)

    def on_finished(_result: int) -> None:
        clicked = box.clickedButton()
        answer: Answer | None = "series" if clicked is series else "slice" if clicked is alone else None
        if answer is not None and always.isChecked():
            keep_answer(answer)
        then(answer)

    box.finished.connect(on_finished)
    box.open()
    return box

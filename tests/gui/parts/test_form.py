"""The form of a dataclass of settings: one editor each, by its name, that keeps to what the setting says of itself."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_radcnn.errors import OptionError
from napari_radcnn.gui.parts.form import OptionsForm
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import models
from napari_radcnn.spec.options import CheckedOptions, describe, option

pytestmark = pytest.mark.gui


@dataclass(frozen=True)
class Everything(CheckedOptions):
    """A setting of every kind, with and without range, step, unit and choices."""

    is_mirrored: bool = option(True, title="Mirroring", help="Whether it is mirrored.")
    margin_mm: float = option(-2.5, title="Margin", help="How far.", low=-20, high=20, step=0.5, unit="mm")
    threshold: float = option(0.35, title="Threshold", help="From where on.", low=0.01, high=0.99, step=0.05)
    level: float = option(12.5, title="Level", help="Any.")
    radius_voxels: int = option(3, title="Radius", help="In voxels.", low=2, high=40, step=2, unit="voxels")
    most: int = option(-7, title="Most", help="Any whole number.")
    plane: str = option("j", title="Plane", help="Which.", choices=("k", "j", "i"))
    folds: str = option("0, 1", title="Folds", help="By number.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.plane == "i" and self.radius_voxels > 30:
            raise OptionError("'radius_voxels' must be 30 at most along i.")


@pytest.fixture
def window(qtbot):
    """Show a form above a button."""
    window = QWidget()
    layout = QVBoxLayout(window)
    layout.addWidget(OptionsForm(Everything))
    layout.addWidget(QPushButton("Run"))
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    return window


@pytest.fixture
def form(window):
    return window.findChild(OptionsForm)


@pytest.fixture
def edits(form):
    """Return the values that the form had whenever it said that it changed."""
    seen = []
    form.changed.connect(lambda: seen.append(form.value()))
    return seen


def retype(qtbot, editor, text):
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, text)


def test_the_form_begins_with_the_defaults_and_their_types(form):
    assert form.value() == Everything()
    assert [type(getattr(form.value(), field.name)) for field in describe(Everything)] == [
        field.kind for field in describe(Everything)
    ]
    assert list(form.editors) == [field.name for field in describe(Everything)]


def test_titles_and_help_stand_beside_the_editors(form):
    labels = {label.text(): label.toolTip() for label in form.findChildren(QLabel)}
    for field in describe(Everything):
        assert form.editors[field.name].toolTip() == labels[field.title] == field.help


@pytest.mark.parametrize(
    ("name", "text", "low", "high", "up"),
    [
        ("margin_mm", "-2.5 mm", -20, 20, -2.0),
        ("threshold", "0.35", 0.01, 0.99, 0.4),
        ("level", "12.5", -1e9, 1e9, 12.6),
        ("radius_voxels", "3 voxels", 2, 40, 5),
        ("most", "-7", -1e9, 1e9, -6),
    ],
)
def test_numbers_show_their_unit_and_keep_to_range_and_step(qtbot, form, name, text, low, high, up):
    editor = form.editors[name]
    assert editor.text() == text
    assert (editor.minimum(), editor.maximum()) == (low, high)
    qtbot.keyClick(editor, Qt.Key.Key_Up)
    assert getattr(form.value(), name) == pytest.approx(up)
    editor.setValue(type(getattr(Everything(), name))(high))
    qtbot.keyClick(editor, Qt.Key.Key_Up)
    assert getattr(form.value(), name) == high
    assert type(getattr(form.value(), name)) is type(getattr(Everything(), name))


def test_what_is_typed_clicked_and_chosen_is_read_back(qtbot, form, edits):
    retype(qtbot, form.editors["margin_mm"], "7.5")
    retype(qtbot, form.editors["radius_voxels"], "28")
    retype(qtbot, form.editors["folds"], "3")
    box, combo, line = (form.editors[name] for name in ("is_mirrored", "plane", "folds"))
    assert (type(box), type(combo), type(line)) == (QCheckBox, QComboBox, QLineEdit)
    assert box.text() == ""
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(6, box.height() // 2))
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Up)
    expected = Everything(is_mirrored=False, margin_mm=7.5, radius_voxels=28, folds="3", plane="k")
    assert form.value() == edits[-1] == expected


def test_a_whole_number_is_typed_digit_by_digit(qtbot, form):
    retype(qtbot, form.editors["radius_voxels"], "1")  # below the range, on the way to 16
    qtbot.keyClicks(form.editors["radius_voxels"], "6")
    assert form.value().radius_voxels == 16


def test_every_edit_is_announced_once_and_none_when_the_focus_leaves(qtbot, window, form, edits):
    form.editors["plane"].setCurrentText("i")
    assert len(edits) == 1
    form.editors["radius_voxels"].setValue(6)
    assert len(edits) == 2
    form.editors["is_mirrored"].setChecked(False)
    assert len(edits) == 3
    retype(qtbot, form.editors["folds"], "4")
    count = len(edits)
    assert edits[-1].folds == "4"
    # A button that is disabled because the form changed once more, as the mouse went to it, would miss the click.
    window.findChild(QPushButton).setFocus()
    assert len(edits) == count


def test_settings_that_do_not_go_together_are_refused_in_one_line(form):
    form.editors["radius_voxels"].setValue(31)
    form.editors["plane"].setCurrentText("i")
    with pytest.raises(OptionError, match="30 at most along i"):
        form.value()


@pytest.mark.parametrize(
    "options", dict.fromkeys([RunSettings, *(spec.options for spec in models())]), ids=lambda options: options.__name__
)
def test_the_form_of_every_model_gives_its_defaults(qtbot, options):
    form = OptionsForm(options)
    qtbot.addWidget(form)
    assert form.value() == options()

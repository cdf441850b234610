"""Numbers, places and windows as they are written, and where their lines end, without a viewer."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QApplication

from napari_radcnn.gui.layers.look import Look
from napari_radcnn.gui.reading import words
from napari_radcnn.gui.reading.corners import broken
from napari_radcnn.voi import VoiWindow


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (62, "62"),
        (-1024.0, "-1024"),
        (0, "0"),
        (3.14159, "3.142"),
        (31.4159, "31.42"),
        (31415.9, "31416"),
        (0.00042, "0.00042"),
        (-0.5, "-0.5"),
        (2.5e8, "2.5e+08"),
        (np.nan, "no value"),
        (np.inf, "no value"),
    ],
)
def test_numbers_have_the_digits_that_matter(value, written):
    assert words.number(value) == written


def test_a_place_is_written_with_the_side_of_each_axis():
    assert words.position((166.22, 5.59, 146.0)) == "L 166.2 P 5.6 S 146.0"
    assert words.position((-0.06, -5.59, -12.34)) == "R 0.1 A 5.6 I 12.3"
    assert words.position((-0.01, 0.0, 0.04)) == "L 0.0 P 0.0 S 0.0"  # no side of nothing


def test_values_have_the_unit_of_the_screen():
    assert words.value_with_unit(np.int16(62), Look(unit="HU")) == "62 HU"
    assert words.value_with_unit(10_000.0, Look(unit="SUVbw", factor=0.0005)) == "5 SUVbw"
    assert words.value_with_unit(np.array([1, 2, 255, 255], np.uint8), Look()) == "1 2 255"
    assert words.value_with_unit(np.nan, Look(unit="HU")) == "no value"


def test_windows_are_written_in_the_unit_of_the_screen():
    suv = Look(unit="SUVbw", factor=0.0005)
    assert words.window(suv, VoiWindow(7000, 14000, "SUV 0 to 7")) == "SUV 0 to 7 · W 7 C 3.5 SUVbw"
    assert words.window(Look(), VoiWindow(3, 4, "", "SIGMOID")) == "W 4 C 3 · sigmoid"


@pytest.mark.parametrize(
    ("order", "plane"),
    [
        ((0, 1, 2), "Axial"),
        ((1, 0, 2), "Coronal"),
        ((2, 0, 1), "Sagittal"),
        ((0, 2, 1), "Axial"),  # transposed by hand, and still the same plane
        ((None, 0, 1), ""),
    ],
)
def test_planes_have_their_names(order, plane):
    assert words.plane(order) == plane


@pytest.mark.gui
@pytest.mark.parametrize(
    ("line", "as_wide_as", "expected"),
    [
        ("Coronal · 45 of 90 · A 3.2 mm", "Coronal · 45 of 90 · A 3.2 mm", ["Coronal · 45 of 90 · A 3.2 mm"]),
        ("Coronal · 45 of 90 · A 3.2 mm", "Coronal · 45 of 90 · A 3.2", ["Coronal · 45 of 90 ·", "A 3.2 mm"]),
        ("Middle 99 % · W 835 C 417.5", "Middle 99 % · W 835 C", ["Middle 99 % ·", "W 835 C 417.5"]),
        ("one very long name · P1", "one very long", ["one very long", "name · P1"]),
    ],
)
@pytest.mark.usefixtures("qapp")
def test_long_lines_go_on_between_two_things_and_part_no_number_from_its_unit(line, as_wide_as, expected):
    metrics = QFontMetrics(QApplication.font())
    assert broken([line], metrics, metrics.horizontalAdvance(as_wide_as)) == expected

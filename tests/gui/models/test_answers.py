"""Classifiers and regressors from elsewhere in the Models dock: the numbers of Python, on their cards."""

import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

import napari_radcnn as radcnn
from answering import compute_here, describe_answer, open_trusted, risk_keys, scan, value_keys, write_network
from bundled_answers import LOAD, SHAPE, bundle, regressor, spot
from models_dock import click, docked, wait_for_end
from napari_radcnn.gui.findings.layer import findings_from_layer
from napari_radcnn.gui.models import foreign
from napari_radcnn.gui.models.cards.classes import GradeScale
from napari_radcnn.networks.outputs import pack
from screens import pump, wait_for_plan

pytestmark = pytest.mark.gui

WEIGHT, BIAS = [[-4.0], [0.5], [3.0]], [0.2, 0.1, -0.4]


@pytest.fixture
def run(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    """Return a function that describes a network, runs it in the dock, and returns its page and what Python says."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(foreign, "_OPENED", {})
    volume = scan()
    viewer, dock = docked(make_napari_viewer, volume)

    def make(name, weight, bias, **changes):
        compute_here(monkeypatch, weight, bias)
        path = write_network(tmp_path / f"{name}.ts", weight, bias)
        describe_answer(path.with_suffix(".json"), name=name, **changes)
        spec = open_trusted(path)
        dock.chooser.open_path(path, trust=spec.files[0].sha256)
        wait_for_end(qtbot, dock)
        wait_for_plan(dock)
        click(qtbot, dock.panel.start_button)
        wait_for_end(qtbot, dock)
        return dock, dock.page(spec.task).widget, radcnn.operations.run(volume, spec, device="cpu")

    make.viewer, make.volume = viewer, volume
    return make


def test_each_kind_of_answer_has_its_card_with_the_numbers_of_python(run, qtbot):
    """One viewer for all: exclusive, multi-label, ordinal, and a value with its interval."""
    dock, card, expected = run("Exclusive", WEIGHT, BIAS)
    assert [row[:2] for row in card.rows] == [
        (name, f"{share:.2f}") for name, share in sorted(expected.probabilities.items(), key=lambda pair: -pair[1])
    ]
    assert card.isVisible()
    assert card.answer.isHidden()  # the bars say it
    assert dock.results.isHidden()  # and no list repeats them

    _, card, expected = run("Several", WEIGHT, BIAS, kind="multi-label", thresholds={"middle": 0.6, "low": 0.2})
    assert expected.decided == ("low", "high")
    assert card.answer.text() == "Present: low, high"
    marks = {name: bar.mark for name, _, bar in card.rows}
    assert marks == {"low": 0.2, "middle": 0.6, "high": 0.5}
    assert {name: told for name, told, _ in card.rows} == {
        name: f"{share:.2f}" for name, share in expected.probabilities.items()
    }

    points = [
        {"name": "balanced", "threshold": 0.6, "sensitivity": 0.83, "specificity": 0.88},
        {"name": "rule out", "threshold": 0.2, "sensitivity": 0.97, "specificity": 0.61},
    ]
    _, card, expected = run("Tested", WEIGHT, BIAS, kind="multi-label", operating_points={"middle": points})
    combo, told = card.points["middle"]
    assert [combo.itemText(n) for n in range(3)] == [
        "middle: counts from 0.50",
        "middle: balanced (0.60)",
        "middle: rule out (0.20)",
    ]
    assert told.isHidden()
    assert card.answer.text() == "Present: middle, high"  # in the order of the model
    combo.activated.emit(1)
    qtbot.waitUntil(lambda: card.points["middle"][0] is not combo)
    combo, told = card.points["middle"]
    assert combo.currentText() == "middle: balanced (0.60)"
    assert told.text() == "At this point it detects 83 of 100 who have it, with false alarms in 12 of 100 who do not."
    assert card.answer.text() == "Present: high"
    assert {name: bar.mark for name, _, bar in card.rows} == {"low": 0.5, "middle": 0.6, "high": 0.5}

    grades = {"classes": ["F0", "F1", "F2"], "kind": "ordinal", "activation": "sigmoid", "thresholds": {"F2": 0.3}}
    _, card, expected = run("Grades", [[4.0], [-1.0]], [0.0, -0.3], **grades)
    assert card.answer.text() == f"Grade: {expected.decided[0]}" == "Grade: F2"
    (scale,) = card.findChildren(GradeScale)
    assert scale.shares == expected.probabilities
    assert [(name, told, bar.mark) for name, told, bar in card.rows] == [
        ("≥ F1", f"{expected.at_least['F1']:.2f}", 0.5),
        ("≥ F2", f"{expected.at_least['F2']:.2f}", 0.3),
    ]

    interval = {"kind": "fixed", "half_width": 6}
    dock, card, expected = run("Age", [[20.0]], [3.0], **value_keys(interval=interval, limits=[0, 24]))
    assert expected.value == pytest.approx(9, abs=1e-4)
    assert card.value.text() == "bone age: 9 mo"
    assert card.interval.text() == "95 % interval 3 to 15 mo"
    assert (card.scale.ends, card.scale.interval) == ((0, 24), expected.interval)
    left, middle, right = (card.scale.place(value) for value in (0, 12, 24))
    assert middle == pytest.approx((left + right) / 2)
    assert not dock.page("classification").widget.isVisible()
    assert dock.results.isHidden()

    _, card, expected = run("Beyond", [[20.0]], [30.0], **value_keys(limits=[0, 24]))
    assert card.value.text() == "bone age: 36 mo"
    assert card.interval.text() == "The model gives no uncertainty."
    assert card.note.text().startswith("Outside the range of the model.")
    assert "do not rely on it" in dock.panel.message_label.text()


def test_a_risk_has_a_card_with_its_group_and_a_table_of_times(run):
    groups = {"names": ["low", "high"], "cuts": [0.4]}
    keys = risk_keys(groups=groups, unit="mo", times=[12, 36], baseline=[0.05, 0.2])
    dock, card, expected = run("Survival", [[2.0]], [0.1], **keys)
    assert (expected.risk, expected.group) == (pytest.approx(0.7), "high")
    assert card.risk.text() == "Risk of death: 0.7"
    assert card.group.text() == "Group: high (low, high; cut-offs 0.4)"
    rows = [[card.table.item(row, column).text() for column in (0, 1)] for row in range(card.table.rowCount())]
    assert rows == [[f"{time:g}", f"{100 * share:.1f} %"] for time, share in expected.event_free]
    assert [card.table.horizontalHeaderItem(n).text() for n in (0, 1)] == ["Time [mo]", "Free of death"]
    assert card.isVisible()
    assert dock.results.isHidden()
    _, card, _ = run("Bare", [[2.0]], [0.1], **risk_keys())
    assert card.table.isHidden()
    assert card.group.isHidden()


def test_findings_of_a_detector_are_listed_with_the_numbers_of_python(run, monkeypatch):
    class Here:
        backend, device, precision, agreement, measured_on = "torch", "cpu", "float32", None, None

        def __call__(self, patch):
            return pack([np.array([[1.0, 2, 1, 4, 5, 3], [2, 0, 0, 3, 2, 2]]), np.array([0.9, 0.4]), np.zeros(2)])

        def close(self):
            pass

    monkeypatch.setattr("napari_radcnn.foreign.detection.run.open_file_network", lambda *_, **__: (Here(), ()))
    _, widget, expected = run("Finder", [[0.0]], [0.0], task="detection", classes=["nodule"], form="boxes")
    layer = next(layer for layer in run.viewer.layers if isinstance(layer, Points))
    assert findings_from_layer(layer).boxes == expected.boxes
    assert [one.score for one in expected.boxes] == pytest.approx([0.9, 0.4])
    x, y, z = expected.boxes[0].center
    np.testing.assert_allclose((layer.data * layer.scale)[0, ::-1], (x, y, z), atol=1e-3)  # napari has z, y, x
    assert widget.list.topLevelItemCount() == 2
    assert widget.isVisible()


def test_landmarks_are_points_with_names_in_their_place(run, qtbot):
    keys = {"task": "landmarks", "classes": ..., "landmarks": ["tip", "base"], "form": "coordinates"}
    # bias + 0 * mean: the places are known, in voxels of the patch, which has half the voxels of the scan
    dock, widget, expected = run("Places", [[0.0]] * 6, [2.0, 3.0, 1.0, 4.5, 1.0, 3.0], **keys)
    assert dock.results.isHidden()
    layer = run.viewer.layers[-1]
    assert isinstance(layer, Points)
    world = run.volume.geometry.to_world([[4.5, 6.5, 2.5], [9.5, 2.5, 6.5]])
    np.testing.assert_allclose((layer.data * layer.scale)[:, ::-1], world, atol=1e-3)  # napari has z, y, x
    np.testing.assert_allclose([point.position for point in expected.points], world, atol=1e-3)
    assert list(layer.features["name"]) == ["tip", "base"]
    assert layer.text.values.tolist() == ["tip", "base"]
    x, y, z = world[0]
    first, second = (widget.topLevelItem(n) for n in range(2))
    assert [first.text(n) for n in range(3)] == ["tip", "", f"{x:.1f} {y:.1f} {z:.1f}"]
    pump()
    place = widget.visualItemRect(second).center()
    assert widget.viewport().rect().contains(place)
    qtbot.mouseClick(widget.viewport(), Qt.MouseButton.LeftButton, pos=place)
    half = max(run.viewer.layers[0].scale) / 2
    assert abs(run.viewer.dims.point[0] - world[1][2]) <= half + 1e-6
    dock.model_combo.setCurrentIndex(0)
    assert widget.isHidden()


def test_bundles_of_a_value_and_of_landmarks_answer_as_in_python(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(foreign, "_OPENED", {})
    count = int(np.prod(SHAPE))
    stated = {"task": "regression", "quantity": "bone age", "unit": "mo", "limits": [0, 240]}
    stated |= {"interval": {"kind": "fixed", "half_width": 6, "level": 0.9}}
    value = bundle(tmp_path / "value", regressor([[40 / count] * count], [7.0]), stated, before=LOAD)
    place = np.stack(np.indices(SHAPE)).reshape(3, -1)
    stated = {"task": "landmarks", "landmarks": ["tip"], "form": "coordinates"}
    tip = bundle(tmp_path / "tip", regressor(place, [0.0] * 3, scale=1.0), stated, before=LOAD)

    index = (7, 2, 4)  # k, j, i
    volume = spot(index)
    viewer, dock = docked(make_napari_viewer, volume)
    for folder in (value, tip):
        dock.chooser.open_path(folder)
        wait_for_end(qtbot, dock)
        wait_for_plan(dock)
        click(qtbot, dock.panel.start_button)
        wait_for_end(qtbot, dock)
    # the mean of one bright voxel, doubled by the network's convolution
    expected = 7 + 40 * 2 / count
    assert dock.page("regression").widget.value.text() == f"bone age: {expected:.4g} mo"
    layer = viewer.layers[-1]
    assert isinstance(layer, Points)
    (found,) = radcnn.landmarks(volume, radcnn.open_model(tip), device="cpu").points
    np.testing.assert_allclose(found.position, volume.geometry.to_world(np.array(index, float)), atol=1e-3)
    np.testing.assert_allclose((layer.data * layer.scale)[0, ::-1], found.position, atol=1e-3)  # napari has z, y, x
    x, y, z = found.position
    item = dock.page("landmarks").widget.topLevelItem(0)
    assert [item.text(n) for n in (0, 2)] == ["tip", f"{x:.1f} {y:.1f} {z:.1f}"]


def test_clinical_values_are_typed_into_a_form(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    """By the real mouse and keys: out of range is refused before the run, missing is told, and the answer follows."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(foreign, "_OPENED", {})
    age = {"name": "age", "title": "Age", "unit": "a", "limits": [0, 120], "mean": 50, "std": 10}
    sex = {"name": "sex", "title": "Sex", "choices": {"F": 0, "M": 1}, "missing": 0.5}
    compute_here(monkeypatch, [[20.0, 2.0, 5.0]], [1.0])
    path = write_network(tmp_path / "net.ts", [[20.0, 2.0, 5.0]], [1.0])
    keys = value_keys(values=[age, sex], values_as="channels", limits=[0, 100])
    describe_answer(tmp_path / "net.json", **keys)
    spec = open_trusted(path)
    _, dock = docked(make_napari_viewer, scan())
    dock.chooser.open_path(path, trust=spec.files[0].sha256)
    wait_for_end(qtbot, dock)
    wait_for_plan(dock)
    start, editors = dock.panel.start_button, dock.options_form.editors
    assert {label.text() for label in dock.options_form.findChildren(QLabel)} >= {"Age [a]", "Sex"}
    assert "'Age' is missing, but the model needs it." in dock.warning_label.text()

    def typed(text):
        field = editors["age"]
        qtbot.mouseClick(field, Qt.MouseButton.LeftButton)
        field.selectAll()
        qtbot.keyClicks(field, text)
        qtbot.keyClick(field, Qt.Key.Key_Return)
        wait_for_plan(dock)

    typed("163")
    assert "'age' must be between 0 and 120 a, got 163" in dock.plan_label.text()
    assert not start.isEnabled()
    typed("63")
    assert "'Sex' is not known: the model uses 0.5 instead." in dock.warning_label.text()
    assert "Age" not in dock.warning_label.text()
    click(qtbot, start)
    wait_for_end(qtbot, dock)
    card = dock.page("regression").widget
    assert card.value.text() == f"bone age: {1 + 20 * 0.3 + 2 * 1.3 + 5 * 0.5:.4g} mo"
    combo = editors["sex"]
    qtbot.mouseClick(combo, Qt.MouseButton.LeftButton)  # opens the list of words
    qtbot.keyClick(combo.view(), Qt.Key.Key_End)
    qtbot.keyClick(combo.view(), Qt.Key.Key_Return)
    wait_for_plan(dock)
    assert combo.currentText() == "M"
    assert dock.warning_label.isHidden() or "Sex" not in dock.warning_label.text()
    click(qtbot, start)
    wait_for_end(qtbot, dock)
    assert card.value.text() == f"bone age: {1 + 20 * 0.3 + 2 * 1.3 + 5:.4g} mo"
    found = radcnn.regress(scan(), spec, {"age": 63, "sex": "M"}, device="cpu")
    assert card.value.text() == f"bone age: {found.value:.4g} mo"

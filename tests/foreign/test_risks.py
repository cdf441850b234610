"""Risks told from scans by networks from elsewhere: closed forms, groups, files, and how they are compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import compute_here, describe_answer, open_trusted, risk_keys, scan, write_network
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, OptionError, ReadError
from napari_radcnn.io.reports import read_risk
from napari_radcnn.metrics import compare_risks
from napari_radcnn.operations import evaluate

TIMES = {"unit": "mo", "times": [12, 36, 60]}


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return a function that tells the risk of a scan of mean 0.3."""

    def run(weight, bias, **changes):
        compute_here(monkeypatch, weight, bias)
        path = write_network(tmp_path / "net.ts", weight, bias)
        describe_answer(tmp_path / "net.json", **risk_keys(**changes))
        return radcnn.survival(scan(), open_trusted(path), device="cpu")

    return run


@pytest.mark.parametrize("suffix", [".onnx", ".ts"])
def test_a_risk_of_every_format(tmp_path, suffix):
    if suffix == ".onnx":
        pytest.importorskip("openvino")
    path = write_network(tmp_path / f"net{suffix}", [[2.0]], [0.1])
    describe_answer(tmp_path / "net.json", **risk_keys())
    found = radcnn.survival(scan(), open_trusted(path), device="cpu")
    assert found.risk == pytest.approx(0.7, abs=1e-4)
    assert (found.event, found.event_free, found.group) == ("death", (), "")


def test_a_log_hazard_and_its_baseline_make_probabilities(told):
    groups = {"names": ["low", "middle", "high"], "cuts": [-0.5, 0.4]}
    found = told([[2.0]], [0.1], reference=0.2, baseline=[0.05, 0.2, 0.4], groups=groups, **TIMES)
    assert found.risk == pytest.approx(0.5, abs=1e-5)
    assert [time for time, _ in found.event_free] == [12, 36, 60]
    expected = np.exp(-np.array([0.05, 0.2, 0.4]) * np.exp(0.5))
    assert [share for _, share in found.event_free] == pytest.approx(expected, abs=1e-5)
    assert (found.group, found.unit) == ("high", "mo")
    assert told([[2.0]], [0.1], reference=0.4, groups=groups).group == "middle"


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_hazards_of_intervals_multiply(told, activation):
    hazards = np.array([0.1, 0.25, 0.5])
    bias = np.log(hazards / (1 - hazards)) if activation == "sigmoid" else hazards
    found = told([[0.0]] * 3, bias.tolist(), form="intervals", activation=activation, **TIMES)
    assert [share for _, share in found.event_free] == pytest.approx([0.9, 0.675, 0.3375], abs=1e-5)
    assert found.risk == pytest.approx(-np.log(0.3375), abs=1e-5)


@pytest.mark.parametrize(
    ("weight", "bias", "changes", "message"),
    [
        ([[1.0]], [float("nan")], {}, "returned NaN"),
        ([[1.0]] * 2, [0.0] * 2, {}, "returns 2 numbers, but its description expects 1 for a log-hazard"),
        ([[1.0]], [0.0], {"form": "intervals", **TIMES}, "expects 3 for the intervals of time"),
        (
            [[0.0]] * 3,
            [-1.0, 0.2, 3.0],
            {"form": "intervals", "activation": "none", **TIMES},
            'so they are logits: set "activation" to "sigmoid"',
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_no_risk(told, weight, bias, changes, message):
    with pytest.raises(ModelError, match=f"three-ways: .*{message}"):
        told(weight, bias, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event": ...}, "'event' is missing"),
        ({"event": ""}, "'event' must name"),
        ({"form": "cox"}, "form='cox' is not supported"),
        ({"times": [12, 6], "unit": "mo"}, "'times' must be numbers above 0 in increasing order"),
        ({"times": [12, 36], "baseline": [0.1, 0.2]}, "'times' and their 'unit' must be given together"),
        ({"baseline": [0.1], **TIMES}, "'baseline' must be the cumulative hazard at each of 'times'"),
        ({"baseline": [0.3, 0.2, 0.4], **TIMES}, "never decreasing"),
        ({"form": "intervals"}, "'times' is missing: the end of each interval"),
        (
            {"groups": {"names": ["low"], "cuts": [0.3]}},
            "'cuts' must be risks in increasing order, one fewer than names",
        ),
        ({"groups": {"names": ["a", "b", "c"], "cuts": [2, 1]}}, "'cuts' must be risks in increasing order"),
        ({"classes": ["a"]}, "'classes' is not supported"),
    ],
)
def test_wrong_values_are_named_with_their_line(tmp_path, changes, message):
    path = write_network(tmp_path / "net.onnx", [[1.0]], [0.0])
    describe_answer(tmp_path / "net.json", **(risk_keys() | changes))
    with pytest.raises(ModelError, match=message) as caught:
        radcnn.open_model(path)
    assert str(caught.value).startswith("net.json")


def test_shell_file_manifest_and_replay_say_the_same(tmp_path, capsys):
    pytest.importorskip("openvino")
    path = write_network(tmp_path / "net.onnx", [[2.0]], [0.1])
    groups = {"names": ["low", "high"], "cuts": [0.4]}
    describe_answer(tmp_path / "net.json", **risk_keys(groups=groups, baseline=[0.05, 0.2, 0.4], **TIMES))
    place, out = radcnn.write(scan(), tmp_path / "scan.nii.gz"), tmp_path / "out.json"
    assert main(["run", str(path), str(place), "-o", str(out), "--device", "cpu"]) == 0
    assert "risk of death: 0.7\nrisk group: high\nfree of death at 12 mo: 0.904\n" in capsys.readouterr().out
    plain = json.loads(out.read_text())
    assert (plain["risk"], plain["group"]) == (pytest.approx(0.7, abs=1e-4), "high")
    assert plain["event_free"][2] == {"time": 60, "probability": pytest.approx(np.exp(-0.4 * np.exp(0.7)), abs=1e-4)}
    assert plain["suitability"]["state"] == "doubtful"
    manifest = json.loads((tmp_path / "out.json.radcnn.json").read_text())
    assert manifest["result"]["numbers"]["risk"] == pytest.approx(0.7, abs=1e-4)
    again = radcnn.replay(tmp_path / "out.json.radcnn.json")
    assert again.is_same is True
    np.testing.assert_allclose(again.result.event_free, read_risk(out).event_free)


def test_a_risk_is_read_as_it_was_written(tmp_path):
    first = radcnn.Survival(0.4, "relapse", "mo", ((6.0, 0.9), (12.0, 0.7)), (0.1,), ("low", "high"))
    found = read_risk(radcnn.write(first, tmp_path / "a.json"))
    assert (found.risk, found.event, found.unit, found.event_free) == (0.4, "relapse", "mo", ((6.0, 0.9), (12.0, 0.7)))
    assert (found.cuts, found.groups, found.group, found.name) == ((0.1,), ("low", "high"), "high", "a")
    for text in ('{"risk": NaN}', '{"risk": 1, "groups": ["a"], "cuts": [1]}', "[]", '{"value": 3}'):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(ReadError, match="contains no risk"):
            read_risk(tmp_path / "b.json")


def test_pairs_that_can_be_ordered_are_counted():
    # deaths at 2, 5 and 5; last seen at 3 and 5: 2 before four others; each 5 before the one that was only seen then
    times, events = [2, 3, 5, 5, 5], [True, False, True, True, False]
    found = compare_risks(times, events, [0.9, 5.0, 0.5, 0.1, 0.1])
    assert found == {"n": 5, "events": 3, "pairs": 6, "c_index": (3 + 1 + 0.5) / 6}
    assert compare_risks([1, 2], [False, False], [1, 2])["c_index"] is None
    assert compare_risks([1, 2, 3], [True] * 3, [1, 2, 3])["c_index"] == 0
    for wrong in (([1], [True], []), ([], [], []), ([-1], [True], [0]), ([1], [True], [np.nan])):
        with pytest.raises(OptionError):
            compare_risks(*wrong)


def test_risks_are_compared_by_table_and_folder(tmp_path, capsys):
    (tmp_path / "truth.csv").write_text("case,time,event\na,10,1\nb,20,0\nc,30,1\n")
    (tmp_path / "said.csv").write_text("case,risk\nc,0.1\na,0.9\nb,0.95\n")
    assert main(["evaluate", str(tmp_path / "truth.csv"), str(tmp_path / "said.csv"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["survival"]
    assert figures == {"n": 3, "events": 2, "pairs": 2, "c_index": 0.5}
    (tmp_path / "said").mkdir()
    for case, risk in {"a": 0.9, "b": 0.95, "c": 0.1}.items():
        radcnn.write(radcnn.Survival(risk), tmp_path / "said" / f"{case}.json")
    assert evaluate(tmp_path / "truth.csv", tmp_path / "said") == {"survival": figures}
    (tmp_path / "said" / "b.json").unlink()
    with pytest.raises(ReadError, match="'b' is in only one of"):
        evaluate(tmp_path / "truth.csv", tmp_path / "said")
    (tmp_path / "truth.csv").write_text("case,time,event\na,10,1\nb,20,2\nc,30,1\n")
    with pytest.raises(ReadError, match="the event of case 'b' must be 1, or 0"):
        evaluate(tmp_path / "truth.csv", tmp_path / "said.csv")

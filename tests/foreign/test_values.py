"""Values read off scans by networks from elsewhere: closed forms, units, intervals, and what is no plain number."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import PATCH, compute_here, describe_answer, open_trusted, scan, value_keys, write_network
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.io.reports import read_value

#: 1.959964 standard deviations to either side hold 95 % of a normal distribution, 1.281552 hold 80 %.
Z95, Z80 = 1.959963984540054, 1.2815515655446004


@pytest.fixture
def regressed(tmp_path, monkeypatch):
    """Return a function that regresses a scan of mean 0.3."""

    def run(weight, bias, **changes):
        compute_here(monkeypatch, weight, bias)
        path = write_network(tmp_path / "net.ts", weight, bias)
        describe_answer(tmp_path / "net.json", **value_keys(**changes))
        return radcnn.regress(scan(), open_trusted(path), device="cpu")

    return run


@pytest.mark.parametrize("suffix", [".onnx", ".ts"])
def test_a_value_of_every_format(tmp_path, suffix):
    if suffix == ".onnx":
        pytest.importorskip("openvino")
    path = write_network(tmp_path / f"net{suffix}", [[20.0]], [3.0])
    describe_answer(tmp_path / "net.json", **value_keys())
    found = radcnn.regress(scan(), open_trusted(path), device="cpu")
    assert found.value == pytest.approx(3 + 20 * 0.3, abs=1e-4)
    assert (found.unit, found.quantity, found.interval) == ("mo", "bone age", None)
    assert found.name == "scan · three-ways"


@pytest.mark.parametrize(
    ("weight", "bias", "changes", "value", "interval"),
    [
        ([[1.0]], [0.0], {"scale": {"slope": 240, "intercept": -12}}, 60, None),
        ([[1.0]], [0.0], {"interval": {"kind": "fixed", "half_width": 0.2}}, 0.3, (0.1, 0.5)),
        ([[1.0], [1.0]], [0.0, 0.2], {"interval": {"kind": "deviation"}}, 0.3, (0.3 - 0.5 * Z95, 0.3 + 0.5 * Z95)),
        (
            [[1.0], [0.0]],
            [0.0, 2 * np.log(0.7)],
            {"interval": {"kind": "log-variance", "level": 0.8}, "scale": {"slope": -10}},
            -3,
            (-3 - 7 * Z80, -3 + 7 * Z80),
        ),
        ([[1.0]] * 3, [-0.1, 0.0, 0.4], {"interval": {"kind": "quantiles"}}, 0.3, (0.2, 0.7)),
        (
            [[1.0]] * 3,
            [-0.1, 0.0, 0.4],
            {"interval": {"kind": "quantiles"}, "scale": {"slope": -2, "intercept": 1}},
            0.4,
            (-0.4, 0.6),
        ),
    ],
)
def test_scale_and_interval(regressed, weight, bias, changes, value, interval):
    found = regressed(weight, bias, **changes)
    assert found.value == pytest.approx(value, abs=1e-5)
    assert found.interval == (None if interval is None else pytest.approx(interval, abs=1e-5))


@pytest.mark.parametrize(
    ("weight", "bias", "changes", "told"),
    [
        ([[1.0]], [float("nan")], {}, "returned NaN"),
        ([[1.0]] * 2, [0.0] * 2, {}, "returns 2 numbers, but its description expects 1 for a value with no"),
        ([[1.0]], [0.0], {"interval": {"kind": "quantiles"}}, "expects 3 for a value with a quantiles interval"),
        ([[1.0]] * 2, [0.0, -2.0], {"interval": {"kind": "deviation"}}, "standard deviation is -1.7"),
        ([[1.0]] * 3, [0.4, 0.0, -0.1], {"interval": {"kind": "quantiles"}}, "does not contain its value"),
    ],
)
def test_an_answer_that_does_not_fit_is_no_number(regressed, weight, bias, changes, told):
    with pytest.raises(ModelError, match=f"three-ways: .*{told}"):
        regressed(weight, bias, **changes)


def test_a_value_beyond_what_can_be_is_told(regressed):
    found = regressed([[1.0]], [0.0], limits=[1, 19])
    assert any(
        "bone age is 0.3 mo, outside the range that 'three-ways' can return (1 to 19 mo)" in w for w in found.warnings
    )
    assert not any("outside" in text for text in regressed([[1.0]], [0.0], limits=[0, 19]).warnings)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"quantity": ...}, "'quantity' is missing"),
        ({"unit": ""}, "must not be empty"),
        ({"scale": {"slope": 0}}, "'scale': the slope must not be 0"),
        ({"scale": 2}, "'scale' must be a mapping"),
        ({"limits": [3, 3]}, "'limits' must be two numbers"),
        ({"interval": {"kind": "sure"}}, "kind='sure'"),
        ({"interval": {"kind": "fixed"}}, "'half_width' must be more than 0"),
        ({"interval": {"half_width": 2}}, "'half_width' must be more than 0 for a fixed"),
        ({"interval": {"level": 95}}, "'level' must be between 0 and 1"),
        ({"slices": "max", "spatial_dims": 2, "patch": [7, 5]}, "can only be combined by their mean"),
        ({"classes": ["a"]}, "'classes' is not supported"),
    ],
)
def test_wrong_values_are_named(tmp_path, changes, told):
    path = write_network(tmp_path / "net.onnx", [[1.0]], [0.0])
    describe_answer(tmp_path / "net.json", **(value_keys() | changes))
    with pytest.raises(ModelError, match=told) as caught:
        radcnn.open_model(path)
    assert str(caught.value).startswith("net.json")


def test_an_onnx_file_with_another_number_of_answers_is_refused_when_it_is_opened(tmp_path):
    path = write_network(tmp_path / "net.onnx", [[1.0]] * 2, [0.0] * 2)
    describe_answer(tmp_path / "net.json", **value_keys())
    with pytest.raises(ModelError, match=r"net\.onnx: the network returns 2 numbers, but net\.json expects 1"):
        radcnn.open_model(path)


def test_slices_have_one_value(tmp_path, monkeypatch):
    compute_here(monkeypatch, [[2.0]], [1.0])
    path = write_network(tmp_path / "net.ts", [[2.0]], [1.0], PATCH[1:])
    describe_answer(tmp_path / "net.json", **value_keys(spatial_dims=2, patch=list(PATCH[1:]), slices="mean"))
    found = radcnn.regress(scan(0.3, (4, 14, 10)), open_trusted(path), device="cpu")
    assert found.value == pytest.approx(1.6, abs=1e-5)


def test_shell_file_manifest_and_replay_say_the_same(tmp_path, capsys):
    pytest.importorskip("openvino")
    path = write_network(tmp_path / "net.onnx", [[20.0]], [3.0])
    keys = value_keys(interval={"kind": "fixed", "half_width": 6}, limits=[0, 240])
    describe_answer(tmp_path / "net.json", **keys)
    place = radcnn.write(scan(), tmp_path / "scan.nii.gz")
    out = tmp_path / "out.json"
    assert main(["run", str(path), str(place), "-o", str(out), "--device", "cpu"]) == 0
    assert "bone age: 9 mo\n95 % interval: 3 to 15 mo\n" in capsys.readouterr().out
    plain = json.loads(out.read_text())
    assert plain["value"] == pytest.approx(9, abs=1e-4)
    assert plain["interval"] == pytest.approx([3, 15], abs=1e-4)
    assert (plain["unit"], plain["quantity"], plain["level"], plain["limits"]) == ("mo", "bone age", 0.95, [0, 240])
    assert plain["suitability"]["state"] == "doubtful"
    manifest = json.loads((tmp_path / "out.json.radcnn.json").read_text())
    assert manifest["result"]["numbers"] == {"value": 9.0, "low": 3.0, "high": 15.0}
    again = radcnn.replay(tmp_path / "out.json.radcnn.json")
    assert again.is_same is True
    assert again.result.value == pytest.approx(9, abs=1e-4)
    assert main(["run", str(path), str(place), "-o", str(tmp_path / "out.txt")]) == 3
    assert "a value is written as .json, .csv, .sr.dcm" in capsys.readouterr().err


def test_a_value_is_read_as_it_was_written(tmp_path):
    first = radcnn.Regression(12.5, "mm", (10.0, 14.0), "diameter", 0.9, (0.0, 80.0))
    found = read_value(radcnn.write(first, tmp_path / "a.json"))
    assert (found.value, found.unit, found.interval, found.quantity) == (12.5, "mm", (10.0, 14.0), "diameter")
    assert (found.level, found.limits, found.name) == (0.9, (0.0, 80.0), "a")
    bare = json.loads(radcnn.write(radcnn.Regression(3.0, "1"), tmp_path / "b.json").read_text())
    assert bare == {"value": 3.0, "unit": "1", "interval": None, "quantity": "value"}
    for text in (
        '{"value": NaN, "unit": "mm"}',
        '{"value": 3}',
        '{"value": 3, "unit": "mm", "interval": [4, 2]}',
        "[]",
    ):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(ReadError, match="contains no value"):
            read_value(tmp_path / "c.json")


def test_values_are_compared_by_file_table_and_folder(tmp_path, capsys):
    truth, said = {"a": 10.0, "b": 20.0, "c": 33.0}, {"a": 11.0, "b": 18.0, "c": 36.0}
    (tmp_path / "truth.csv").write_text("case,value\n" + "".join(f"{k},{v}\n" for k, v in truth.items()))
    rows = "".join(f"{k},{v},{v - 2},{v + 2}\n" for k, v in said.items())
    (tmp_path / "said.csv").write_text(f"case,value,low,high\n{rows}")
    assert main(["evaluate", str(tmp_path / "truth.csv"), str(tmp_path / "said.csv"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["value"]
    assert (figures["n"], figures["mae"], figures["bias"]) == (3, 2.0, pytest.approx(2 / 3))
    assert figures["coverage"] == pytest.approx(2 / 3)
    for name, values in (("truth", truth), ("said", said)):
        (tmp_path / name).mkdir()
        for case, value in values.items():
            radcnn.write(radcnn.Regression(value, "mo", (value - 2, value + 2)), tmp_path / name / f"{case}.json")
    from napari_radcnn.operations import evaluate

    found = evaluate(tmp_path / "truth", tmp_path / "said")
    assert found == {"value": {"unit": "mo", **figures}}
    assert evaluate(tmp_path / "truth" / "a.json", tmp_path / "said" / "a.json")["value"]["mae"] == 1.0
    radcnn.write(radcnn.Regression(1.0, "d"), tmp_path / "said" / "a.json", overwrite=True)
    with pytest.raises(ReadError, match=r"different units \(d, mo\)"):
        evaluate(tmp_path / "truth", tmp_path / "said")
    (tmp_path / "said" / "a.json").unlink()
    with pytest.raises(ReadError, match="'a' is in only one of"):
        evaluate(tmp_path / "truth", tmp_path / "said")
    (tmp_path / "said.csv").write_text("case,value\na,1\nb,x\nc,2\n")
    with pytest.raises(ReadError, match="the value of case 'b'"):
        evaluate(tmp_path / "truth.csv", tmp_path / "said.csv")

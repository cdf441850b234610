"""Classifiers from elsewhere: probabilities by a closed form in every format, and answers that do not fit refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import PATCH, compute_here, describe_answer, open_trusted, scan, write_network
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.classes import probabilities_of
from napari_radcnn.foreign.answers.described import Classes
from napari_radcnn.operations.classifying import numbers
from napari_radcnn.results import OperatingPoint

WEIGHT, BIAS = [[-4.0], [0.5], [3.0]], [0.2, 0.1, -0.4]
#: What the network says of a scan of mean 0.3.
LOGITS = np.array(BIAS) + 0.3 * np.array(WEIGHT)[:, 0]


def softmax(values):
    shares = np.exp(values)
    return shares / shares.sum()


def sigmoid(values):
    return 1 / (1 + np.exp(-np.asarray(values)))


@pytest.fixture(params=[".onnx", ".ts"])
def suffix(request):
    if request.param == ".onnx":
        pytest.importorskip("openvino")
    return request.param


@pytest.fixture
def classified(tmp_path, monkeypatch):
    """Return a function that classifies a scan of mean 0.3 by a TorchScript network."""

    def run(weight=WEIGHT, bias=BIAS, end="", **changes):
        compute_here(monkeypatch, weight, bias, end)
        path = write_network(tmp_path / "net.ts", weight, bias, end=end)
        describe_answer(tmp_path / "net.json", **changes)
        return radcnn.classify(scan(), open_trusted(path), device="cpu")

    return run


def test_exclusive_classes_of_every_format(tmp_path, suffix):
    path = write_network(tmp_path / f"net{suffix}", WEIGHT, BIAS)
    describe_answer(tmp_path / "net.json")
    found = radcnn.classify(scan(), open_trusted(path), device="cpu")
    assert list(found.probabilities) == ["low", "middle", "high"]
    np.testing.assert_allclose(list(found.probabilities.values()), softmax(LOGITS), atol=1e-5)
    assert (found.kind, found.decided) == ("exclusive", ("high",))


@pytest.mark.parametrize(
    ("changes", "bias", "end", "expected"),
    [
        ({"temperature": 2.0}, BIAS, "", softmax(LOGITS / 2)),
        ({"activation": "none"}, BIAS, "Softmax", softmax(LOGITS)),
        ({"kind": "multi-label"}, BIAS, "", sigmoid(LOGITS)),
        ({"kind": "multi-label", "activation": "none"}, BIAS, "Sigmoid", sigmoid(LOGITS)),
        ({"kind": "ordinal"}, BIAS, "", softmax(LOGITS)),
    ],
)
def test_what_the_numbers_mean(classified, changes, bias, end, expected):
    found = classified(bias=bias, end=end, **changes)
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-5)


def test_one_number_for_two_classes(classified):
    changes = {"classes": ["normal", "ill"], "activation": "sigmoid", "thresholds": {"ill": 0.9}}
    found = classified(weight=[[2.0]], bias=[0.5], **changes)
    ill = sigmoid(0.5 + 2 * 0.3)
    assert found.probabilities == pytest.approx({"normal": 1 - ill, "ill": ill}, abs=1e-6)
    assert found.decided == ("normal",)  # likelier ill than not, but below the operating point


def test_grades_of_numbers_that_say_at_least(classified):
    changes = {"classes": ["F0", "F1", "F2"], "kind": "ordinal", "activation": "sigmoid", "thresholds": {"F2": 0.3}}
    found = classified(weight=[[4.0], [-1.0]], bias=[0.0, -0.3], **changes)
    first, second = sigmoid([1.2, -0.6])
    assert found.probabilities == pytest.approx({"F0": 1 - first, "F1": first - second, "F2": second}, abs=1e-6)
    assert found.at_least == pytest.approx({"F0": 1.0, "F1": first, "F2": second}, abs=1e-6)
    assert found.decided == ("F2",)
    assert not any("grade" in text for text in found.warnings)


def test_grades_that_rise_are_told(classified):
    changes = {"classes": ["F0", "F1", "F2"], "kind": "ordinal", "activation": "sigmoid"}
    found = classified(weight=[[-1.0], [4.0]], bias=[-0.3, 0.0], **changes)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert any("a higher grade a greater probability" in text for text in found.warnings)


def test_slices_are_joined_where_that_is_stated(tmp_path, monkeypatch):
    flat = scan(shape=(3, 14, 10))
    means = flat.array.mean((1, 2), dtype=np.float64)
    path = write_network(tmp_path / "net.ts", [[2.0], [-1.0]], [0.0, 0.3], PATCH[1:])
    compute_here(monkeypatch, [[2.0], [-1.0]], [0.0, 0.3])
    changes = {"classes": ["a", "b"], "kind": "multi-label", "spatial_dims": 2, "patch": list(PATCH[1:])}
    each = sigmoid(np.stack([2 * means, 0.3 - means]))
    for join, expected in (("mean", each.mean(1)), ("max", each.max(1))):
        describe_answer(tmp_path / "net.json", **changes, slices=join)
        found = radcnn.classify(flat, open_trusted(path), device="cpu")
        np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-5)
        assert found.provenance["facts"]["slices"] == 3
    describe_answer(tmp_path / "net.json", **changes)
    with pytest.raises(ModelError, match="takes a single picture, but 'scan' has 3 slices"):
        radcnn.classify(flat, open_trusted(path), device="cpu")
    with pytest.raises(ModelError, match="has 3 slices"):
        radcnn.plan(flat, open_trusted(path))


def test_one_scan_is_shown_as_three_channels_with_figures_of_their_own(tmp_path, monkeypatch):
    compute_here(monkeypatch, [[1.0, 10.0, 100.0]], [0.0])
    path = write_network(tmp_path / "net.ts", [[1.0, 10.0, 100.0]], [0.0])
    figures = {"step": "normalize", "mean": [0.1, 0.2, 0.3], "std": [1, 2, 4]}
    changes = {"classes": ["ill"], "kind": "multi-label", "repeat_channels": 3, "intensity": [figures]}
    describe_answer(tmp_path / "net.json", **changes)
    found = radcnn.classify(scan(0.5), open_trusted(path), device="cpu")
    logit = 0.4 / 1 + 10 * 0.3 / 2 + 100 * 0.2 / 4
    assert found.probabilities["ill"] == pytest.approx(sigmoid(logit), abs=1e-5)


@pytest.mark.parametrize(("monochrome1", "mean"), [("bright", None), ("stored", 0.3)])
def test_a_picture_that_is_stored_inverted_is_shown_bright(tmp_path, monkeypatch, monochrome1, mean):
    compute_here(monkeypatch, [[1.0]], [0.0])
    path = write_network(tmp_path / "net.ts", [[1.0]], [0.0])
    describe_answer(tmp_path / "net.json", classes=["ill"], kind="multi-label", monochrome1=monochrome1)
    film = scan().with_metadata(is_inverted=True)
    found = radcnn.classify(film, open_trusted(path), device="cpu")
    shown = float(film.array.max()) - 0.3 if mean is None else mean
    assert found.probabilities["ill"] == pytest.approx(sigmoid(shown), abs=1e-5)


# -- the other faces --------------------------------------------------------------------------------------------------


def test_shell_file_manifest_and_replay_say_the_same(tmp_path, capsys):
    pytest.importorskip("openvino")
    path = write_network(tmp_path / "net.onnx", WEIGHT, BIAS)
    point = {"name": "strict", "threshold": 0.5, "sensitivity": 0.7, "specificity": 0.95}
    keys = {"kind": "multi-label", "thresholds": {"middle": 0.6}, "operating_points": {"high": [point]}}
    describe_answer(tmp_path / "net.json", **keys)
    place = radcnn.write(scan(), tmp_path / "scan.nii.gz")
    words = ["run", str(path), str(place), "-o", str(tmp_path / "out.json"), "--device", "cpu"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "present: high\n" in told
    assert "operating point: strict: high from 0.50, which detects 70 of 100 who have it" in told
    assert f"high: {sigmoid(0.5):.3f}" in told
    plain = json.loads((tmp_path / "out.json").read_text())
    assert list(plain["probabilities"].values()) == pytest.approx(sigmoid(LOGITS), abs=1e-4)
    assert (plain["kind"], plain["decided"]) == ("multi-label", ["high"])
    assert plain["thresholds"] == {"low": 0.5, "middle": 0.6, "high": 0.5}
    manifest = json.loads((tmp_path / "out.json.radcnn.json").read_text())
    assert manifest["model"]["task"] == "classification"
    assert manifest["precision"] == "float32"
    assert list(manifest["result"]["numbers"]) == ["low", "middle", "high"]
    assert main(["replay", str(tmp_path / "out.json.radcnn.json")]) == 0
    assert "identical: the numbers of out.json" in capsys.readouterr().out
    again = radcnn.replay(tmp_path / "out.json.radcnn.json")
    assert again.is_same is True
    assert again.result.decided == ("high",)
    manifest["result"]["numbers"]["high"] += 0.01
    assert radcnn.replay(manifest).is_same is False


def test_the_shell_tells_the_operating_point_that_decides_or_those_there_are():
    points = (OperatingPoint("balanced", 0.5, 0.834, 0.876), OperatingPoint("rule out", 0.05, 0.97, 0.61))
    shown = {"kind": "multi-label", "operating_points": {"mass": points}}
    first = "balanced: mass from 0.50, which detects 83 of 100 who have it and gives 12 false alarms in 100 who do not"
    second = "rule out: mass from 0.05, which detects 97 of 100 who have it and gives 39 false alarms in 100 who do not"
    at_half = radcnn.Classification({"mass": 0.2}, **shown)
    assert numbers(at_half)[2:] == [("operating point", first)]
    set_lower = radcnn.Classification({"mass": 0.2}, thresholds={"mass": 0.05}, **shown)
    assert numbers(set_lower)[2:] == [("operating point", second)]
    elsewhere = radcnn.Classification({"mass": 0.2}, thresholds={"mass": 0.3}, **shown)
    assert numbers(elsewhere)[2:] == [("not chosen", first), ("not chosen", second)]
    # of two exclusive classes the likelier counts, and that is not the point at 0.5 that was tested
    likelier = radcnn.Classification({"normal": 0.8, "mass": 0.2}, operating_points={"mass": points[:1]})
    assert numbers(likelier)[3:] == [("not chosen", first)]


def test_a_classification_is_read_as_it_was_written(tmp_path):
    from napari_radcnn.errors import ReadError
    from napari_radcnn.io.reports import read_classification

    point = OperatingPoint("screening", 0.4, 0.9, 0.7)
    first = radcnn.Classification(
        {"F0": 0.25, "F1": 0.75}, kind="ordinal", thresholds={"F1": 0.4}, operating_points={"F1": (point,)}
    )
    found = read_classification(radcnn.write(first, tmp_path / "a.json"))
    assert (found.probabilities, found.kind, found.thresholds) == (first.probabilities, "ordinal", {"F1": 0.4})
    assert found.operating_points == {"F1": (point,)}
    plain = json.loads(radcnn.write(radcnn.Classification({"a": 0.5, "b": 0.5}), tmp_path / "b.json").read_text())
    assert plain == {"probabilities": {"a": 0.5, "b": 0.5}}  # as before
    (tmp_path / "c.json").write_text('{"probabilities": {"a": 0.5}, "kind": "guess"}')
    with pytest.raises(ReadError, match="no class probabilities"):
        read_classification(tmp_path / "c.json")


# -- what does not fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fit": ...}, "'fit' is missing"),
        ({"fit": "stretch"}, "'fit' is 'stretch'"),
        ({"kind": "some"}, "kind='some'"),
        ({"classes": ["a", "a", "b"]}, "none twice"),
        ({"classes": ["a"]}, "two or more"),
        ({"activation": "sigmoid"}, "must be 'multi-label'"),
        ({"kind": "multi-label", "activation": "softmax"}, "must be 'exclusive'"),
        ({"cumulative": True}, "'cumulative' is for ordinal"),
        ({"temperature": 0}, "'temperature' must be more than 0"),
        ({"thresholds": {"high": 0.3}}, "the most likely one is chosen"),
        ({"kind": "multi-label", "thresholds": {"other": 0.3}}, "for names of: low, middle, high"),
        ({"kind": "multi-label", "thresholds": {"high": 30}}, "between 0 and 1"),
        ({"kind": "ordinal", "thresholds": {"low": 0.3}}, "for names of: middle, high"),
        ({"operating_points": {"high": []}}, "'operating_points' must be lists of points by name"),
        ({"kind": "ordinal", "operating_points": {"low": []}}, "'operating_points' must be lists"),
        ({"kind": "multi-label", "operating_points": {"low": [{"name": "a", "threshold": 0.1}]}}, "'sensitivity' is"),
        ({"slices": "mean"}, "'slices' is for networks of two dimensions"),
        ({"repeat_channels": 0}, "'repeat_channels'"),
        ({"shorter": 8}, "'shorter' is a number of pixels"),
        ({"intensity": [{"step": "fit"}, {"step": "fit"}]}, "may appear only once"),
        ({"schema": "radcnn-model/1"}, 'needs "schema": "radcnn-model/2"'),
        ({"unit": "mo"}, "'unit' is not supported"),
    ],
)
def test_wrong_values_are_named_with_their_line(tmp_path, changes, told):
    path = write_network(tmp_path / "net.onnx", WEIGHT, BIAS)
    describe_answer(tmp_path / "net.json", **changes)
    with pytest.raises(ModelError) as caught:
        radcnn.open_model(path)
    assert told in str(caught.value)
    key = "task" if "schema" in changes else next(iter(changes)) if changes.get("fit") is not ... else ""
    text = (tmp_path / "net.json").read_text().split("\n")
    named = next((n for n, line in enumerate(text, 1) if f'"{key}"' in line), None)
    begins = "net.json: " if named is None else "net.json, line "
    assert str(caught.value).startswith(begins)


@pytest.mark.parametrize(
    ("network", "changes", "told"),
    [
        (
            {"weight": WEIGHT[:2], "bias": BIAS[:2]},
            {},
            "returns 2 numbers, but net.json expects 3 for the 3 classes",
        ),
        ({"end": "Softmax"}, {}, "the network ends in a softmax of its own"),
        ({"end": "Sigmoid"}, {"kind": "multi-label"}, "the network ends in a sigmoid of its own"),
        ({"patch": (6, 7, 8)}, {}, "expects input of shape 1 x 1 x 6 x 7 x 8"),
        ({"patch": (7, 5)}, {}, "expects input of shape 1 x 1 x 7 x 5"),
        ({"weight": [[1.0, 2.0]] * 3}, {}, "expects input of shape 1 x 2 x"),
    ],
)
def test_an_onnx_file_that_does_not_fit_is_refused_when_it_is_opened(tmp_path, network, changes, told):
    path = write_network(tmp_path / "net.onnx", **({"weight": WEIGHT, "bias": BIAS} | network))
    describe_answer(tmp_path / "net.json", **changes)
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(path)


@pytest.mark.parametrize(
    ("network", "changes", "told"),
    [
        ({"weight": WEIGHT[:2], "bias": BIAS[:2]}, {}, "returns 2 numbers, but its description expects 3"),
        ({"end": "Softmax"}, {}, "so they are probabilities already"),
        ({}, {"activation": "none"}, "are not between 0 and 1, so they are logits"),
        ({"end": "Sigmoid"}, {"activation": "none"}, r"add to 1\.45, not 1"),
        ({"bias": [0.0, float("nan"), 1.0]}, {}, "returned NaN"),
        ({"bias": [0.0, float("inf"), 1.0]}, {}, "returned infinity"),
    ],
)
def test_an_answer_that_does_not_fit_is_no_number(classified, network, changes, told):
    with pytest.raises(ModelError, match=f"three-ways: .*{told}") as caught:
        classified(**network, **changes)
    assert "\n" not in str(caught.value)


def test_a_scan_of_another_size_is_refused_where_it_must_be_exact(tmp_path, monkeypatch):
    compute_here(monkeypatch, WEIGHT, BIAS)
    path = write_network(tmp_path / "net.ts", WEIGHT, BIAS)
    describe_answer(tmp_path / "net.json", fit="exact")
    spec = open_trusted(path)
    with pytest.raises(ModelError, match="'scan' is 12 x 14 x 10 voxels where the network takes 6 x 7 x 5"):
        radcnn.classify(scan(), spec, device="cpu")
    exact = scan(shape=PATCH)
    np.testing.assert_allclose(
        list(radcnn.classify(exact, spec, device="cpu").probabilities.values()), softmax(LOGITS), atol=1e-5
    )


def test_logits_that_nearly_add_to_one_are_logits():
    found, told = probabilities_of(np.array([0.4, 0.6005]), Classes(("a", "b")), "net")
    np.testing.assert_allclose(found, softmax(np.array([0.4, 0.6005])))
    assert told == ()
    with pytest.raises(ModelError, match="probabilities already"):
        probabilities_of(np.array([0.4, 0.600001]), Classes(("a", "b")), "net")


def test_numbers_that_may_be_probabilities_already_are_told(classified):
    found = classified(end="Sigmoid", kind="multi-label")
    assert any("before its sigmoid" in text for text in found.warnings)

"""What recomputes the cards' figures says where a card says otherwise."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

models = pytest.importorskip("benchmarks.models.run", reason="the benchmarks lie in the repository only")
from benchmarks.models import failures  # noqa: E402
from benchmarks.models.common import interval, throughput  # noqa: E402
from benchmarks.models.folders import HERE, figures_path  # noqa: E402
from benchmarks.models.panels import Panel  # noqa: E402

STORED = {"held": {"dice": 0.8, "hu": -120.0, "n": 12, "by": ["a", "b"]}, "speed": {"s": 3.0}, "none": None}


def _changed(**changes):
    found = json.loads(json.dumps(STORED))
    found["held"].update(changes)
    return found


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (_changed(), []),
        (_changed(dice=0.815, hu=-121.9), []),
        ({**_changed(), "speed": {"s": 30.0, "more": 1}}, []),
        (_changed(dice=0.82), ["held.dice: the card says 0.8, computed 0.82"]),
        (_changed(hu=-123.0), ["held.hu: the card says -120, computed -123"]),
        (_changed(n=13), ["held.n: the card says 12, computed 13"]),
        (_changed(by=["a", "c"]), ["held.by.1: the card says 'b', computed 'c'"]),
        (_changed(by=["a"]), ["held.by: 2 values stored, 1 computed"]),
        (_changed(more=1), ["held.more: computed, but not stored"]),
        ({"held": STORED["held"]}, ["none: no longer computed"]),
        ({**_changed(), "none": 0.0}, ["none: the card says None, computed 0"]),
    ],
)
def test_only_what_is_off_is_told(found, said):
    assert list(models.differences(STORED, found)) == said


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """One evaluation of two models, whose figures a test may change."""
    figures = {"a": {"rmse": 4.0}, "b": {"auc": 0.9, "n": (1, 2)}}
    module = ModuleType("toy_evaluation")
    module.NAMES, module.evaluate = ("a", "b"), lambda data: figures
    module.__file__ = str(tmp_path / "measure.py")
    monkeypatch.setattr(models, "evaluations", lambda: {"a": module, "b": module})
    monkeypatch.setattr(models, "check_cards", lambda names: [])
    return figures


def test_written_figures_are_found_again_and_a_wrong_card_fails(toy, tmp_path, capsys):
    words = ["--data", str(tmp_path)]
    assert models.main(words) == 1
    assert "a.figures.json is missing" in capsys.readouterr().out
    assert models.main([*words, "--write"]) == 0
    assert json.loads((tmp_path / "b.figures.json").read_text()) == {"auc": 0.9, "n": [1, 2]}
    assert models.main(words) == 0
    toy["b"]["auc"] = 0.8
    assert models.main([*words, "--only", "a"]) == 0
    capsys.readouterr()
    assert models.main(words) == 1
    assert "    auc: the card says 0.9, computed 0.8\n" in capsys.readouterr().out


def test_figures_that_are_no_numbers_are_not_written(toy, tmp_path):
    toy["a"]["rmse"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        models.main(["--data", str(tmp_path), "--write"])
    with pytest.raises(SystemExit, match=r"no evaluation of c; there are: a, b"):
        models.main(["--data", str(tmp_path), "--only", "c"])


def test_a_card_that_is_not_what_its_figures_give_fails(monkeypatch):
    assert models.check_cards(["ct-tissues"]) == []
    (line,) = models.check_cards(["nlm-denoise"])
    assert line.startswith("nlm-denoise: no folder of ")
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, **how: read(path, **how) + ("edited" if path.name == "ct-tissues.md" else "")
    )
    (line,) = models.check_cards(["ct-tissues"])
    assert line == "ct-tissues: ct-tissues.md is not what its figures give: `make cards` writes it"


def test_each_evaluation_names_models_that_there_are():
    from napari_radcnn.models import models as listed

    evaluations = models.evaluations()
    assert {"adrenal-mass", "cxr-pneumonia", "ct-tissues"} <= set(evaluations) <= {spec.name for spec in listed()}
    assert evaluations["adrenal-mass"] is evaluations["cxr-pneumonia"]


def test_the_figures_of_a_model_lie_beside_what_measures_them():
    paths = {figures_path(module, name) for name, module in models.evaluations().items()}
    assert paths == set(HERE.glob("*/*.figures.json"))


def test_failures_are_drawn_of_every_model_that_was_measured():
    assert set(failures.drawers()) == set(models.evaluations())


def test_the_panels_of_a_failure_stand_side_by_side(monkeypatch, tmp_path):
    rows, columns = 30, 60
    area = np.zeros((rows, columns), bool)
    area[:10] = True
    drawn = [Panel(np.zeros((rows, columns)), "", missing=area), Panel(np.ones((rows, rows)), "")]
    monkeypatch.setattr(failures, "MODELS", tmp_path / "models")
    monkeypatch.setattr(failures, "drawers", lambda: {"toy": lambda data: (drawn, f"of {data}")})
    failures.main(["--data", "scans", "--only", "toy"])
    assert (tmp_path / "models" / "toy.failures.txt").read_text() == "of scans\n"
    with Image.open(tmp_path / "models" / "toy.png") as picture:
        values = np.asarray(picture.convert("RGB"))
    assert values.shape == (220, 2 * 220 + 8 + 220, 3)
    assert values[40, 200, 2] > 100 > values[200, 200].max()  # missing is blue, the rest black
    assert values[100, 444].min() == values[100, 600].min() == 255


def test_interval_of_a_mean():
    values = [0.0, 1.0] * 50
    found = interval(values)
    assert (found["n"], found["mean"], found["min"], found["max"]) == (100, 0.5, 0.0, 1.0)
    half = 1.96 * 0.5 / 10  # of the normal approximation
    assert found["low"] == pytest.approx(0.5 - half, abs=0.015)
    assert found["high"] == pytest.approx(0.5 + half, abs=0.015)
    assert interval(values) == found


def test_throughput_is_a_ratio_of_best_times(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("benchmarks.models.common.time", SimpleNamespace(perf_counter=lambda: clock.now))

    def taking(*seconds):
        left = list(seconds)

        def run():
            clock.now += left.pop(0)

        return run

    found = throughput(taking(99, 2, 1, 3), taking(99, 5, 6, 4))  # the first of each warms up
    assert found == {"ratio": 4.0, "ours_s": 1.0, "plain_s": 4.0}

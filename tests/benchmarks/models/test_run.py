"""What recomputes the cards' figures says where a card says otherwise."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

models = pytest.importorskip("benchmarks.models.run", reason="the benchmarks lie in the repository only")
from benchmarks.models.common import interval, throughput  # noqa: E402

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
    monkeypatch.setattr(models, "evaluations", lambda: {"a": module, "b": module})
    monkeypatch.setattr(models, "CARDS", tmp_path)
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


def test_a_card_that_was_edited_fails(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "CARDS", tmp_path)
    (tmp_path / "nlm-denoise.md").write_text("# nlm-denoise\n")
    (line,) = models.check_cards(["nlm-denoise"])
    assert line.startswith("nlm-denoise: ")


def test_each_evaluation_names_models_that_there_are():
    from napari_radcnn.models import models as listed

    assert set(models.evaluations()) <= {spec.name for spec in listed()}
    assert {path.name.removesuffix(".figures.json") for path in models.CARDS.glob("*.figures.json")} <= set(
        models.evaluations()
    )
    assert Path(models.CARDS).is_dir()


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

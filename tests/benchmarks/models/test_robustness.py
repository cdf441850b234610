"""What changed scans do to answers: what is counted, what is written where, and what the card makes of it."""

import json
from types import ModuleType

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume, VolumeMetadata

robustness = pytest.importorskip("benchmarks.models.robustness", reason="the benchmarks lie in the repository only")
from benchmarks.models import run  # noqa: E402
from benchmarks.models.adversary import Step, other_side  # noqa: E402
from benchmarks.models.changes import Changed, mirrored  # noqa: E402

STEP = Step("a step", 1.0, (1.0,), other_side)


def _scan():
    """Return a block of 20 mm, whose right half is brighter, in voxels of 2 x 1 x 1 mm."""
    values = np.zeros((12, 30, 40), np.float32)
    values[2:10, 5:25, 10:20] = 100
    values[2:10, 5:25, 20:24] = 200
    return Volume(values, Geometry.from_parts(values.shape, (2.0, 1.0, 1.0)), VolumeMetadata(modality="MR"))


def _ask(scan):
    return np.digitize(scan.array, [50, 150]).astype(np.uint8)


def _changes(scan):
    dimmer = scan.with_array(np.where(scan.array == 200, 100, scan.array))
    yield Changed("dimmer", dimmer, dimmer)
    yield mirrored(scan)
    shifted = scan.with_array(np.roll(scan.array, 2, 1))
    yield Changed("moved", shifted, shifted)


def test_dice_with_the_plain_answer_by_class():
    classes = {"dark": (1,), "bright": (2,), "nowhere": (7,)}
    trial = robustness.segmented("A block", _scan(), _changes, _ask, classes, STEP)
    dimmer, mirror, moved, step = trial.rows
    assert [row["change"] for row in (dimmer, mirror, moved, step)] == [
        "dimmer",
        "left and right exchanged",
        "moved",
        "a step",
    ]
    assert dimmer["mean Dice"] == pytest.approx((2 * 10 / (10 + 14) + 0) / 2)
    assert (dimmer["lowest"], dimmer["of"]) == (0, "bright")
    assert mirror["mean Dice"] == 1
    assert moved["mean Dice"] == pytest.approx(18 / 20)
    assert step["mean Dice"] == 1  # no network was asked
    assert trial.judged in dimmer


def test_what_the_changed_scan_does_not_show_is_not_counted():
    scan = _scan()
    kept = np.zeros((12, 30, 40), np.uint8)
    kept[:6] = 1

    def cut(_):
        yield Changed("cut", scan, scan, lambda array: array * kept)

    (row, _) = robustness.segmented("", scan, cut, _ask, {"block": (1, 2)}, STEP).rows
    assert row == {"change": "cut", "mean Dice": 1.0}


def test_every_model_that_was_measured_is_tried():
    assert set(robustness.trials()) == set(run.evaluations())


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """One model, whose rows a test may change."""
    rows = [
        {"change": "noise", "Dice": 0.95, "of": "liver", "n": 4},
        {"change": "turned", "Dice": 0.5, "of": "a", "n": 3},
    ]
    module = ModuleType("toy_robustness")
    module.__file__ = str(tmp_path / "robustness.py")

    def trial(data):
        return robustness.Trial("A scan", "Dice.", "Dice", 0.9, 0.75, iter(rows))

    monkeypatch.setattr(robustness, "trials", lambda: {"toy": (module, trial)})
    (tmp_path / "toy.figures.json").write_text(json.dumps({"dice": 0.8}))
    return rows


def test_figures_are_written_beside_those_that_others_measured(toy, tmp_path, capsys):
    words = ["--data", str(tmp_path)]
    assert robustness.main(words) == 1
    assert "robustness.rows: computed, but not stored" in capsys.readouterr().out
    assert robustness.main([*words, "--write"]) == 0
    path = tmp_path / "toy.figures.json"
    kept = json.loads(path.read_text())
    assert kept["dice"] == 0.8
    assert kept["robustness"]["rows"] == toy
    assert robustness.main(words) == 0
    # what measures the rest leaves it, and does not ask for it
    assert run.check(path, {"dice": 0.8}, is_written=False) == []
    run.check(path, {"dice": 0.7}, is_written=True)
    assert json.loads(path.read_text()) == {"dice": 0.7, "robustness": kept["robustness"]}
    toy[1]["Dice"] = 0.9
    capsys.readouterr()
    assert robustness.main(words) == 1
    assert "robustness.rows.1.Dice: the card says 0.5, computed 0.9" in capsys.readouterr().out


def test_an_unknown_model_and_a_missing_folder_are_refused(toy, tmp_path, capsys):
    with pytest.raises(SystemExit):
        robustness.main(["--data", str(tmp_path), "--only", "none"])
    assert "invalid choice: 'none'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        robustness.main(["--data", str(tmp_path / "none")])
    assert "is not a folder" in capsys.readouterr().err

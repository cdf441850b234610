"""The queue of trainings: begun, stopped, gone on with, one after the other, away from where the files lie."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patience import PATIENCE

REPOSITORY = Path(__file__).parents[2]

#: A recipe that learns y = x1 + x2 + x3 a sample every hundredth of a second, and one that cannot begin.
TOY = """
import time
from dataclasses import dataclass
from napari_radcnn.training.run import Schedule, Training

@dataclass(frozen=True)
class Recipe(Schedule):
    minutes: float = 60.0
    samples: int = 100000
    rate: float = 0.05

def train(data, out, recipe, threads):
    import torch
    torch.set_num_threads(threads)
    if (data / "broken").exists():
        raise ValueError("these scans are no scans")
    training = Training(lambda: torch.nn.Linear(3, 1), out, recipe)
    while not training.is_over and not (out / "enough").exists():
        x = torch.randn(8, 3)
        loss = (training.network(x) - x.sum(1, keepdim=True)).square().mean()
        training.count(8)
        training.learn(loss)
        training.keep(now=training.steps % 10 == 0)
        time.sleep(0.01)
    return training.write("toy", [])
"""


@pytest.fixture
def repository(tmp_path):
    """A repository of the queue, the package without its weights, and the toy recipe."""
    root = tmp_path / "repository"
    package = root / "src" / "napari_radcnn"
    no_weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(REPOSITORY / "src" / "napari_radcnn", package, ignore=no_weights)
    toy = package / "training" / "toy"
    toy.mkdir()
    (toy / "__init__.py").write_text('RECIPES = {"toy": "recipe"}\n')
    (toy / "recipe.py").write_text(TOY)
    (root / "scripts").mkdir()
    shutil.copy2(REPOSITORY / "scripts" / "train_queue", root / "scripts")
    (tmp_path / "scans").mkdir()
    (tmp_path / "no-scans").mkdir()
    (tmp_path / "no-scans" / "broken").touch()
    yield root
    if (tmp_path / "training-state" / "queue.toml").exists():
        subprocess.run([sys.executable, root / "scripts" / "train_queue", "stop"], check=False, timeout=PATIENCE)


def _queue(root, *words, expected=0):
    script = root / "scripts" / "train_queue"
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == expected, done.stderr
    return done.stdout + done.stderr


def _write(root, *trainings, head="", nice=0):
    state = root.parent / "training-state"
    state.mkdir(exist_ok=True)
    entries = "\n".join(f"[[training]]\n{training}\n" for training in trainings)
    (state / "queue.toml").write_text(f'python = "{sys.executable}"\nnice = {nice}\n{head}\n{entries}')
    return state


def _wait_for(is_so, what):
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until, f"waited for: {what}"
        time.sleep(0.05)


def _samples(state, name="toy"):
    """Return the samples seen, as its log says; 0 without a log."""
    log = state / name / "log.csv"
    rows = list(csv.DictReader(log.open())) if log.exists() else []
    return int(rows[-1]["samples"] or 0) if rows else 0


def _state_of(state, name):
    path = state / "queue.json"
    known = json.loads(path.read_text())["trainings"] if path.exists() else {}
    return known.get(name, {}).get("state")


def test_a_training_is_stopped_and_goes_on_where_it_was(repository):
    state = _write(repository, 'recipe = "toy"\nhours = 1\ndata = "../scans"')
    assert "started: toy" in _queue(repository, "start")
    _wait_for(lambda: _samples(state) >= 160, "some samples")
    assert "running, process" in _queue(repository, "status")
    assert "is already running" in _queue(repository, "start", expected=1)
    process = json.loads((state / "queue.json").read_text())["training"]
    assert "stopped" in _queue(repository, "stop")
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    before = _samples(state)
    said = _queue(repository, "status")
    assert "not running" in said
    assert "stopped" in said
    assert f"samples {before}" in said
    assert _queue(repository, "stop") == "nothing is running\n"

    _queue(repository, "start")
    _wait_for(lambda: _samples(state) > before, "more samples than before")
    rows = list(csv.DictReader((state / "toy" / "log.csv").open()))
    seen = [int(row["samples"]) for row in rows]
    assert seen == sorted(seen)
    assert seen[:2] == [80, 160]
    assert 8 * int(rows[-1]["steps"]) == seen[-1]


def test_it_stands_back_behind_whatever_else_runs(repository):
    state = _write(repository, 'recipe = "toy"\nhours = 1\ndata = "../scans"')
    path = state / "queue.toml"
    path.write_text(path.read_text().replace("nice = 0\n", ""))
    _queue(repository, "start")
    process = json.loads((state / "queue.json").read_text())["pid"]
    _wait_for(lambda: os.getpriority(os.PRIO_PROCESS, process) == 19, "the lowest priority")
    if hasattr(os, "sched_getaffinity"):
        _wait_for(lambda: os.sched_getaffinity(process) == {max(os.sched_getaffinity(0))}, "one core")
    if Path("/proc/self/autogroup").exists():  # processes of other sessions are only behind by the group's niceness
        queue = state / "queue.json"
        _wait_for(lambda: "training" in json.loads(queue.read_text()), "a training")
        group = Path("/proc") / str(json.loads(queue.read_text())["training"]) / "autogroup"
        _wait_for(lambda: group.read_text().endswith("nice 19\n"), "the lowest priority of its group")


def test_files_that_move_after_the_start_do_no_harm(repository):
    state = _write(repository, 'recipe = "toy"\nhours = 1\ndata = "../scans"')
    _queue(repository, "start")
    (repository / "src").rename(repository / "moved")
    _wait_for(lambda: _samples(state) >= 80, "samples from the copy")


def test_the_next_one_follows_and_one_that_fails_is_named(repository):
    state = _write(
        repository,
        'recipe = "toy"\nname = "short"\nhours = 1\noptions = ["--seed", "4"]',
        'recipe = "toy"\nname = "bad"\nhours = 1\ndata = "../no-scans"',
        'recipe = "napari_radcnn.training.none"\nhours = 1',
        'recipe = "toy"\nname = "last"\nhours = 1',
        head='data = "../scans"',
    )
    _queue(repository, "start")
    _wait_for(lambda: _samples(state, "short") > 0, "the first one")
    assert _state_of(state, "short") == "training"
    (state / "short" / "enough").touch()
    _wait_for(lambda: _samples(state, "last") > 0, "the last one")
    assert [_state_of(state, name) for name in ("short", "bad", "none", "last")] == [
        "done",
        "failed",
        "failed",
        "training",
    ]
    about = json.loads((state / "short" / "toy.json").read_text())
    assert about["recipe"]["seed"] == 4
    said = _queue(repository, "status").splitlines()
    bad = next(n for n, line in enumerate(said) if line.startswith("bad "))
    assert "failed" in said[bad]
    assert "exit status 1: ValueError: these scans are no scans" in said[bad + 1]
    assert "No module named napari_radcnn.training.none" in "".join(said)
    (state / "last" / "enough").touch()
    _wait_for(lambda: "not running" in _queue(repository, "status"), "the end")
    assert _state_of(state, "last") == "done"


def test_what_is_added_is_in_the_queue_and_comes_last(repository):
    state = repository.parent / "training-state"
    _queue(repository, "add", "toy", "1.5", "--data", str(repository.parent / "scans"))
    _queue(repository, "add", "toy", "2", "--name", "other", "--data", str(repository.parent / "scans"))
    said = _queue(repository, "status")
    assert said.index("toy, 1.5 h") < said.index("toy, 2 h")
    assert said.count("waiting") == 2
    before = (state / "queue.toml").read_text()
    assert "two trainings are called 'toy'" in _queue(
        repository, "add", "toy", "1", "--data", str(repository), expected=1
    )
    assert "name the folder of its scans" in _queue(repository, "add", "toy", "1", expected=1)
    assert (state / "queue.toml").read_text() == before
    assert "must be more than 0" in _queue(repository, "add", "toy", "-1", "--name", "third", expected=1)


@pytest.mark.parametrize(
    ("training", "head", "said"),
    [
        ('recipe = "toy"\nhours = 0', 'data = "."', "a recipe and more than 0 hours are needed"),
        ("hours = 1", 'data = "."', "a recipe and more than 0 hours are needed"),
        ('recipe = "toy"\nhours = 1', "", "name the folder of its scans"),
        ('recipe = "toy"\nhours = 1\nhour = 2', 'data = "."', "unknown: hour"),
        ('recipe = "toy"\nhours = 1\nname = "../x"', 'data = "."', "cannot be the name of a folder"),
        ('recipe = "toy"\nhours = 1', 'data = "."\ncores = 2', "unknown: cores"),
        ('recipe = "toy"\nhours = 1', 'data = "."\ncore = 4096', "there is no core 4096"),
        ('recipe = "toy"\nhours = 1', 'data = "."\nnice = 20', "nice is 20: it must be 0 to 19"),
        ("recipe = ", "", "is not valid TOML"),
    ],
)
def test_a_queue_that_cannot_be_worked_through_is_refused(repository, training, head, said):
    state = _write(repository, training, head=head)
    if "nice" in head:
        (state / "queue.toml").write_text((state / "queue.toml").read_text().replace("nice = 0\n", ""))
    assert said in _queue(repository, "start", expected=1)
    assert not (repository.parent / "training-state" / "code").exists()


def test_without_a_queue_it_says_how_to_make_one(repository):
    assert "train_queue add RECIPE HOURS" in _queue(repository, "status", expected=1)
    _write(repository)
    assert "contains no training" in _queue(repository, "start", expected=1)

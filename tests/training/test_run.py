"""The state of a training: the laws it follows, and that it goes on as if it had never been ended."""

import csv
import hashlib
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from napari_radcnn.errors import ModelError
from napari_radcnn.networks.safetensors import load_safetensors
from napari_radcnn.training import run as run_module
from napari_radcnn.training.run import Schedule, Training, mixed_precision


class Clock:
    """A clock that only a test moves."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(run_module, "time", made)
    return made


def _build():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))


def _batch(number):
    rng = np.random.default_rng(number)
    data = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
    return data, data.sum(1, keepdim=True) * 2


def _step(training, number):
    data, target = _batch(number)
    training.learn(torch.nn.functional.mse_loss(training.network(data), target))


def _rate_of(training):
    return training._optimizer.param_groups[0]["lr"]


def test_the_learning_rate_rises_over_200_steps_and_falls_along_a_half_cosine(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule(minutes=10, rate=0.01))
    _step(training, 0)
    assert _rate_of(training) == pytest.approx(0.01 / 200)
    training.steps = 99
    _step(training, 0)
    assert _rate_of(training) == pytest.approx(0.01 * 100 / 200)
    training.steps = 5000
    for share in (0.0, 0.25, 0.5, 1.0, 1.7):
        clock.now = 1000.0 + 600 * share
        assert training.share == pytest.approx(share)
        _step(training, 0)
        expected = 0.01 + 0.99 * (1 + math.cos(math.pi * min(share, 1))) / 2
        assert _rate_of(training) == pytest.approx(0.01 * expected), share


def test_a_schedule_of_samples_has_a_constant_rate_that_falls_at_the_end(tmp_path, clock):
    schedule = Schedule(minutes=100, samples=10_000, falling=0.2, rate=0.01)
    training = Training(_build, tmp_path, schedule)
    training.steps = 5000

    def rate_at(samples, minutes=0.0):
        training.samples, clock.now = samples, 1000.0 + 60 * minutes
        _step(training, 0)
        return _rate_of(training)

    for samples in (0, 5000, 8000):
        assert rate_at(samples) == pytest.approx(0.01), samples
    assert rate_at(9000) == pytest.approx(0.01 * (0.01 + 0.99 / 2))
    assert rate_at(9500) == pytest.approx(0.01 * (0.01 + 0.99 * (1 + math.cos(0.75 * math.pi)) / 2))
    assert not training.is_over
    assert rate_at(10_000) == pytest.approx(0.0001)
    assert training.is_over
    # where time is shorter, it decides
    assert rate_at(1000, minutes=80) == pytest.approx(0.01)
    assert rate_at(1000, minutes=90) == pytest.approx(0.01 * (0.01 + 0.99 / 2))
    assert not training.is_over
    clock.now = 1000.0 + 60 * 100
    assert training.is_over


def test_samples_are_counted_logged_and_gone_on_with(tmp_path, clock):
    schedule = Schedule(samples=100)
    training = Training(_build, tmp_path, schedule)
    for number in range(3):
        data, target = _batch(number)
        training.count(len(data))
        training.learn(torch.nn.functional.mse_loss(training.network(data), target))
    training.keep(now=True)
    again = Training(_build, tmp_path, schedule)
    assert (again.samples, again.share) == (24, pytest.approx(0.24))
    assert [row["samples"] for row in csv.DictReader((tmp_path / "log.csv").open())] == ["24"]
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["samples"]  # as before samples were counted
    torch.save(state, tmp_path / "checkpoint.pt")
    old = Training(_build, tmp_path, schedule)
    assert (old.samples, old.steps) == (0, 3)


def test_the_average_follows_the_weights_by_its_law(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule(average=0.25, rate=0.1))
    average = {name: value.clone() for name, value in training.average.state_dict().items()}
    for number in range(5):
        _step(training, number)
        keep = min(0.25, (1 + training.steps) / (10 + training.steps))
        for name, value in training.network.state_dict().items():
            is_real = value.is_floating_point()
            average[name] = keep * average[name] + (1 - keep) * value if is_real else value.clone()
    for name, value in training.average.state_dict().items():
        torch.testing.assert_close(value, average[name])
    first = training.network.state_dict()["0.weight"]
    assert not torch.allclose(first, average["0.weight"])
    assert not training.average.training
    assert training.average.state_dict()["1.num_batches_tracked"] == 5


def test_ended_and_gone_on_with_it_is_where_it_would_have_been(tmp_path, clock):
    schedule = Schedule(minutes=2, rate=0.05)

    def train(training, steps):
        for number in steps:
            _step(training, number)
            clock.now += 5

    whole = Training(_build, tmp_path / "whole", schedule)
    train(whole, range(8))
    share = whole.share
    clock.now = 50_000.0
    begun = Training(_build, tmp_path / "parts", schedule)
    train(begun, range(3))
    begun.keep(now=True)
    clock.now = 90_000.0  # the time in between does not count
    resumed = Training(_build, tmp_path / "parts", schedule)
    assert (resumed.steps, resumed.share) == (3, pytest.approx(15 / 120))
    train(resumed, range(3, 8))
    for network in ("network", "average"):
        for name, value in getattr(whole, network).state_dict().items():
            assert torch.equal(value, getattr(resumed, network).state_dict()[name]), (network, name)
    assert resumed.share == pytest.approx(share)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_changes_no_weight(tmp_path, clock, bad):
    training = Training(_build, tmp_path, Schedule())
    _step(training, 0)
    before = {name: value.clone() for name, value in training.network.named_parameters()}
    data, _ = _batch(1)
    training.learn(training.network(data).mean() * bad)
    assert (training.skipped, training.steps) == (1, 2)
    assert all(torch.equal(value, before[name]) for name, value in training.network.named_parameters())
    _step(training, 2)
    assert training.skipped == 1
    changed = {
        name: value for name, value in training.network.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed


def test_the_checkpoint_of_another_network_is_refused(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule())
    _step(training, 0)
    training.keep(now=True)
    with pytest.raises(ModelError, match=r"checkpoint\.pt belongs to another network: train in an empty folder"):
        Training(lambda: torch.nn.Linear(3, 1), tmp_path, Schedule())


@pytest.mark.parametrize("damage", ["cut short", "of another kind", "empty", "pickled code"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path, clock, damage):
    training = Training(_build, tmp_path, Schedule(minutes=1))
    _step(training, 0)
    training.keep(now=True)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    if damage == "of another kind":
        torch.save({"state_dict": {}}, path)
    else:
        made = {"cut short": whole[: len(whole) // 2], "empty": b"", "pickled code": b"cos\nsystem\n(S'true'\ntR."}
        path.write_bytes(made[damage])
    with pytest.raises(ModelError, match="checkpoint") as caught:
        Training(_build, tmp_path, Schedule(minutes=1))
    assert "\n" not in str(caught.value)
    assert ("is no checkpoint of a training" if damage == "of another kind" else "is damaged") in str(caught.value)


def test_it_logs_twice_a_minute_and_keeps_every_two_minutes(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule())
    _step(training, 0)
    assert not training.keep()
    assert not (tmp_path / "log.csv").exists()
    clock.now += 31
    assert training.keep(held_out=0.5)
    clock.now += 88
    assert training.keep()
    assert not (tmp_path / "checkpoint.pt").exists()
    _step(training, 1)
    clock.now += 2
    assert not training.keep()
    assert (tmp_path / "checkpoint.pt").exists()


def test_columns_that_come_and_go_stay_in_their_places(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule())
    for figures, columns in (({"dice": 0.5}, {}), ({"dice": 0.7}, {"held_out": 0.4}), ({"dice": 0.8}, {})):
        data, target = _batch(0)
        training.learn(torch.nn.functional.mse_loss(training.network(data), target), **figures)
        clock.now += 60
        training.keep(now=True, **columns)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["dice"] for row in rows] == ["0.5000", "0.7000", "0.8000"]
    assert [row["held_out"] for row in rows] == ["", "0.4000", ""]
    assert [row["minutes"] for row in rows] == ["1.0000", "2.0000", "3.0000"]
    assert [row["skipped"] for row in rows] == ["0", "0", "0"]


def test_what_is_written_is_the_average_in_half_precision_with_its_hash(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule(minutes=3, seed=4))
    for number in range(4):
        _step(training, number)
    training.keep(now=True)
    path = training.write("toy", ["scan A", "scan B"], temperature=1.5)
    assert path == tmp_path / "toy.safetensors"
    about = json.loads((tmp_path / "toy.json").read_text())
    assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert about["recipe"] == json.loads(json.dumps(asdict(Schedule(minutes=3, seed=4))))
    assert (about["steps"], about["trained_on"], about["temperature"]) == (4, ["scan A", "scan B"], 1.5)
    tensors = load_safetensors(path)
    expected = {k: v for k, v in training.average.state_dict().items() if v.is_floating_point()}
    assert set(tensors) == set(expected)
    for name, value in tensors.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, expected[name].half())
    assert (tmp_path / "toy.svg").read_text().startswith("<svg")


def test_it_begins_with_given_weights_and_leaves_frozen_ones_alone(tmp_path, clock):
    first = Training(_build, tmp_path / "first", Schedule(rate=0.1))
    for number in range(20):
        _step(first, number)
    path = first.write("toy", [])
    schedule = Schedule(seed=7, rate=0.1, init_from=str(path), frozen=("0.", "1."))
    second = Training(_build, tmp_path / "second", schedule)
    given = load_safetensors(path)
    for network in (second.network, second.average):
        assert all(torch.equal(network.state_dict()[name].half(), value) for name, value in given.items())
    for number in range(3):
        _step(second, number)
    for name, value in second.network.state_dict().items():
        is_same = name not in given or torch.equal(value.half(), given[name])
        assert is_same != name.startswith("2."), name
    about = json.loads(second.write("toy", []).with_suffix(".json").read_text())
    assert (about["recipe"]["init_from"], about["recipe"]["frozen"]) == ("toy.safetensors", ["0.", "1."])


def test_tensors_of_another_shape_are_left_fresh(tmp_path, clock):
    path = Training(_build, tmp_path / "first", Schedule()).write("toy", [])

    def wider():
        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 5))

    network = Training(wider, tmp_path / "wider", Schedule(seed=2, init_from=str(path))).network
    assert torch.equal(network[0].weight.half(), load_safetensors(path)["0.weight"])
    assert network[2].weight.shape == (5, 4)


def test_what_cannot_be_begun_with_or_frozen_is_refused(tmp_path, clock):
    path = Training(_build, tmp_path / "first", Schedule()).write("toy", [])
    with pytest.raises(ModelError, match=r"none\.safetensors does not exist"):
        Training(_build, tmp_path / "a", Schedule(init_from=str(tmp_path / "none.safetensors")))
    with pytest.raises(ModelError, match="no tensor that matches"):
        Training(lambda: torch.nn.Linear(7, 7), tmp_path / "b", Schedule(init_from=str(path)))
    with pytest.raises(ModelError, match=r"begins with 'down'; names begin with: 0, 1, 2"):
        Training(_build, tmp_path / "c", Schedule(frozen=("down",)))


def test_a_training_without_patience_goes_to_the_end_and_keeps_its_last_weights(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule(minutes=10))
    training.watch(0.9)
    _step(training, 0)
    last = {name: value.clone() for name, value in training.average.state_dict().items()}
    clock.now += 599
    training.watch(0.1)
    assert not training.is_over
    clock.now += 1
    assert training.is_over
    training.settle()
    assert all(torch.equal(value, last[name]) for name, value in training.average.state_dict().items())


def test_a_training_that_gets_no_better_ends_early_with_its_best_weights_also_after_an_interruption(tmp_path, clock):
    schedule = Schedule(minutes=10, patience=2)
    training = Training(_build, tmp_path, schedule)
    assert not training.is_over
    _step(training, 0)
    clock.now += 60
    training.watch(0.8)
    best = {name: value.clone() for name, value in training.average.state_dict().items()}
    for number in range(5):
        _step(training, number)
    clock.now += 60
    training.watch(0.7)
    training.keep(now=True)
    again = Training(_build, tmp_path, schedule)
    clock.now += 59
    assert not again.is_over
    clock.now += 2
    assert again.is_over
    assert not all(torch.equal(value, best[name]) for name, value in again.average.state_dict().items())
    again.settle()
    assert all(torch.equal(value, best[name]) for name, value in again.average.state_dict().items())


def test_patience_without_anything_to_watch_changes_nothing(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule(minutes=10, patience=1))
    clock.now += 300
    assert not training.is_over


def test_weights_say_what_they_began_with(tmp_path, clock):
    first = Training(_build, tmp_path / "first", Schedule(minutes=10))
    for number in range(3):
        _step(first, number)
    path = first.write("net", ["a scan"])
    second = Training(_build, tmp_path / "second", Schedule(minutes=5, init_from=str(path)))
    _step(second, 3)
    about = json.loads(second.write("net", ["a scan"]).with_suffix(".json").read_text())
    assert about["steps"] == 1
    assert about["begun_with"]["steps"] == 3
    assert about["begun_with"]["recipe"]["minutes"] == 10
    assert about["begun_with"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").unlink()
    assert "begun_with" not in json.loads(second.write("net", []).with_suffix(".json").read_text())


@pytest.mark.parametrize(("computes", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_networks_compute_in_bfloat16_only_where_the_processor_does(monkeypatch, computes, expected):
    monkeypatch.setattr(run_module, "cpu_computes_bfloat16", lambda backend: computes)
    layer = torch.nn.Linear(3, 2)
    with mixed_precision():
        assert layer(torch.ones(1, 3)).dtype == expected


def test_a_training_that_goes_on_only_to_its_end_adds_no_row(tmp_path, clock):
    training = Training(_build, tmp_path, Schedule(minutes=10))
    _step(training, 0)
    training.keep(now=True)
    again = Training(_build, tmp_path, Schedule(minutes=10))
    again.keep(now=True)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["steps"] for row in rows] == ["1"]
    assert math.isfinite(float(rows[0]["loss"]))

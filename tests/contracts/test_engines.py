"""What every engine keeps to, ours and those of installed packages: the rows of docs/how-to/add-an-engine.md."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

import fake_nninteractive
from alike_engine import AlikeEngine
from box_network import BrightInBox
from bright_engine import BrightEngine
from napari_radcnn.errors import CancelledError, RadcnnError, SessionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.litemedsam.engine import LiteMedSamEngine
from napari_radcnn.interactive.engines.nninteractive.engine import NnInteractiveEngine
from napari_radcnn.interactive.engines.nninteractive.session import VARIABLE
from napari_radcnn.interactive.engines.registry import engine_specs, open_engine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.phantom import rotation
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume, VolumeMetadata

SETTINGS = RunSettings(device="cpu", precision="float32")
#: Those whose network takes long, or whose weights are never here, with a stand-in for the network.
STAND_INS = {
    "few-clicks": AlikeEngine,
    "promptable-3d": BrightEngine,
    "litemedsam": lambda: LiteMedSamEngine(SETTINGS, BrightInBox()),
    "nninteractive": lambda: NnInteractiveEngine(SETTINGS),
}
GRID = Geometry.from_parts(
    (12, 40, 36), (2.5, 0.9, 0.8), (-31.0, 17.5, 40.25), rotation(12.0, -9.0, 17.0) @ np.eye(3)[:, ::-1]
)
CENTER, RADIUS = (6, 19, 17), 9.0


def ball(center=CENTER, radius=RADIUS):
    index = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1)
    return (((index - np.array(center)) * GRID.spacing) ** 2).sum(-1) <= radius**2


def scan(array=None):
    """Return a bright ball, nowhere near the middle, in integers; or other values on the same grid."""
    if array is None:
        array = np.where(ball(), 240, 40) + np.random.default_rng(3).normal(0, 4, GRID.shape)
        array = array.astype(np.int16)
    array.setflags(write=False)
    return Volume(array, GRID, VolumeMetadata("ball", "MR"))


def at(*index):
    return GRID.to_world(index)


#: One of each kind, inside of the ball.
PROMPTS = {
    "point": Prompt.point(at(*CENTER)),
    "scribble": Prompt.scribble([at(6, 16, 14), at(6, 21, 20)]),
    "box": Prompt.box(at(6, 8, 5), at(6, 8, 29), at(6, 30, 5)),
    "deep box": Prompt.box(at(2, 8, 5), at(2, 8, 29), at(2, 30, 5), at(10, 8, 5)),
    "lasso": Prompt.lasso([at(6, 10, 7), at(6, 10, 27), at(6, 28, 27), at(6, 28, 7)]),
}


@pytest.fixture(params=engine_specs(), ids=lambda spec: spec.name)
def make(request, monkeypatch, tmp_path):
    """A function that opens one of the engines."""
    name = request.param.name
    if name == "nninteractive":
        fake_nninteractive.install(monkeypatch, "inference_session")
        monkeypatch.setenv(VARIABLE, str(fake_nninteractive.write_weights(tmp_path / "nnInteractive_v1.0")))
    opened = []

    def make():
        opened.append(STAND_INS[name]() if name in STAND_INS else open_engine(name, SETTINGS))
        assert opened[-1].name == name
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


def ask(engine, volume, *prompts, current=None, cancel=None):
    """Return the mask after a prompt, with all that an engine must not touch read-only."""
    current = np.zeros(GRID.shape, bool) if current is None else current.copy()
    current.setflags(write=False)
    update = engine.predict(EngineRequest(volume, prompts, current), Monitor(1, None, cancel))
    assert isinstance(update, MaskUpdate)
    assert all(0 <= extent.start <= extent.stop <= n for extent, n in zip(update.box, GRID.shape, strict=True))
    mask = current.copy()
    mask[update.box] = update.mask
    return mask


def answer_or_refusal(engine, volume, *prompts, current=None):
    """Return the mask after a prompt; where the engine takes no such prompts, the line that says so."""
    try:
        return ask(engine, volume, *prompts, current=current)
    except RadcnnError as error:
        return str(error)


def test_there_are_engines_to_look_at():
    assert len(engine_specs()) >= 4
    assert set(STAND_INS) <= {spec.name for spec in engine_specs()}


@pytest.mark.parametrize("kind", PROMPTS)
def test_every_kind_of_prompt_is_answered_or_refused_in_a_line(make, kind):
    found = answer_or_refusal(make(), scan(), PROMPTS[kind])
    if isinstance(found, str):
        assert kind != "point" or "box" in found
        assert "\n" not in found
        assert len(found) > 20
    else:
        assert 2 * (found & ball()).sum() > found.sum() > 0  # most of it is the ball


def test_few_clicks_with_its_own_network_answers_every_kind_of_prompt_twice_alike():
    engine, volume = open_engine("few-clicks", SETTINGS), scan()
    found = {kind: ask(engine, volume, prompt) for kind, prompt in PROMPTS.items()}
    for kind, mask in found.items():
        assert 2 * (mask & ball()).sum() > mask.sum() > 0, kind  # most of it is the ball
    np.testing.assert_array_equal(ask(engine, volume, PROMPTS["deep box"]), found["deep box"])
    negative = Prompt.point(at(6, 19, 14), positive=False)
    assert not ask(engine, volume, PROMPTS["point"], negative, current=found["point"])[6, 19, 14]
    engine.close()


def test_a_click_belongs_to_the_object_and_a_negative_one_does_not(make):
    engine, volume = make(), scan()
    first = ask(engine, volume, PROMPTS["point"])
    assert first[CENTER]
    negative = Prompt.point(at(6, 19, 14), positive=False)
    second = ask(engine, volume, PROMPTS["point"], negative, current=first)
    assert not second[6, 19, 14]


def test_a_negative_prompt_on_an_empty_object_adds_nothing(make):
    found = answer_or_refusal(make(), scan(), Prompt.point(at(*CENTER), positive=False))
    assert isinstance(found, str) or not found.any()


def test_the_same_request_is_answered_the_same(make):
    engine, volume = make(), scan()
    first = ask(engine, volume, PROMPTS["point"])
    negative = Prompt.point(at(6, 19, 14), positive=False)
    second = ask(engine, volume, PROMPTS["point"], negative, current=first)
    np.testing.assert_array_equal(ask(engine, volume, PROMPTS["point"]), first)
    np.testing.assert_array_equal(ask(make(), volume, PROMPTS["point"], negative, current=first), second)


def test_another_scan_is_not_answered_from_the_last_one(make):
    engine = make()
    elsewhere = (5, 12, 24)
    other = np.where(ball(elsewhere, 6.0), 240, 40).astype(np.int16)
    ask(engine, scan(), PROMPTS["point"])
    found = ask(engine, scan(other), Prompt.point(at(*elsewhere)))
    np.testing.assert_array_equal(found, ask(make(), scan(other), Prompt.point(at(*elsewhere))))
    assert found[elsewhere]


def test_preparing_and_closing_change_no_answer(make):
    engine, volume = make(), scan()
    first = ask(make(), volume, PROMPTS["point"])
    engine.prepare(volume, Monitor(1))
    np.testing.assert_array_equal(ask(engine, volume, PROMPTS["point"]), first)
    engine.close()
    engine.close()
    assert engine.name


VALUES = {
    "constant": np.full(GRID.shape, 7, np.int16),
    "nothing": np.full(GRID.shape, np.nan, np.float32),
    "holes": np.where(np.indices(GRID.shape).sum(0) % 7 == 0, np.nan, np.where(ball(), 240.0, 40.0)).astype(np.float32),
    "endless": np.where(np.indices(GRID.shape)[2] == 30, np.inf, np.where(ball(), 240.0, 40.0)),
    "unsigned": np.where(ball(), 60_000, 40).astype(np.uint16),
}


@pytest.mark.parametrize("case", VALUES)
def test_awkward_values_are_answered_or_refused(make, case):
    engine, volume = make(), scan(VALUES[case])
    found = answer_or_refusal(engine, volume, PROMPTS["point"])
    assert "\n" not in found if isinstance(found, str) else found.shape == GRID.shape


def test_a_set_cancel_stops_it_and_the_next_prompt_works(make):
    cancel = Event()
    cancel.set()
    volume = scan()
    with PromptSession(volume, engine=make(), autosave=False) as session:
        with pytest.raises(CancelledError):
            session.add(PROMPTS["point"], cancel=cancel)
        assert not session.labels.any()
        session.add(PROMPTS["point"])
        assert session.labels[CENTER] == 1


def test_a_prompt_outside_of_the_scan_changes_nothing(make):
    with PromptSession(scan(), engine=make(), autosave=False) as session:
        session.add(PROMPTS["point"])
        before = session.labels.copy()
        for outside in (Prompt.point(at(6, 60, 17)), Prompt.box(at(20, 8, 5), at(20, 8, 29), at(20, 30, 5))):
            with pytest.raises(SessionError, match="outside the scan"):
                session.add(outside, 1)
        np.testing.assert_array_equal(session.labels, before)


def test_undo_and_redo_give_the_same_voxels(make):
    with PromptSession(scan(), engine=make(), autosave=False) as session:
        session.add(PROMPTS["point"])
        first = session.labels.copy()
        session.add(Prompt.point(at(*CENTER), positive=False), 1)
        second = session.labels.copy()
        assert first[CENTER] == 1
        assert second[CENTER] == 0
        session.undo()
        np.testing.assert_array_equal(session.labels, first)
        session.redo()
        np.testing.assert_array_equal(session.labels, second)
        session.undo()
        session.add(Prompt.point(at(*CENTER), positive=False), 1)  # the same once more
        np.testing.assert_array_equal(session.labels, second)


def test_locked_objects_keep_their_voxels(make):
    with PromptSession(scan(), engine=make(), autosave=False) as session:
        session.add(PROMPTS["point"])
        locked = session.labels == 1
        session.lock(1)
        other = session.add_object("other").value
        session.add(Prompt.point(at(6, 2, 2)), other)
        session.add(Prompt.scribble([at(6, 2, 2), at(6, 19, 17)], radius=3.0), other)
        np.testing.assert_array_equal(session.labels == 1, locked)


def test_prompts_cover_what_the_tests_say():
    for prompt in PROMPTS.values():
        covered = rasterize(prompt, GRID)
        mask = np.zeros(GRID.shape, bool)
        mask[covered.box] = covered.mask
        assert mask[CENTER] or prompt.kind in ("scribble",)

"""A session from its first prompt to its result: what it does, what it refuses, what is left of it afterwards."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn
from napari_radcnn.errors import CancelledError, JournalError, ModelError, OptionError, ResourceError, SessionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.journal.journal import Journal, saved_sessions
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools import Clear, Combine, Grow, Paint
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.provenance import identify, voxel_hash
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume, VolumeMetadata
from patience import PATIENCE
from sources import CountingSource
from toy_engine import BallEngine

SHAPE = (13, 31, 37)


def scan(seed: int = 0, uid: str = "1.2.3") -> Volume:
    values = np.random.default_rng(seed).normal(100, 20, SHAPE).astype(np.int16)
    return Volume(values, oblique_geometry(SHAPE), VolumeMetadata(name="scan", frame_of_reference_uid=uid))


def at(session: PromptSession, *index: float, positive: bool = True, uid: str = "") -> Prompt:
    return Prompt.point(session.geometry.to_world(index), positive=positive, frame_of_reference_uid=uid)


@pytest.fixture
def engine() -> BallEngine:
    return BallEngine()


@pytest.fixture
def session(engine: BallEngine, tmp_path: Path) -> PromptSession:
    return PromptSession(scan(), engine=engine, folder=tmp_path)


def everything(session: PromptSession) -> tuple[object, ...]:
    prompts = {item.value: session.prompts(item.value) for item in session.objects}
    volumes = {item.value: session.volume_ml(item.value) for item in session.objects}
    return session.labels.tobytes(), session.objects, prompts, volumes


# -- prompts and objects -----------------------------------------------------------------------------------------------


def test_a_click_makes_an_object_of_the_expected_size(session) -> None:
    change = session.add(at(session, 6, 15, 18))
    (item,) = session.objects
    assert (item.value, item.name, session.active) == (1, "object 1", 1)
    assert session.volume_ml(1) == pytest.approx(4 / 3 * np.pi * 5.0**3 / 1000, rel=0.05)
    assert session.mask(1)[6, 15, 18]
    assert (session.labels[change.box] == 1).any()
    assert change.objects_changed
    assert session.history == ("Point in object 1",)
    assert session.labels.dtype == np.uint16


def test_the_engine_gets_all_prompts_what_strokes_made_and_what_is_locked(session, engine) -> None:
    session.add_object("tumor")
    session.add_object("vessel")
    session.add(at(session, 6, 8, 8), value=2)
    session.lock(2)
    stroke = Paint(tuple(map(tuple, session.geometry.to_world([(6, 20, 20)]).tolist())), 2.0)
    session.apply(stroke, value=1)
    first, second = at(session, 6, 15, 18), at(session, 5, 16, 20, positive=False)
    session.add(first, value=1)
    assert engine.requests[-1].prompts == (first,)
    assert not engine.requests[-1].current.flags.writeable
    session.add(second, value=1)
    request = engine.requests[-1]
    assert request.prompts == (first, second)
    assert (request.forbidden == (session.labels == 2)).all()
    assert request.volume is session.volume


def test_current_is_the_mask_before_the_prompt(session, engine) -> None:
    seen = []
    answer = engine.predict
    engine.predict = lambda request, monitor: seen.append(request.current.copy()) or answer(request, monitor)
    masks = []
    for index in ((6, 15, 18), (6, 15, 24), (4, 9, 30)):
        masks.append(session.mask(1) if session.objects else np.zeros(SHAPE, bool))
        session.add(at(session, *index))
    session.undo()
    session.add_object()
    session.add(at(session, 6, 16, 20))  # takes voxels from the first object
    masks += [np.zeros(SHAPE, bool), session.mask(1)]
    session.add(at(session, 2, 2, 2), value=1)
    for one, other in zip(seen, masks, strict=True):
        assert (one == other).all()


def test_a_new_object_takes_voxels_from_unlocked_objects_and_never_from_locked_ones(session) -> None:
    session.add(at(session, 6, 15, 12))
    session.add_object()
    session.add(at(session, 6, 15, 24))
    session.lock(1)
    session.activate(2)
    before = session.mask(1)
    free = session.mask(2)
    session.add_object("third")
    session.add(at(session, 6, 15, 18))
    assert (session.mask(1) == before).all()
    assert (session.mask(2) & ~free).sum() == 0
    assert session.mask(2).sum() < free.sum()
    session.undo()
    assert (session.mask(2) == free).all()


def test_names_and_values_follow_from_the_objects_alone(session) -> None:
    assert [session.add_object(name).name for name in ("tumor", " tumor ", "", "tumor")] == [
        "tumor",
        "tumor (2)",
        "object 3",
        "tumor (3)",
    ]
    session.remove_object(4)
    assert session.add_object().value == 4
    session.remove_object(2)
    assert [item.value for item in session.objects] == [1, 3, 4]
    assert session.add_object().value == 5


def test_objects_are_renamed_colored_locked_and_removed_and_it_can_be_undone(session) -> None:
    session.add(at(session, 6, 15, 18))
    states = [everything(session)]
    changes = [
        lambda: session.rename(1, "liver"),
        lambda: session.recolor(1, (0.1, 0.2, 0.3)),
        lambda: session.lock(1),
        lambda: session.lock(1, is_locked=False),
        lambda: session.reset(),
        lambda: session.remove_object(1),
    ]
    for change in changes:
        assert change().title == session.undo_title
        states.append(everything(session))
    assert len({repr(state) for state in states}) == len(states) - 1  # locked and unlocked again is the same
    for state in reversed(states[:-1]):
        session.undo()
        assert everything(session) == state
    for state in states[1:]:
        session.redo()
        assert everything(session) == state


def test_what_changes_nothing_is_no_step(session) -> None:
    session.add_object("liver")
    steps = session.history
    assert session.rename(1, "liver").box is None
    assert not session.lock(1, is_locked=False).objects_changed
    assert session.apply(Grow(3.0)).box is None
    assert session.reset().box is None
    assert session.history == steps


def test_removing_the_active_object_makes_another_one_active(session) -> None:
    for _ in range(3):
        session.add_object()
    assert session.active == 3
    session.remove_object(3)
    assert session.active == 2
    session.activate(1)
    session.remove_object(1)
    assert session.active == 2
    session.undo()
    assert session.active == 1


def test_a_new_step_ends_what_redo_would_bring_back(session) -> None:
    session.add(at(session, 6, 15, 18))
    session.add(at(session, 6, 15, 20))
    session.undo()
    assert session.can_redo
    assert session.redo_title == "Point in object 1"
    session.add(at(session, 6, 12, 18))
    assert not session.can_redo
    with pytest.raises(SessionError, match="nothing to redo"):
        session.redo()


def test_the_label_map_is_one_read_only_view_from_step_to_step(session) -> None:
    labels = session.labels
    session.add(at(session, 6, 15, 18))
    session.undo()
    session.redo()
    assert session.labels is labels
    assert labels.any()
    with pytest.raises(ValueError, match="read-only"):
        labels[0, 0, 0] = 1


def test_tools_mend_and_the_scan_is_never_touched(session) -> None:
    before = session.volume.array.copy()
    session.add(at(session, 6, 15, 18))
    size = session.volume_ml(1)
    session.apply(Grow(3.0))
    assert session.volume_ml(1) > size
    session.add_object()
    session.apply(Combine(1, "union"))
    assert session.volume_ml(1) == 0.0
    session.apply(Clear())
    assert not session.labels.any()
    assert (session.volume.array == before).all()
    assert len(session.history) == 5


# -- what is refused ---------------------------------------------------------------------------------------------------


def refused(session: PromptSession, what: Prompt, match: str, value: int | None = None) -> None:
    before, history = everything(session), session.history
    with pytest.raises((SessionError, OptionError), match=match):
        session.add(what, value)
    assert everything(session) == before
    assert session.history == history


def test_prompts_that_do_not_fit_are_refused(session) -> None:
    session.add(at(session, 6, 15, 18))
    refused(session, at(session, 6, 15, 40), "outside the scan")
    refused(session, Prompt.scribble([session.volume.geometry.to_world((6, 15, 18)), (1e15, 0, 0)]), "more than 10 m")
    refused(session, at(session, 6, 15, 18, uid="9.9"), "different frames of reference")
    refused(session, at(session, 6, 15, 18), r"no object 7; objects: 1 \(object 1\)", value=7)
    session.lock(1)
    refused(session, at(session, 6, 15, 18), "'object 1' is locked")
    with pytest.raises(SessionError, match="is locked"):
        session.apply(Grow(2.0))
    with pytest.raises(SessionError, match="is locked"):
        session.remove_object(1)
    with pytest.raises(SessionError, match="is locked"):
        session.reset()


def test_a_patient_space_that_one_of_both_does_not_name_is_taken(session, engine) -> None:
    session.add(at(session, 6, 15, 18, uid="1.2.3"))
    session.add(at(session, 6, 15, 18))
    session.set_volume(scan(uid=""))
    session.add(at(session, 6, 15, 18, uid="9.9"))
    assert len(engine.requests) == 3


def test_names_and_colors_that_do_not_fit_are_refused(session) -> None:
    session.add_object("liver")
    session.add_object("spleen")
    before = everything(session)
    with pytest.raises(SessionError, match="already"):
        session.rename(2, "liver")
    with pytest.raises(SessionError, match="must not be empty"):
        session.rename(2, "  ")
    for color in ((1, 2, 3), (0.1, 0.2), "red", (0.1, float("nan"), 0.2)):
        with pytest.raises(SessionError, match="red, green, blue"):
            session.recolor(2, color)
        with pytest.raises(SessionError, match="red, green, blue"):
            session.add_object("kidney", color)
    with pytest.raises(SessionError, match="no object 0"):
        session.activate(0)
    assert everything(session) == before


def test_without_a_scan_there_is_one_clear_line(engine) -> None:
    session = PromptSession(engine=engine)
    assert not session.has_volume
    assert session.objects == ()
    for act in (
        lambda: session.add(Prompt.point((0, 0, 0))),
        session.add_object,
        session.result,
        lambda: session.labels,
        lambda: session.volume,
        session.prepare,
    ):
        with pytest.raises(SessionError, match="no scan"):
            act()
    with pytest.raises(SessionError, match="nothing to undo"):
        session.undo()


def test_a_color_picture_is_refused_and_the_scan_before_stays(session) -> None:
    session.add(at(session, 6, 15, 18))
    before = everything(session)
    picture = Volume(np.zeros((*SHAPE, 3), np.uint8), session.geometry, VolumeMetadata(name="photo"))
    with pytest.raises(SessionError, match="'photo' is a color image"):
        session.set_volume(picture)
    assert everything(session) == before
    session.undo()


def test_more_objects_than_values_are_refused(engine) -> None:
    volume = Volume(np.zeros((1, 2, 3), np.int16), Geometry.from_parts((1, 2, 3), (2.5, 0.8, 0.7)))
    session = PromptSession(volume, engine=engine, autosave=False)
    state = session._state
    item = session.add_object()
    state.objects = tuple(replace(item, value=value, name=str(value)) for value in range(1, 65535))
    assert session.add_object().value == 65535
    with pytest.raises(SessionError, match="at most 65535 objects"):
        session.add_object()
    state.objects = state.objects[:4] + state.objects[5:]
    assert session.add_object().value == 5  # the highest is taken: a gap is filled


def test_an_engine_that_fails_or_is_cancelled_leaves_no_trace(session, engine) -> None:
    session.add(at(session, 6, 15, 18))
    before, history = everything(session), session.history
    engine.is_broken = True
    with pytest.raises(ModelError, match="broken"):
        session.add(at(session, 6, 15, 20))
    engine.is_broken = False
    stop = threading.Event()
    stop.set()
    with pytest.raises(CancelledError):
        session.add(at(session, 6, 15, 20), cancel=stop)
    assert everything(session) == before
    assert session.history == history
    session.add(at(session, 6, 15, 20))


def test_an_answer_beyond_the_volume_is_refused(session, engine) -> None:
    box = (slice(0, 1), slice(0, 1), slice(30, 40))
    engine.predict = lambda request, monitor: MaskUpdate(box, np.ones((1, 1, 10), bool))
    refused(session, at(session, 6, 15, 18), "does not lie in a scan")


# -- answers that come late --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meanwhile", "match"),
    [
        (lambda session: session.set_volume(scan(1)), "Another scan was opened"),
        (lambda session: session.remove_object(2), "'tumor' was removed"),
        (lambda session: session.lock(2), "'tumor' was locked"),
        (lambda session: session.undo(), "'tumor' was removed"),
        (lambda session: session.add(at(session, 6, 15, 20), 2), "'tumor' was changed by another step"),
        (lambda session: session.lock(1), "'tumor' was changed by another step"),
    ],
)
def test_an_answer_that_no_longer_fits_is_dropped(session, meanwhile, match) -> None:
    session.add_object("vessel")
    session.add_object("tumor")
    pending = session.begin(at(session, 6, 15, 18))
    update = session.predict(pending)
    meanwhile(session)
    before = everything(session)
    with pytest.raises(SessionError, match=match):
        session.commit(pending, update)
    assert everything(session) == before


def test_an_answer_is_dropped_where_another_object_took_voxels_meanwhile_and_taken_where_it_did_not(session) -> None:
    session.add(at(session, 6, 15, 10))
    session.add_object()
    pending = session.begin(at(session, 6, 15, 12), 1)
    update = session.predict(pending)
    session.add(at(session, 6, 25, 30), 2)
    session.commit(pending, update)
    assert session.mask(1)[6, 15, 14]
    pending = session.begin(at(session, 6, 15, 16), 1)
    update = session.predict(pending)
    session.add(at(session, 6, 15, 12), 2)
    with pytest.raises(SessionError, match="changed by another step"):
        session.commit(pending, update)


def test_an_answer_is_taken_once(session) -> None:
    pending = session.begin(at(session, 6, 15, 18))
    update = session.predict(pending)
    session.commit(pending, update)
    with pytest.raises(SessionError, match="changed by another step"):
        session.commit(pending, update)
    assert len(session.history) == 1


def test_a_tool_whose_labels_changed_meanwhile_is_dropped(session) -> None:
    session.add(at(session, 6, 15, 18))
    session.add_object()
    pending = session.begin(Combine(1, "union"))
    update = session.predict(pending)
    session.add(at(session, 6, 15, 20), 1)
    with pytest.raises(SessionError, match="changed by another step"):
        session.commit(pending, update)


def test_what_an_engine_reads_does_not_change_under_it(session, engine) -> None:
    session.add(at(session, 6, 15, 18))
    current = session.mask(1)
    engine.go_on, engine.entered = threading.Event(), threading.Event()
    pending = session.begin(at(session, 6, 15, 24))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(session.predict(pending)))
    thread.start()
    assert engine.entered.wait(PATIENCE)
    session.undo()
    session.apply(Paint((tuple(session.geometry.to_world((3, 3, 3)).tolist()),), 3.0))
    assert (pending.request.current == current).all()
    engine.go_on.set()
    thread.join(PATIENCE)
    assert len(answers) == 1
    with pytest.raises(SessionError):
        session.commit(pending, answers[0])


def test_an_engine_that_is_changed_while_it_answers_is_closed_after_its_answer(session, engine) -> None:
    engine.go_on = threading.Event()
    pending = session.begin(at(session, 6, 15, 24))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(session.predict(pending)))
    thread.start()
    assert engine.entered.wait(PATIENCE)
    session.set_engine(BallEngine(2.0, "small ball"))
    assert engine.closed == 0
    engine.go_on.set()
    thread.join(PATIENCE)
    assert engine.closed == 1
    session.commit(pending, answers[0])
    assert session.volume_ml(1) == pytest.approx(4 / 3 * np.pi * 5.0**3 / 1000, rel=0.05)
    with pytest.raises(SessionError, match="engine was changed"):
        session.predict(pending)
    session.add(at(session, 3, 5, 5))
    assert session.engine == "small ball"
    assert [next(iter(step)) for step in session.result().provenance["steps"]] == ["object", "engine", "object"]


# -- results -----------------------------------------------------------------------------------------------------------


def test_the_result_says_how_it_was_made(session) -> None:
    session.add_object("tumor", (0.25, 0.5, 0.75))
    first, second = at(session, 6, 15, 18), Prompt.scribble(session.geometry.to_world([(6, 9, 9), (6, 9, 15)]))
    session.add(first)
    session.add(second)
    session.undo()
    session.apply(Grow(2.0))
    session.add_object("vessel")
    session.add(at(session, 6, 25, 30))
    session.lock(1)
    result = session.result()
    assert result.array.dtype == np.uint16
    assert (result.array == session.labels).all()
    assert not np.shares_memory(result.array, session.labels)
    assert [(v, label.name, label.color) for v, label in result.labels.items()] == [
        (1, "tumor", (0.25, 0.5, 0.75)),
        (2, "vessel", session.objects[1].color),
    ]
    told = json.loads(json.dumps(dict(result.provenance)))
    assert told == dict(result.provenance)
    assert told["steps"] == [
        {"add": "tumor", "color": [0.25, 0.5, 0.75]},
        {"object": "tumor", "prompt": first.to_dict()},
        {"object": "tumor", "tool": {"name": "grow", "distance_mm": 2.0}},
        {"add": "vessel"},
        {"object": "vessel", "prompt": at(session, 6, 25, 30).to_dict()},
        {"lock": "tumor"},
    ]
    assert len(told["step_times"]) == len(told["steps"])
    assert told["input"] == identify(session.volume)
    assert told["engine"] == "ball"
    assert told["versions"]["napari-radcnn"] == napari_radcnn.__version__
    assert told["result"]["sha256"] == voxel_hash(result.array, result.geometry)
    assert told["volumes_ml"]["tumor"] == pytest.approx(result.volume_ml(1), abs=5e-4)
    assert result.metadata is session.volume.metadata


def test_the_licence_of_a_known_engine_is_told(tmp_path) -> None:
    session = PromptSession(scan(), engine=BallEngine(name="region"), folder=tmp_path)
    session.add(at(session, 6, 15, 18))
    assert session.result().provenance["model"]["licence"].startswith("BSD-3-Clause")


def test_a_result_of_some_objects_leaves_the_others_out(session) -> None:
    session.add(at(session, 6, 15, 10))
    session.add_object()
    session.add(at(session, 6, 15, 28))
    result = session.result([2])
    assert set(np.unique(result.array)) == {0, 2}
    assert list(result.labels) == [2]
    assert ((result.array == 2) == session.mask(2)).all()
    with pytest.raises(SessionError, match="no object 9"):
        session.result([9])


def test_the_names_of_a_session_are_public() -> None:
    assert napari_radcnn.PromptSession is PromptSession
    assert napari_radcnn.Prompt is Prompt
    assert napari_radcnn.SegmentedObject.__name__ == "SegmentedObject"


# -- the scan ----------------------------------------------------------------------------------------------------------


def test_another_scan_begins_a_fresh_session_and_the_one_before_is_kept(session, tmp_path) -> None:
    session.add(at(session, 6, 15, 18))
    session.set_volume(scan(1))
    assert session.objects == ()
    assert not session.labels.any()
    assert not session.can_undo
    (saved,) = PromptSession.unfinished(tmp_path)
    assert saved.header["input"]["sha256"] == identify(scan())["sha256"]


def test_a_lazy_scan_is_loaded(engine) -> None:
    volume = Volume.lazy(CountingSource(scan().array), scan().geometry)
    assert not volume.is_loaded
    session = PromptSession(volume, engine=engine, autosave=False)
    assert volume.is_loaded
    session.add(at(session, 6, 15, 18))
    session.prepare()
    assert engine.prepared == [volume]
    stop = threading.Event()
    stop.set()
    other = Volume.lazy(CountingSource(scan(1).array), scan().geometry)
    with pytest.raises(CancelledError):
        session.set_volume(other, cancel=stop)
    assert session.volume is volume
    assert session.labels.any()


def test_a_scan_that_does_not_fit_into_memory_is_refused_and_the_one_before_stays(session) -> None:
    session.add(at(session, 6, 15, 18))
    before = everything(session)
    shape = (40_000, 50_000, 30_000)
    huge = Volume.lazy(CountingSource(shape=shape), Geometry.from_parts(shape, (2.5, 0.8, 0.7)))
    with pytest.raises(ResourceError):
        session.set_volume(huge)
    assert everything(session) == before


# -- the disk ----------------------------------------------------------------------------------------------------------


def test_a_session_goes_on_where_it_ended(session, tmp_path) -> None:
    session.add(at(session, 6, 15, 18))
    session.apply(Grow(2.0))
    session.add_object("vessel")
    session.add(at(session, 6, 25, 30))
    session.rename(1, "tumor")
    session.undo()
    session.undo()
    before, history, told = everything(session), session.history, session.result().provenance["steps"]
    session.close()
    (saved,) = PromptSession.unfinished(tmp_path)
    assert saved.steps == 3
    again = PromptSession.resume(saved, scan(), engine=BallEngine())
    assert everything(again) == before
    assert again.history == history
    assert again.result().provenance["steps"] == told
    assert PromptSession.unfinished(tmp_path) == []  # it is open
    again.redo()
    assert again.mask(2)[6, 25, 30]
    again.redo()
    assert again.objects[0].name == "tumor"
    again.add(at(again, 2, 2, 2))
    after = everything(again)
    again.close()
    (saved,) = PromptSession.unfinished(tmp_path)
    with PromptSession.resume(saved, scan(), engine=BallEngine()) as third:
        assert everything(third) == after
        while third.can_undo:
            third.undo()
        assert not third.labels.any()


def test_every_step_is_on_the_disk_as_soon_as_it_is_done(session, tmp_path) -> None:
    session.add(at(session, 6, 15, 18))
    assert saved_sessions(tmp_path)[0].steps == 1
    session.undo()
    assert saved_sessions(tmp_path)[0].steps == 0
    session.redo()
    session.lock(1)
    assert saved_sessions(tmp_path)[0].steps == 2
    assert saved_sessions(tmp_path)[0].is_alive


def test_a_session_of_another_scan_is_not_resumed(session, tmp_path) -> None:
    session.add(at(session, 6, 15, 18))
    session.close()
    (saved,) = PromptSession.unfinished(tmp_path)
    with pytest.raises(SessionError, match="belongs to another scan: expected 'scan'"):
        PromptSession.resume(saved, scan(1), engine=BallEngine())
    moved = replace(scan(), geometry=Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7)))
    with pytest.raises(SessionError, match="belongs to another scan"):
        PromptSession.resume(saved, moved, engine=BallEngine())
    PromptSession.resume(saved, scan(), engine=BallEngine()).close()
    with pytest.raises(ModelError, match="no engine 'ball'"):
        PromptSession.resume(saved, scan())
    with pytest.raises(SessionError, match="does not record its scan"):
        PromptSession.resume(replace(saved, header={}), scan(), engine=BallEngine())


def test_a_session_of_an_unknown_format_is_refused_in_one_line(session, tmp_path) -> None:
    session.add(at(session, 6, 15, 18))
    header = {"input": identify(scan()), "engine": "ball"}
    with Journal.create(tmp_path / "other", header) as journal:
        journal.append("step", b"\x02\0\0\0{}")
    (saved,) = PromptSession.unfinished(tmp_path / "other")
    with pytest.raises(SessionError, match="damaged or from another version"):
        PromptSession.resume(saved, scan(), engine=BallEngine())
    assert len(PromptSession.unfinished(tmp_path / "other")) == 1  # it is still there, and free


def test_a_finished_session_is_not_offered_again(session, tmp_path) -> None:
    session.add(at(session, 6, 15, 18))
    session.close(is_finished=True)
    assert saved_sessions(tmp_path) == []


def test_without_autosave_nothing_is_written(engine, tmp_path) -> None:
    with PromptSession(scan(), engine=engine, folder=tmp_path, autosave=False) as session:
        session.add(at(session, 6, 15, 18))
        session.save()
        assert session.saved_in is None
    assert list(tmp_path.iterdir()) == []
    assert engine.closed == 1


def test_a_disk_that_fails_is_one_warning_and_nothing_is_lost(session, tmp_path, monkeypatch, caplog) -> None:
    lines: list[str] = []
    session.on_warning = lines.append
    write = Journal._write
    logger = logging.getLogger("napari_radcnn.interactive.autosave")
    caplog.set_level(logging.WARNING, logger.name)

    def full(self: Journal, kind: str, payload: bytes) -> None:
        raise OSError(28, "No space left on device")

    session.add(at(session, 6, 15, 18))
    monkeypatch.setattr(Journal, "_write", full)
    session.add(at(session, 6, 15, 20))
    session.undo()
    session.add(at(session, 6, 12, 20))
    session.save()
    assert len(lines) == 1
    assert session.warnings == tuple(lines)
    assert "only in memory" in lines[0]
    assert [record.getMessage() for record in caplog.records if record.name == logger.name] == lines
    monkeypatch.setattr(Journal, "_write", write)
    session.add(at(session, 4, 12, 20))
    before, history = everything(session), session.history
    assert len(lines) == 1
    session.close()
    (saved,) = PromptSession.unfinished(tmp_path)
    with PromptSession.resume(saved, scan(), engine=BallEngine()) as again:
        assert everything(again) == before
        assert again.history == history


def test_an_open_session_is_not_resumed_by_another(session, tmp_path) -> None:
    session.add(at(session, 6, 15, 18))
    (saved,) = saved_sessions(tmp_path)
    with pytest.raises(JournalError):
        PromptSession.resume(saved, scan(), engine=BallEngine())
    session.add(at(session, 6, 15, 20))

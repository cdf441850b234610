"""Undo and redo, bit for bit, through hundreds of random steps."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from costly import few_of
from napari_radcnn.errors import OptionError, SessionError
from napari_radcnn.interactive.difference import Difference
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.history import History, ObjectEdit, SegmentedObject, Step
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools import Clear, Combine, FillHoles, Grow, KeepLargest, Paint, Shrink
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.play import play
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume
from toy_engine import BallEngine

SHAPE = (11, 33, 29)


def begun(folder: Path | None = None) -> PromptSession:
    volume = Volume(np.random.default_rng(4).normal(0, 9, SHAPE).astype(np.float32), oblique_geometry(SHAPE))
    return PromptSession(volume, engine=BallEngine(3.0), folder=folder, autosave=folder is not None)


def state(session: PromptSession) -> tuple[object, ...]:
    return session.labels.tobytes(), session.objects, {o.value: session.prompts(o.value) for o in session.objects}


def check_counts(session: PromptSession) -> None:
    counts = np.bincount(session.labels.ravel(), minlength=100)
    for item in session.objects:
        assert session.volume_ml(item.value) == counts[item.value] * session.geometry.voxel_volume / 1000.0
        assert (session.mask(item.value) == (session.labels == item.value)).all()
    assert set(np.flatnonzero(counts)) <= {0, *(item.value for item in session.objects)}


def check_lent(session: PromptSession) -> None:
    """What engines get as `current` is kept up to date box by box; it must be what the labels say."""
    for item in session.objects:
        if not item.is_locked:
            pending = session.begin(Prompt.point(session.geometry.to_world((5, 5, 5))), item.value)
            assert (pending.request.current == (session.labels == item.value)).all()
            locked = [other.value for other in session.objects if other.is_locked]
            if locked:
                assert (pending.request.forbidden == np.isin(session.labels, locked)).all()
            else:
                assert pending.request.forbidden is None


class RandomUser:
    """Does something at random; None of it may fail but for what a session refuses in one line."""

    def __init__(self, session: PromptSession, seed: int) -> None:
        self.session, self.random = session, np.random.default_rng(seed)
        self.refused = 0

    def act(self) -> None:
        deeds: list[tuple[float, Callable[[], object]]] = [
            (9, self.prompt),
            (5, self.stroke),
            (4, self.tool),
            (4, self.undo),
            (3, self.redo),
            (2, lambda: self.session.add_object() if len(self.session.objects) < 9 else None),
            (1, lambda: self.session.lock(self.any_object())),
            (2, lambda: self.session.lock(self.any_object(), is_locked=False)),
            (0.5, lambda: self.session.remove_object(self.any_object())),
            (0.5, lambda: self.session.reset(self.any_object())),
            (0.5, lambda: self.session.rename(self.any_object(), f"name {self.random.integers(5)}")),
            (0.5, lambda: self.session.recolor(self.any_object(), self.random.random(3))),
            (1, lambda: self.session.activate(self.any_object())),
        ]
        weights = np.array([weight for weight, _ in deeds])
        try:
            deeds[self.random.choice(len(deeds), p=weights / weights.sum())][1]()
        except (SessionError, OptionError):
            self.refused += 1

    def any_object(self) -> int:
        return int(self.random.integers(1, max(2, len(self.session.objects) + 1)))

    def somewhere(self, n: int = 1) -> list[tuple[float, ...]]:
        index = self.random.uniform(-0.5, np.array(SHAPE) - 0.5, (n, 3))
        return [tuple(point) for point in self.session.geometry.to_world(index).tolist()]

    def prompt(self) -> None:
        positive = bool(self.random.random() < 0.7)
        kind = self.random.choice(["point", "scribble", "box", "lasso"])
        if kind == "point":
            prompt = Prompt.point(self.somewhere()[0], positive=positive)
        elif kind == "scribble":
            prompt = Prompt.scribble(self.somewhere(4), positive=positive, radius=float(self.random.random()))
        elif kind == "box":
            prompt = Prompt.box(*self.somewhere(int(self.random.integers(3, 5))), positive=positive)
        else:
            prompt = Prompt.lasso(self.somewhere(5), positive=positive)
        self.session.add(prompt)

    def stroke(self) -> None:
        erase = bool(self.random.random() < 0.3)
        self.session.apply(Paint(tuple(self.somewhere(3)), 2.0, erase=erase))

    def tool(self) -> None:
        tools = [Grow(1.5), Shrink(1.0), FillHoles(), KeepLargest(), Clear(), Combine(self.any_object(), "union")]
        self.session.apply(tools[self.random.integers(len(tools))])

    def undo(self) -> None:
        for _ in range(self.random.integers(1, 6)):
            self.session.undo()

    def redo(self) -> None:
        for _ in range(self.random.integers(1, 6)):
            self.session.redo()


@pytest.mark.parametrize("seed", few_of([1, 2], 1))
def test_500_random_steps_are_undone_and_redone_bit_for_bit(seed: int, tmp_path: Path) -> None:
    session = begun(tmp_path)
    empty, user = state(session), RandomUser(session, seed)
    for number in range(500):
        user.act()
        check_counts(session)
        if number % 50 == 0:
            check_lent(session)
    assert user.refused < 400
    while session.can_redo:
        session.redo()
    end, titles, after_each = state(session), session.history, []
    assert len(titles) > 60
    while session.can_undo:
        after_each.append(state(session))
        session.undo()
    check_counts(session)
    assert state(session) == empty
    for expected in reversed(after_each):
        session.redo()
        assert state(session) == expected
    check_counts(session)
    check_lent(session)
    assert state(session) == end
    assert session.history == titles
    session.close()
    (saved,) = PromptSession.unfinished(tmp_path)
    with PromptSession.resume(saved, begun().volume, engine=BallEngine()) as again:
        assert state(again) == end
        assert again.history == titles
        check_counts(again)


def test_what_a_result_says_of_its_steps_makes_it_again_bit_for_bit() -> None:
    session = begun()
    user = RandomUser(session, 3)
    for _ in range(150):
        user.act()
    result = session.result()
    steps = json.loads(json.dumps(result.provenance["steps"]))
    assert len(steps) == len(session.history) > 20
    again = play(begun().volume, {"engine": "region", "steps": steps}, engine=BallEngine(3.0))
    assert (again.array == result.array).all()
    assert again.labels == result.labels


def test_a_step_is_the_same_after_its_way_through_bytes() -> None:
    box = (slice(2, 5), slice(0, 3), slice(7, 9))
    xor = np.random.default_rng(0).integers(0, 4, (3, 3, 2)).astype(np.uint16)
    item = SegmentedObject(2, "lesión", (0.1, 0.2, 1 / 3), is_locked=True)
    prompts = (Prompt.point((0.1, 1 / 3, -7e-9), positive=False), Prompt.scribble([(1, 2, 3), (4, 5, 6.5)], radius=0.7))
    step = Step(
        "Scribble in lesión",
        {"object": "lesión", "prompt": prompts[1].to_dict()},
        (ObjectEdit(None, item, 0, (), prompts), ObjectEdit(item, None, 1, prompts[:1], ())),
        (0, 2),
        Difference.pack(box, xor, (1, 2, 3), {2: 5, 1: -3}),
        "2026-01-02T03:04:05+00:00",
        "region",
    )
    again = Step.decode(step.encode())
    assert (again.title, again.record, again.edits, again.active, again.time, again.engine) == (
        step.title,
        step.record,
        step.edits,
        step.active,
        step.time,
        step.engine,
    )
    assert again.difference is not None
    assert again.difference.box == box
    assert again.difference.gained == {2: 5, 1: -3}
    assert (again.difference.unpack() == xor).all()


@pytest.mark.parametrize("n_kinds", [1, 3, 8, 9, 60])
def test_a_difference_of_any_number_of_kinds_comes_back(n_kinds: int) -> None:
    random = np.random.default_rng(n_kinds)
    kinds = random.choice(np.arange(1, 65536), n_kinds, replace=False)
    xor = np.append(kinds, 0)[random.integers(0, n_kinds + 1, (5, 13, 11))].astype(np.uint16)
    box = (slice(1, 6), slice(3, 16), slice(0, 11))
    packed = Difference.pack(box, xor, tuple(int(kind) for kind in kinds), {})
    again = Difference.from_dict(packed.to_dict(), bytes(packed.packed))
    assert again.xor is None
    assert (again.unpack() == xor).all()


def test_damaged_bytes_are_told_in_one_line() -> None:
    box = (slice(0, 2), slice(0, 3), slice(0, 5))
    packed = Difference.pack(box, np.ones((2, 3, 5), np.uint16), (1,), {1: 30})
    payload = Step("Step", {}, difference=packed).encode()
    with pytest.raises(SessionError, match="damaged"):
        Step.decode(payload[:9])
    with pytest.raises(SessionError, match="damaged"):
        Step.decode(b"")
    short = Step.decode(payload[:-3])
    with pytest.raises(SessionError, match="damaged"):
        short.difference.unpack()
    other = Difference.from_dict(packed.to_dict() | {"box": [[0, 2], [0, 3], [0, 50]]}, packed.packed)
    with pytest.raises(SessionError, match="do not match"):
        other.unpack()


def test_the_size_of_a_history_is_that_of_its_steps() -> None:
    history = History()
    for size in (10, 20, 30):
        history.push("step", bytes(size))
    history.undo()
    history.undo()
    assert history.n_bytes == 60
    history.push("other", bytes(5))
    assert history.n_bytes == 15
    assert history.titles == ("step", "other")


def test_a_history_of_random_voxels_costs_a_few_bits_each() -> None:
    """Noise is the worst that can be packed: one bit a voxel for a step of one object."""
    random = np.random.default_rng(3)
    xor = random.integers(0, 2, (32, 64, 64)).astype(np.uint16) * 7
    packed = Difference.pack((slice(0, 32), slice(0, 64), slice(0, 64)), xor, (7,), {})
    assert len(packed.packed) <= xor.size // 8 * 1.01 + 100


def ragged(engine: BallEngine) -> None:
    """Let an engine answer with a rim of noise, which packs badly."""
    answer, random = engine.predict, np.random.default_rng(8)

    def predict(request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        update = answer(request, monitor)
        rim = ndimage.binary_dilation(update.mask, iterations=2) & ~ndimage.binary_erosion(update.mask, iterations=2)
        return MaskUpdate(update.box, update.mask ^ (rim & (random.random(rim.shape) < 0.5)))

    engine.predict = predict


def test_500_steps_on_a_large_scan_stay_below_200_mb_and_no_step_goes_over_all_of_it() -> None:
    shape = (256, 512, 512)
    geometry = oblique_geometry(shape)
    engine = BallEngine()
    session = PromptSession(Volume(np.zeros(shape, np.int16), geometry), engine=engine, autosave=False)
    ragged(engine)
    random, prompts = np.random.default_rng(5), []
    for number in range(8):
        engine.radius = float(random.uniform(10, 25))
        index = random.uniform((30, 80, 90), (220, 430, 420))
        prompts.append(Prompt.point(geometry.to_world(index), positive=number % 4 < 3))
        if number == 4:
            session.add_object()
        session.add(prompts[-1])
    assert session.history_bytes / len(session.history) * 500 < 200e6
    tracemalloc.start()
    try:
        pending = session.begin(prompts[0])
        update = session.predict(pending)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        session.commit(pending, update)
        while session.can_undo:
            session.undo()
        while session.can_redo:
            session.redo()
        session.begin(prompts[1])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < np.prod(shape) / 32  # one bit a voxel would be four times that

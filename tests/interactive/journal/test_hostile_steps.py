"""A kept session whose bytes fit their checksums and make no sense: one clear line, and no memory taken for it."""

from __future__ import annotations

import gc
import json
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest

from killed_session import SHAPE, BallEngine, resumed, scan
from napari_radcnn.errors import RadcnnError, SessionError
from napari_radcnn.interactive.journal.journal import Journal, saved_sessions
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.session import PromptSession


def _split(payload: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<I", payload[:4])[0]
    return json.loads(payload[4 : 4 + length]), payload[4 + length :]


def _join(plain: object, voxels: bytes = b"", length: int | None = None) -> bytes:
    text = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return struct.pack("<I", len(text) if length is None else length) + text + voxels


def _kept(folder: Path) -> tuple[dict[str, Any], list[bytes]]:
    """Return header and steps of a session of one object and one click."""
    with PromptSession(scan(), engine=BallEngine(), folder=folder) as session:
        session.add_object("tumor")
        session.add(Prompt.point(oblique_geometry(SHAPE).to_world([[5, 20, 30]])[0]))
    with Journal.open(saved_sessions(folder)[0].path) as journal:
        return journal.header, [record.payload for record in journal.records()]


def _resume(folder: Path, header: dict[str, Any], payloads: list[bytes]) -> PromptSession:
    with Journal.create(folder, header) as journal:
        for payload in payloads:
            journal.append("step", payload)
    return resumed(saved_sessions(folder)[0])


def _changed(step: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a step with another value at a path such as ``"edits.0.after.value"``."""
    step = json.loads(json.dumps(step))
    *way, last = path.split(".")
    place: Any = step
    for key in way:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value
    return step


_BOX = "difference.box"
_OF_A_CLICK = [
    (_BOX, [[100, 105], [0, 17], [0, 20]]),
    (_BOX, [[-5, 0], [16, 33], [43, 63]]),
    (_BOX, [[9, 3], [16, 33], [43, 63]]),
    (_BOX, [[0, 5], [0, 5]]),
    (_BOX, [[0, 10**6]] * 3),
    (_BOX, [[0, 10**30], [0, 1], [0, 1]]),
    (_BOX, [[0, 24], [0, 60], [0, 70]]),
    ("difference.kinds", [70000]),
    ("difference.kinds", [-1]),
    ("difference.kinds", [1, 2]),
    ("difference.kinds", list(range(1, 10**5))),
    ("difference.kinds", []),
    ("difference.gained", {"65536": 1}),
    ("difference.gained", []),
    ("edits.0.before", None),
    ("edits.0.after.value", 2),
    ("edits.0.kept", 1),
    ("edits.0.kept", -1),
    ("edits.0.removed", [{}]),
    ("active", [1, 2]),
]
_OF_A_NEW_OBJECT = [
    ("edits.0.after.value", 0),
    ("edits.0.after.value", -3),
    ("edits.0.after.value", 65536),
    ("edits.0.after.color", ["red", 0, 0]),
    ("edits.0.after.color", [float("nan"), 0, 0]),
    ("edits.0.after.color", [0, 0]),
    ("edits.0.kept", 10**12),
    ("edits.0.after", None),
    ("active", [1]),
    ("active", [0, 77]),
    ("active", [0, float("inf")]),
    ("active", None),
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> tuple[dict[str, Any], list[bytes]]:
    return _kept(tmp_path_factory.mktemp("kept"))


@pytest.mark.parametrize(("path", "value"), _OF_A_CLICK)
def test_a_click_that_makes_no_sense_is_refused(tmp_path, kept, path, value):
    header, (first, second) = kept
    plain, voxels = _split(second)
    with pytest.raises(SessionError, match="damaged"):
        _resume(tmp_path, header, [first, _join(_changed(plain, path, value), voxels)])
    assert not saved_sessions(tmp_path)[0].is_alive


@pytest.mark.parametrize(("path", "value"), _OF_A_NEW_OBJECT)
def test_an_object_that_makes_no_sense_is_refused(tmp_path, kept, path, value):
    header, (first, _) = kept
    with pytest.raises(SessionError, match=r"damaged|color"):
        _resume(tmp_path, header, [_join(_changed(_split(first)[0], path, value))])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01",
        _join(b"{}", length=2**32 - 1),
        _join(b"[" * 100_000),
        _join(b'{"title":' + b"[" * 100_000),
        _join([]),
        _join(b"null"),
        _join(b"\xff"),
        b"cos\nsystem\n(S'touch /tmp/x'\ntR.",
    ],
    ids=["empty", "short", "long", "deep", "deep title", "list", "null", "not UTF-8", "pickle"],
)
def test_bytes_that_are_no_step_are_refused(tmp_path, kept, payload):
    with pytest.raises(SessionError, match="damaged"):
        _resume(tmp_path, kept[0], [payload])


def test_voxels_that_would_fill_the_memory_are_not_unpacked(tmp_path, kept):
    header, (first, second) = kept
    bomb = zlib.compress(bytes(2**28), 9)
    for voxels in (bomb, _split(second)[1][:-3], b"no zlib"):
        gc.collect()
        tracemalloc.start()
        try:
            with pytest.raises(SessionError, match="damaged"):
                _resume(tmp_path / str(len(voxels)), header, [first, _join(_split(second)[0], voxels)])
            assert tracemalloc.get_traced_memory()[1] < 2**24
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("key", ["schema", "engine", "settings", "input", "started", "versions"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "x", {"device": ["cpu"]}])
def test_a_strange_header_is_refused_or_of_no_weight(tmp_path, kept, key, value):
    header, payloads = kept
    try:
        session = _resume(tmp_path, header | {key: value}, payloads)
    except RadcnnError as error:
        problem = str(error)
    else:
        problem = ""
        assert session.history == ("New object: tumor", "Point in tumor")
        session.close()
    assert "\n" not in problem


def test_the_unchanged_session_is_resumed(tmp_path, kept):
    with _resume(tmp_path, *kept) as session:
        assert session.history == ("New object: tumor", "Point in tumor")
        assert session.labels.any()

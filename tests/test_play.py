from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

import value_engine
from blocks import blocks, click
from napari_radcnn.errors import CancelledError, ExitStatus, ModelError, ReadError, SessionError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.specs import DEFAULT_ENGINE
from napari_radcnn.interactive.script import script_from_dict
from napari_radcnn.interactive.tools import CopyLabel
from napari_radcnn.play import play
from napari_radcnn.provenance import voxel_hash
from napari_radcnn.results import Label, LabelMap
from value_engine import ValueEngine


def played(volume, *steps, **how):
    return play(volume, {"steps": list(steps)}, engine=how.pop("engine", None) or ValueEngine(), **how)


def test_prompts_of_several_objects_make_one_label_map():
    volume = blocks()
    result = played(
        volume,
        click(volume, (0, 0, 0), "left"),
        click(volume, (3, 4, 5), "right"),
        click(volume, (5, 8, 10), "left"),
    )
    expected = np.select([np.isin(volume.array, [0, 222]), volume.array == 111], [1, 2])
    assert np.array_equal(result.array, expected)
    assert {value: label.name for value, label in result.labels.items()} == {1: "left", 2: "right"}
    assert result.geometry.is_close(volume.geometry)
    voxel_ml = volume.geometry.voxel_volume / 1000
    assert result.provenance["volumes_ml"] == pytest.approx(
        {"left": (expected == 1).sum() * voxel_ml, "right": (expected == 2).sum() * voxel_ml}, abs=6e-4
    )


def test_a_later_object_takes_voxels_but_not_those_of_a_locked_one():
    volume = blocks()
    both = (click(volume, (0, 0, 0), "first"), click(volume, (0, 0, 0), "second"))
    assert set(np.unique(played(volume, *both).array)) == {0, 2}
    locked = played(volume, both[0], {"lock": "first"}, both[1])
    assert np.array_equal(locked.array == 1, volume.array == 0)
    assert not (locked.array == 2).any()
    unlocked = played(volume, both[0], {"lock": "first"}, {"unlock": "first"}, both[1])
    assert np.array_equal(unlocked.array == 2, volume.array == 0)


def test_undo_and_redo_count_the_steps_of_the_script():
    volume = blocks()
    first, second = click(volume, (0, 0, 0)), click(volume, (3, 4, 5), "b")
    nothing = played(volume, first, {"undo": 1})
    assert not nothing.array.any()
    assert nothing.labels == {}  # the object that the prompt began went with it
    one = played(volume, first, second, {"undo": 2}, {"redo": 1})
    assert np.array_equal(one.array, (volume.array == 0).astype(int))
    assert [label.name for label in one.labels.values()] == ["a"]
    back = played(volume, first, second, {"undo": 1}, {"undo": 1}, {"redo": 2})
    assert np.array_equal(back.array, played(volume, first, second).array)
    with pytest.raises(SessionError, match=r"Step 3 \(undo 2\): There are only 1 steps to undo"):
        played(volume, first, {"engine": "region"}, {"undo": 2}, engine=ValueEngine())
    with pytest.raises(SessionError, match="only 0 steps to redo"):
        played(volume, first, {"undo": 1}, second, {"redo": 1})


def test_tools_names_and_colors():
    volume = blocks()
    result = played(
        volume,
        {"add": "a", "color": [1, 0, 0]},
        click(volume, (0, 0, 0)),
        {"object": "a", "tool": {"name": "clear"}},
        click(volume, (5, 8, 10), "b"),
        {"rename": "b", "to": "lesion"},
        {"recolor": "lesion", "color": [0, 1, 0.5]},
        {"add": "c"},
        {"remove": "c"},
    )
    assert np.array_equal(result.array, 2 * (volume.array == 222))
    assert result.labels[1] == Label("a", (1.0, 0.0, 0.0))
    assert result.labels[2] == Label("lesion", (0.0, 1.0, 0.5))
    assert sorted(result.labels) == [1, 2]
    reset = played(volume, click(volume, (0, 0, 0)), {"reset": "a"}, click(volume, (5, 8, 10)))
    assert np.array_equal(reset.array, (volume.array == 222).astype(int))


def test_a_tool_copies_from_a_label_map_that_is_given():
    volume = blocks()
    source = LabelMap((volume.array == 111).astype(np.uint8) * 3, volume.geometry, {3: Label("core")}, "model")
    step = {"object": "a", "tool": CopyLabel(source, 3).to_dict()}
    result = played(volume, step, label_maps=[source])
    assert np.array_equal(result.array == 1, volume.array == 111)
    with pytest.raises(ReadError, match=r"step 1: .*'model'"):
        played(volume, step)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"lock": "b"}, r"Step 2 \(lock b\): There is no object 'b'; objects: a\."),
        ({"remove": "b"}, "no object 'b'"),
        ({"rename": "b", "to": "c"}, "no object 'b'"),
        ({"add": "a"}, "There is already an object 'a'"),
        ({"object": "aa", "tool": {"name": "grow", "distance_mm": 2}}, "no object 'aa'; objects: a"),
        (
            {"object": "a", "prompt": {"kind": "point", "points_mm": [[9e3, 0, 0]]}},
            r"Step 2 \(a: point\): .*outside",
        ),
    ],
)
def test_a_step_that_does_not_fit_is_named(step, told):
    volume = blocks()
    with pytest.raises(SessionError, match=told) as caught:
        played(volume, click(volume, (0, 0, 0)), step)
    assert caught.value.exit_status == ExitStatus.INPUT_OUTPUT


def test_a_prompt_that_the_engine_does_not_take_is_an_error_of_the_engine():
    volume = blocks()
    corners = [[float(v) for v in volume.geometry.to_world(index)] for index in ((1, 1, 1), (1, 5, 1), (1, 5, 6))]
    with pytest.raises(ModelError, match=r"Step 1 \(a: lasso\): This engine takes no lasso"):
        played(volume, {"object": "a", "prompt": {"kind": "lasso", "points_mm": corners}})


def test_the_manifest_plays_the_same_again(monkeypatch, tmp_path):
    value_engine.register(monkeypatch, "region", "nninteractive")
    monkeypatch.setattr("napari_radcnn.play.check_installed", lambda spec: None)
    monkeypatch.setattr("napari_radcnn.interactive.engines.registry.check_installed", lambda spec: None)
    volume = blocks()
    script = {
        "engine": "region",
        "steps": [
            click(volume, (0, 0, 0), "a"),
            click(volume, (5, 8, 10), "gone"),
            {"remove": "gone"},
            click(volume, (3, 4, 5), "wrong"),
            {"undo": 1},
            {"engine": "nninteractive"},
            click(volume, (3, 4, 9), "b"),
            {"object": "b", "tool": {"name": "grow", "distance_mm": 1}},
            {"lock": "b"},
            click(volume, (3, 4, 5), "a"),
        ],
    }
    first = play(volume, script, settings=RunSettings("cpu", "float32"))
    manifest = json.loads(json.dumps(first.provenance))
    assert manifest["result"]["sha256"] == voxel_hash(first.array, volume.geometry)
    assert not any("undo" in step for step in manifest["steps"])
    assert manifest["settings"] == {"device": "cpu", "precision": "float32"}
    path = tmp_path / "m.json"
    path.write_text(json.dumps(manifest))
    for given in (manifest, path, str(path), script_from_dict(manifest)):
        again = play(volume, given)
        assert again.provenance["result"] == manifest["result"]
        assert again.labels == first.labels
        assert again.provenance["settings"] == manifest["settings"]
        assert not again.warnings


def test_on_another_scan_a_manifest_warns():
    volume = blocks()
    manifest = dict(played(volume, click(volume, (0, 0, 0))).provenance)
    other = volume.with_array(volume.array + 1)
    result = play(other, manifest, engine=ValueEngine())
    assert [text for text in result.warnings if "a scan other than" in text]
    assert not [text for text in play(volume, manifest, engine=ValueEngine()).warnings if "a scan other than" in text]


def test_engine_and_settings_go_where_they_should(monkeypatch):
    made = value_engine.register(monkeypatch, DEFAULT_ENGINE, "region", "promptable-3d")
    monkeypatch.setattr("napari_radcnn.play.check_installed", lambda spec: None)
    monkeypatch.setattr("napari_radcnn.interactive.engines.registry.check_installed", lambda spec: None)
    volume = blocks()
    step = click(volume, (0, 0, 0))
    play(volume, {"steps": [step]})
    play(volume, {"engine": "promptable-3d", "steps": [step]})
    play(volume, {"engine": "promptable-3d", "steps": [step, {"engine": "nninteractive"}, step]}, engine="region")
    assert [engine.name for engine in made] == [DEFAULT_ENGINE, "promptable-3d", "region"]
    assert [engine.answered for engine in made] == [1, 1, 2]
    play(volume, {"steps": [step]}, settings=RunSettings("cpu", "bfloat16"))
    assert made[-1].settings == RunSettings("cpu", "bfloat16")


def test_engines_are_looked_for_before_the_first_step(monkeypatch):
    made, volume = value_engine.register(monkeypatch, "region"), blocks()
    steps = [click(volume, (0, 0, 0)), {"engine": "nowhere"}]
    with pytest.raises(ModelError, match="no engine 'nowhere'"):
        play(volume, {"steps": steps})
    assert not made


def test_progress_says_the_steps_and_cancel_stops_between_them():
    volume, cancel, told = blocks(), threading.Event(), []
    steps = [click(volume, (0, 0, 0)), click(volume, (3, 4, 5)), {"lock": "a"}]
    played(volume, *steps, progress=lambda done, total, text: told.append((done, total, text)))
    assert [(done, total) for done, total, text in told if text in ("a: point", "lock a")] == [(0, 3), (1, 3), (2, 3)]
    assert (1, 3, "a: point: looking") in told
    engine = ValueEngine()
    engine.on_answer = cancel.set
    with pytest.raises(CancelledError):
        played(volume, *steps, engine=engine, cancel=cancel)
    assert engine.answered == 1


def test_the_scan_is_not_changed_and_nothing_is_kept_on_the_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))
    volume = blocks()
    before = volume.array.copy()
    played(volume, click(volume, (0, 0, 0)))
    assert np.array_equal(volume.array, before)
    assert not (tmp_path / "sessions").exists()


def test_a_script_that_is_no_path_and_no_mapping_is_refused(tmp_path):
    with pytest.raises(ReadError, match="No such file"):
        play(blocks(), Path(tmp_path / "gone.json"))

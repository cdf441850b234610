from __future__ import annotations

import json

import pytest

from napari_radcnn.errors import ExitStatus, ReadError
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.script import LARGEST, ScriptStep, parse_script, read_script, script_from_dict
from napari_radcnn.interactive.tools import Grow

POINT = {"kind": "point", "points_mm": [[1.0, -2.5, 3.0]]}


def test_every_kind_of_step_is_read():
    steps = [
        {"add": "tumor", "color": [1, 0.5, 0]},
        {"object": " tumor ", "prompt": {**POINT, "positive": False}},
        {"object": "tumor", "tool": {"name": "grow", "distance_mm": 2}},
        {"lock": "tumor"},
        {"unlock": "tumor"},
        {"rename": "tumor", "to": "lesion"},
        {"recolor": "lesion", "color": [0, 0, 1]},
        {"undo": 3},
        {"redo": 1},
        {"reset": "lesion"},
        {"remove": "lesion"},
        {"engine": "promptable-3d"},
        {"add": "bare"},
    ]
    script = script_from_dict({"engine": "region", "steps": steps})
    assert script.engine == "region"
    assert script.steps == (
        ScriptStep("add", "tumor", color=(1.0, 0.5, 0.0)),
        ScriptStep("prompt", "tumor", prompt=Prompt.point((1.0, -2.5, 3.0), positive=False)),
        ScriptStep("tool", "tumor", tool=Grow(2.0)),
        ScriptStep("lock", "tumor"),
        ScriptStep("unlock", "tumor"),
        ScriptStep("rename", "tumor", to="lesion"),
        ScriptStep("recolor", "lesion", color=(0.0, 0.0, 1.0)),
        ScriptStep("undo", count=3),
        ScriptStep("redo", count=1),
        ScriptStep("reset", "lesion"),
        ScriptStep("remove", "lesion"),
        ScriptStep("engine", "promptable-3d"),
        ScriptStep("add", "bare"),
    )


def test_a_manifest_is_a_script():
    manifest = {
        "schema": "radcnn-manifest/1",
        "model": {"name": "promptable-3d"},
        "settings": {"device": "cpu", "precision": "float32"},
        "input": {"sha256": "ab"},
        "steps": [{"object": "a", "prompt": POINT}],
        "versions": {},
    }
    script = parse_script(json.dumps(manifest))
    assert script.engine == "promptable-3d"
    assert script.settings == {"device": "cpu", "precision": "float32"}
    assert script.input_sha256 == "ab"
    del manifest["settings"]
    with pytest.raises(ReadError, match="not of an interactive result"):
        script_from_dict(manifest)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON: .*line 1"),
        ("[]", "not a script"),
        ("null", "not a script"),
        ('{"steps": {}}', "not a script"),
        ('{"steps": []}', "has no steps"),
        ('{"steps": [{"undo": 1}], "engnie": "region"}', "'engnie' is not a key of a script"),
        ('{"steps": [{"undo": 1}], "engine": 3}', "'engine' must be the name"),
        ('{"steps": [3]}', "step 1: A step must be a JSON object"),
        ('{"steps": [{}]}', "step 1: A step with no keys"),
        ('{"steps": [{"undo": 1}, {"undoo": 1}]}', "step 2: A step with 'undoo'"),
        ('{"steps": [{"undo": 1, "redo": 1}]}', "is not a key of a step with"),
        ('{"steps": [{"undo": 0}]}', "at least 1, got 0"),
        ('{"steps": [{"undo": true}]}', "at least 1, got True"),
        ('{"steps": [{"undo": 1.0}]}', "at least 1, got 1.0"),
        ('{"steps": [{"lock": ""}]}', "must be a name"),
        ('{"steps": [{"lock": ["a"]}]}', "must be a name"),
        ('{"steps": [{"add": "a", "color": [0, 0, 2]}]}', "'color' must be"),
        ('{"steps": [{"add": "a", "color": [0, true, 1]}]}', "'color' must be"),
        ('{"steps": [{"add": "a", "color": "red"}]}', "'color' must be"),
        ('{"steps": [{"add": "a", "colour": [0, 0, 1]}]}', "'colour' is not a key"),
        ('{"steps": [{"object": "a", "prompt": 3}]}', "'prompt' must be a JSON object"),
        ('{"steps": [{"object": "a", "prompt": {"kind": "point"}}]}', "needs 'points_mm'"),
        ('{"steps": [{"object": "a", "prompt": {"kind": "dot", "points_mm": [[1, 2, 3]]}}]}', "'dot' is not a kind"),
        ('{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[1, 2]]}}]}', r"\[x, y, z\]"),
        ('{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [["1", 2, 3]]}}]}', r"\[x, y, z\]"),
        ('{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[true, 2, 3]]}}]}', r"\[x, y, z\]"),
        ('{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": ["123"]}}]}', r"\[x, y, z\]"),
        (
            '{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[1, 2, NaN]]}}]}',
            "NaN is not a number",
        ),
        (
            '{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[1, 2, 1e999]]}}]}',
            "1e999 is too large",
        ),
        (
            '{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[1, 2, 1' + "0" * 400 + "]]}}]}",
            "large",
        ),
        (
            '{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[1, 2, 3]], "x": 1}}]}',
            "'x' is not a key",
        ),
        (
            '{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[1, 2, 3]], '
            '"frame_of_reference_uid": 5}}]}',
            "must be a string",
        ),
        (
            '{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[1, -2e6, 3]]}}]}',
            "outside any possible scan",
        ),
        (
            '{"steps": [{"object": "a", "tool": {"name": "paint", "points_mm": [[0, 0, 0], [0, 0, 1e9]], '
            '"radius_mm": 1}}]}',
            "outside any possible scan",
        ),
        ('{"steps": [{"object": "a", "tool": {"name": "gorw"}}]}', "'gorw' is not a tool"),
        ('{"steps": [{"object": "a", "tool": {"name": ["grow"]}}]}', "is not a tool"),
        ('{"steps": [{"object": "a", "tool": {"name": "grow", "distance_mm": "2"}}]}', "float"),
        ('{"steps": [{"object": "a", "tool": {"name": "grow", "distance": 2}}]}', "'distance' is not a setting"),
        ('{"steps": [{"object": "a", "tool": {"name": "clear"}, "prompt": {}}]}', "is not a key of a step with"),
        ('{"steps": [{"undo": 1, "undo": 2}]}', "'undo' occurs twice"),
        ('{"steps": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"steps": [{"lock": ' + "[" * 900 + "]" * 900 + "}]}", "must be a name|nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, told):
    with pytest.raises(ReadError, match=told) as caught:
        parse_script(text, "s.json")
    assert caught.value.exit_status == ExitStatus.INPUT_OUTPUT
    line = str(caught.value)
    assert line.startswith("s.json")
    assert "\n" not in line
    assert len(line) < 600


def test_files_that_are_no_script_are_refused(tmp_path):
    path = tmp_path / "s.json"
    with pytest.raises(ReadError, match="No such file"):
        read_script(path)
    path.write_bytes(b"\xff\xfe\x00{}")
    with pytest.raises(ReadError, match="UTF-8"):
        read_script(path)
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ReadError, match="larger than 64 MB"):
        read_script(path)
    with pytest.raises(ReadError, match=str(tmp_path)):
        read_script(tmp_path)
    path.write_text('\ufeff{"steps": [{"undo": 1}]}', encoding="utf-8")
    assert read_script(path).steps == (ScriptStep("undo", count=1),)

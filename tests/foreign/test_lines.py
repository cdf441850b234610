"""A wrong value of a model.json is named with its line."""

from __future__ import annotations

import json

import pytest

import napari_radcnn as radcnn
from model_factory import UNET, describe, unet, write_safetensors
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.sidecar.lines import lines_of, repeated_key


def _values(plain, place=()):
    """Yield every value with its place: the oracle is Python's own reader."""
    yield place, plain
    for key, inner in plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ():
        yield from _values(inner, (*place, key))


def test_every_value_has_the_line_it_is_written_on():
    plain = {"a": {}, "b": [], "c": [1, {"d": 'x, {y}: ["q"]'}, [[True, None]]], "e:,": {"f": -1.5e3, "g\n": "\\"}}
    text = json.dumps(plain, indent=1)
    found = lines_of(text)
    assert list(found) == [place for place, _ in _values(plain)]
    lines = text.split("\n")
    for place, line in found.items():
        if place:
            key = place[-1]
            assert isinstance(key, int) or lines[line - 1].lstrip().startswith(json.dumps(key))
    assert found["c", 1, "d"] == 1 + next(n for n, shown in enumerate(lines) if '"d"' in shown)
    assert len(set(lines_of(json.dumps(plain)).values())) == 1  # all on one line


def test_a_key_that_stands_twice_is_found_within_its_own_mapping():
    assert repeated_key('{"a": {"b": 1},\n "c": {"b": 2}}') is None
    assert repeated_key('{"a": {"b": 1},\n "c": [{"b": 2,\n "b": 3}]}') == ("b", 3)


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        ({"overlap": 2}, '"overlap"', "overlap must be at least 0"),
        ({"patch": [16, 16, 0]}, '"patch"', "positive numbers"),
        ({"activation": "relu"}, '"activation"', "activation='relu'"),
        ({"inputs": [{"name": "CT"}, {"name": ""}]}, '"name": ""', "an entry of 'inputs'"),
        ({"intensity": [{"step": "bounds"}, {"step": "range", "low": "x"}]}, '"low"', "intensity step 'range': 'low'"),
        ({"domain": {"regions": ["liver"]}}, '"regions"', "'domain': 'regions'"),
        ({"overlapping": 0.5}, '"overlapping"', "did you mean 'overlap'?"),
        ({"architecture": {"name": "os.system", "arguments": {}}}, '"architecture"', "not on the list"),
    ],
)
def test_the_error_names_the_line(tmp_path, changes, key, told):
    write_safetensors(tmp_path / "a.safetensors", unet().state_dict())
    path = describe(tmp_path / "a.json", **({"architecture": {"name": "UNet", "arguments": UNET}} | changes))
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    line = 1 + next(n for n, shown in enumerate(path.read_text().split("\n")) if key in shown)
    lines = [f"a.json, line {line}: ", f"a.json, line {line - 1}: "] if "name" in key else [f"a.json, line {line}: "]
    with pytest.raises(ModelError) as caught:
        radcnn.open_model(path.with_suffix(".safetensors"))
    assert str(caught.value).startswith(tuple(lines))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", unet().state_dict())
    path = describe(tmp_path / "a.json", architecture={"name": "UNet", "arguments": UNET})
    path.write_text(path.read_text().replace('"patch"', '"spacing": null,\n"spacing": null, "patch"', 1))
    with pytest.raises(ModelError, match=r"a\.json, line 1: 'spacing' occurs twice\."):
        radcnn.open_model(path.with_suffix(".safetensors"))


def test_the_shell_checks_a_description(tmp_path, capsys):
    path = write_safetensors(tmp_path / "a.safetensors", unet().state_dict())
    describe(tmp_path / "a.json", architecture={"name": "UNet", "arguments": UNET})
    assert main(["models", "check", str(path)]) == 0
    assert "gives: liver, spleen\n" in (told := capsys.readouterr().out)
    assert told.endswith("no error found\n")
    described = describe(tmp_path / "a.json", architecture={"name": "UNet", "arguments": UNET}, overlap=3)
    described.write_text(json.dumps(json.loads(described.read_text()), indent=0))
    assert main(["models", "check", str(path)]) == 4
    line = 1 + next(n for n, text in enumerate(described.read_text().split("\n")) if "overlap" in text)
    assert f"a.json, line {line}: overlap must be" in capsys.readouterr().err

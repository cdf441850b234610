"""What the page on scripts shows is run: its script, its steps, its prompts, its tools, its Python."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
import value_engine
from napari_radcnn.cli import main
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.script import _FORMS, step_from_dict
from napari_radcnn.interactive.tools import TOOLS, tool_from_dict
from napari_radcnn.phantom import head
from napari_radcnn.volume import Volume

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "interact-from-a-script.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SCRIPT, STEPS, PROMPTS, TOOL_LIST = (json.loads(text) for kind, text in BLOCKS if kind == "json")
(PYTHON,) = (text for kind, text in BLOCKS if kind == "python")


def noiseless_head() -> Volume:
    """Return the head whose parts have a value each, so that the engine of the tests finds the mass."""
    scan = head()
    values = np.array([0, 90, 180, 410, 620, 900])
    nearest = np.abs(scan.array[..., None].astype(int) - values).argmin(-1)
    return scan.with_array(values[nearest].astype(np.int16))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    value_engine.register(monkeypatch)
    monkeypatch.chdir(tmp_path)
    radcnn.write(noiseless_head(), tmp_path / "head.nii.gz")
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    return tmp_path


def test_the_commands_and_the_python_do_what_the_page_says(folder, capsys):
    assert main(["interact", "head.nii.gz", "script.json", "-o", "mass.nii.gz"]) == 0
    out = capsys.readouterr().out
    (labels,) = radcnn.read("mass.nii.gz")
    assert np.array_equal(labels.array == 1, noiseless_head().array == 900)
    assert (labels.array == 2).sum() > 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["mass", "rim", "written", "manifest"]
    assert main(["replay", "mass.nii.gz.radcnn.json"]) == 0
    assert capsys.readouterr().out.startswith("identical")
    assert main(["interact", "head.nii.gz", "mass.nii.gz.radcnn.json", "-o", "again.nii.gz"]) == 0
    assert np.array_equal(radcnn.read("again.nii.gz")[0].array, labels.array)
    exec(PYTHON, {})
    assert np.array_equal(radcnn.read("mass.nii.gz")[0].array, labels.array)


def test_every_kind_of_step_prompt_and_tool_is_shown_and_right():
    shown = [set(step) for step in STEPS]
    for step in STEPS:
        step_from_dict(step)
    for needed, others, _ in _FORMS:
        assert any(needed <= keys <= needed | others for keys in shown), needed
    assert {Prompt.from_dict(prompt).kind for prompt in PROMPTS} == {"point", "box", "scribble", "lasso"}
    assert {tool_from_dict(tool).name for tool in TOOL_LIST} == set(TOOLS) - {"copy_label"}

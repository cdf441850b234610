from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from napari_radcnn.interactive import answering
from napari_radcnn.interactive.script import script_from_dict
from napari_radcnn.interactive.tools import TOOLS
from napari_radcnn.phantom import head
from napari_radcnn.session import PromptSession

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "correct-a-mask.md").read_text(encoding="utf-8")


class NoEngine:
    """The examples give no prompt, so that any engine will do."""

    name = "region"

    def close(self):
        """There is nothing to give back."""


def _block(language):
    (block,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return block


def test_the_python_example_runs(monkeypatch, capsys):
    monkeypatch.setattr(answering, "open_engine", lambda name, settings=None: NoEngine())
    names = {}
    exec(compile(_block("python"), "correct-a-mask.md", "exec"), names)
    result = names["result"]
    assert result.volume_ml(1) > 5.0
    filled = np.flatnonzero((result.array == 1).any(axis=(1, 2)))
    np.testing.assert_array_equal(filled, np.arange(filled[0], filled[-1] + 1))
    assert len(filled) >= 7  # the slices between the two that were drawn on
    assert "Fill between slices along k" in capsys.readouterr().out


def test_the_script_in_the_documentation_plays(monkeypatch):
    monkeypatch.setattr(answering, "open_engine", lambda name, settings=None: NoEngine())
    script = script_from_dict(json.loads(_block("json")))
    used = {step.tool.name for step in script.steps}
    assert used | {"remove_island", "clear", "copy_label"} == set(TOOLS)
    with PromptSession(head(), autosave=False) as session:
        for step in script.steps:
            values = {item.name: item.value for item in session.objects}
            if step.name not in values:
                values[step.name] = session.add_object(step.name).value
            session.apply(step.tool, values[step.name])
        assert [item.name for item in session.objects] == ["lesion", "vessel"]
        assert session.volume_ml(1) > 5.0
        assert session.volume_ml(2) > 0.1
        far = head().geometry.to_world(np.argwhere(session.mask(1)))
        near = head().geometry.to_world(np.argwhere(session.mask(2)))
        assert np.linalg.norm(far[:, None] - near[None], axis=2).min() > 3.0


def test_every_tool_is_told_of():
    for name, kind in TOOLS.items():
        assert name in TEXT or kind.__name__ in TEXT

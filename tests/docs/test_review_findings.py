"""The example of `docs/how-to/review-findings.md` runs, and it explains every state of a finding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from napari_radcnn.results import FindingState

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "review-findings.md").read_text(encoding="utf-8")


def test_the_python_example_runs():
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {}
    exec(compile(block, "review-findings.md", "exec"), names)
    assert [box.state for box in names["back"].boxes] == ["accepted", "candidate"]


def test_every_state_is_explained():
    for state in get_args(FindingState):
        assert re.search(rf"^\| [a-z, ]+ \| {state}", TEXT, re.MULTILINE)

"""A viewer that was opened, in which a model was run, and that was closed leaves nothing of ours in memory."""

from __future__ import annotations

import gc

import pytest

from fake_models import register

leaks = pytest.importorskip("benchmarks.gui_leaks", reason="the benchmarks lie in the repository only")
pytestmark = pytest.mark.gui


def test_open_run_close_leaves_no_object_no_widget_and_no_voxels(qapp, monkeypatch):
    spec, _ = register(monkeypatch)
    leaks.open_run_close(spec.name)  # what is made once in a program
    before = leaks.ours()
    references = leaks.open_run_close(spec.name)
    held = [reference() for reference in references]
    with_it = leaks.ours()
    assert len(leaks.alive(references)) == len(held)  # what is held is counted
    assert with_it - before
    del held
    gc.collect()
    assert leaks.ours() - before == {}
    assert leaks.alive(references) == []

"""A task that is added to the table has its page in the Models dock."""

from __future__ import annotations

import pytest

import toy_task
from models_dock import choose, click, docked, tiny_head, wait_for_end
from napari_radcnn.gui.models.pages import Page, page_class
from napari_radcnn.tasks import TASKS

pytestmark = pytest.mark.gui


def test_its_results_are_shown_on_its_page(make_napari_viewer, qtbot, monkeypatch):
    toy_task.register(monkeypatch)
    viewer, dock = docked(make_napari_viewer, tiny_head())
    choose(dock, "brightest")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    page = dock.page("localization")
    assert page.widget.text() == "brightest"
    assert not page.widget.isHidden()
    assert "a note" in dock.panel.message_label.text()
    assert dock.results.topLevelItem(0).text(0) == "brightest"
    assert len(viewer.layers) == 1
    choose(dock, "nlm-denoise")
    assert page.widget.isHidden()


def test_every_task_has_a_page():
    pages = {task: page_class(task) for task in TASKS}
    assert all(issubclass(page, Page) for page in pages.values())
    assert pages["interactive"] is pages["segmentation"]
    assert pages["denoising"] is pages["super-resolution"]
    assert len(set(pages.values())) == 9

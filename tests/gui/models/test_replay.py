"""Replay in the Models dock by real clicks: a result made again from the manifest beside it, and compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog

import fake_models
import napari_radcnn as radcnn
from models_dock import click, docked, tiny_head, wait_for_end
from napari_radcnn.cli import main
from napari_radcnn.gui.layers.layers import label_map_from_layer
from napari_radcnn.play import play

pytestmark = pytest.mark.gui


@pytest.fixture
def scan(tmp_path):
    return radcnn.write(tiny_head(), tmp_path / "scan.nii.gz")


def replayed(qtbot, monkeypatch, dock, path):
    """Click on Replay, choose a manifest, and wait for the end."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(path), ""))
    click(qtbot, dock.replay_button)
    wait_for_end(qtbot, dock)
    return dock.panel.message_label.text()


def test_a_result_is_made_again_and_shown_with_its_volumes(make_napari_viewer, qtbot, monkeypatch, tmp_path, scan):
    fake_models.register(monkeypatch)
    assert main(["run", "fake", str(scan), "-o", str(tmp_path / "out.nii.gz")]) == 0
    viewer, dock = docked(make_napari_viewer)
    told = replayed(qtbot, monkeypatch, dock, tmp_path / "out.nii.gz.radcnn.json")
    assert "Identical: the voxels equal those of out.nii.gz." in told
    (layer,) = viewer.layers
    assert isinstance(layer, Labels)
    assert np.array_equal(label_map_from_layer(layer).array, radcnn.read(tmp_path / "out.nii.gz")[0].array)
    assert dock.results.topLevelItem(0).text(0) == "bright"


def test_a_result_that_is_no_longer_the_same_is_said_to_be_different(
    make_napari_viewer, qtbot, monkeypatch, tmp_path, scan
):
    fake_models.register(monkeypatch)
    assert main(["run", "fake", str(scan), "-o", str(tmp_path / "out.nii.gz")]) == 0
    path = tmp_path / "out.nii.gz.radcnn.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "result": {"sha256": "0" * 64}}))
    _, dock = docked(make_napari_viewer)
    assert "Different: the voxels differ from those of out.nii.gz." in replayed(qtbot, monkeypatch, dock, path)


def test_an_interactive_result_is_made_again(make_napari_viewer, qtbot, monkeypatch, tmp_path, scan):
    center = tiny_head().geometry.to_world((6, 8, 7)).tolist()
    click_on_it = {"object": "brain", "prompt": {"kind": "point", "points_mm": [center]}}
    (volume,) = radcnn.read(scan)
    result = play(volume, {"steps": [click_on_it]})
    path = tmp_path / "m.radcnn.json"
    path.write_text(json.dumps({**result.provenance, "output": "brain.nii.gz"}))
    viewer, dock = docked(make_napari_viewer)
    assert "Identical: the voxels equal those of brain.nii.gz." in replayed(qtbot, monkeypatch, dock, path)
    assert np.array_equal(label_map_from_layer(viewer.layers[-1]).array, result.array)


def test_what_cannot_be_replayed_is_said_in_one_line(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    viewer, dock = docked(make_napari_viewer)
    path = tmp_path / "x.radcnn.json"
    cases = ((None, "No such file"), ('{"schema": "radcnn-manifest/7"}', "update"), ("{}", "manifest of a run"))
    for text, problem in cases:
        if text is not None:
            path.write_text(text)
        told = replayed(qtbot, monkeypatch, dock, path)
        assert problem in told
        assert "x.radcnn.json" in told
        assert len(viewer.layers) == 0


def test_nothing_happens_where_no_manifest_is_chosen(make_napari_viewer, qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: ("", ""))
    _, dock = docked(make_napari_viewer)
    click(qtbot, dock.replay_button)
    assert dock.job is None

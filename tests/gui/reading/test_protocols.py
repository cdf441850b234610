"""Hanging protocols: which of them suit the open scans, what they lay out, and what is remembered of the last time."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from qtpy.QtCore import Qt

from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.bar import LAYOUTS as BUTTONS
from napari_radcnn.gui.reading.protocols import memory
from napari_radcnn.gui.reading.protocols.hanger import LAST, series_of
from napari_radcnn.gui.reading.protocols.table import (
    LAYOUTS,
    PROTOCOLS,
    Protocol,
    Role,
    Series,
    from_plain,
    kind_of,
    offered,
    role_of,
    to_plain,
)
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.user_folders import config_folder
from screens import pump
from side_by_side import ALT_SHIFT, BEFORE, NOW, SHIFT, SideBySide, scan

CT, MR = Series("CT", space="1"), Series("MR", space="2")


def names(*series):
    return [protocol.name for protocol, _ in offered(series)]


def test_the_table_names_what_there_is():
    assert {protocol.layout for protocol in PROTOCOLS} <= set(LAYOUTS) == set(BUTTONS)
    assert len({protocol.name for protocol in PROTOCOLS}) == len(PROTOCOLS)


def test_what_suits_a_kind_of_study_is_offered_and_nothing_else():
    assert names(CT) == ["CT, three planes and 3-D"]
    assert names(MR, MR) == ["MR, three planes"]
    assert names(MR, MR, MR)[0] == "MR head, three sequences"
    assert names(MR, MR, replace(MR, study=1)) == ["MR and prior", "MR, three planes"]
    assert names(Series("US")) == []
    assert names(Series("US", is_in_time=True)) == ["Cine"]
    assert names() == []
    assert names(CT, replace(CT, study=1))[0] == "CT and prior"
    assert names(CT, replace(MR, study=1)) == ["CT, three planes and 3-D", "MR, three planes"]
    films = Series("DX", "LL"), Series("CR", "PA")
    assert [(each.name, taken) for each, taken in offered(films)] == [("Radiographs, PA and lateral", [1, 0])]
    assert names(films[0], Series("CR")) == []
    assert names(films[1], Series("CR", "AP")) == []


def test_a_pet_is_laid_over_a_ct_of_its_own_space_alone():
    pet = Series("PT", space="1")
    assert names(pet, CT)[0] == "PET/CT fused"
    assert offered((pet, CT))[0][1] == [1, 0]
    assert "PET/CT fused" not in names(replace(pet, space="3"), CT)


def test_kinds_of_studies_differ_by_what_they_hold():
    assert kind_of([CT, MR, MR]) == kind_of([MR, CT, MR]) == "1 CT, 2 MR"
    assert kind_of([CT, replace(CT, study=1)]) == "2 CT, 2 studies"
    assert kind_of([Series("")]) == "1 unknown"


def test_a_scan_is_found_again_by_its_number_among_those_alike():
    series = [MR, CT, replace(MR, study=1), MR]
    roles = tuple(role_of(series, n) for n in (3, 2, 1))
    assert Protocol("x", "row", roles).assigned(series) == [3, 2, 1]
    assert Protocol("x", "row", roles).assigned([CT, MR, MR, replace(MR, study=1)]) == [2, 3, 0]
    assert Protocol("x", "row", roles).assigned([CT, MR, replace(MR, study=1)]) is None


def test_what_is_remembered_comes_back_and_damage_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert memory.recalled("1 CT") is None
    kept = Protocol(LAST, "two", (Role(("CT",), number=1), Role(study=1)), "Coronal", "Lung", links={"zoom": False})
    memory.remember("1 CT", kept)
    memory.remember("1 MR", PROTOCOLS[0])
    assert memory.recalled("1 CT") == kept
    assert from_plain(json.loads(json.dumps(to_plain(PROTOCOLS[0])))) == replace(PROTOCOLS[0], n_studies=None)
    memory.forget("1 CT")
    assert memory.recalled("1 CT") is None
    assert memory.recalled("1 MR") is not None
    for damage in (None, 3, {}, to_plain(kept) | {"layout": "five"}, to_plain(kept) | {"roles": [{"view": 1}]}):
        assert from_plain(damage) is None
    assert from_plain(to_plain(kept) | {"roles": []}) is None
    (config_folder() / "hanging.json").write_text("[", encoding="utf-8")
    assert memory.recalled("1 MR") is None
    memory.remember("1 CT", kept)
    assert memory.recalled("1 CT") == kept


# -- in the viewer -------------------------------------------------------------------------------------------------


@pytest.mark.gui
def test_a_layout_is_offered_the_next_time_by_one_click(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    known = {"patient_name": "Doe^Jane", "patient_id": "4711", "description": "Doe chest"}
    prior = scan(BEFORE, "CT 1", frame_of_reference_uid="1", study_uid="s1", study_date="2024-02-03", **known)
    now = scan(NOW, "CT 2", frame_of_reference_uid="1", study_uid="s2", study_date="2025-06-07", **known)
    reading = SideBySide(make_napari_viewer, qtbot, prior, now, key=None)
    room, hanger = reading.room, reading.room.hanger
    assert room.layouts.name == "one"  # nothing is forced
    assert hanger.button.isChecked()
    assert [protocol.name for protocol, _ in hanger.offers()] == ["CT and prior", "CT, three planes and 3-D"]
    reading.press(hanger.button)
    assert room.layouts.name == "two"
    assert (reading.beside.first.name, reading.beside.others[0].name) == ("CT 2", "CT 1")
    assert not hanger.button.isChecked()
    reading.key(Qt.Key.Key_F9, SHIFT)
    reading.key(Qt.Key.Key_F3)
    reading.key(Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    reading.key(Qt.Key.Key_Z, ALT_SHIFT)
    hanger.flush()
    text = (config_folder() / "hanging.json").read_text(encoding="utf-8")
    assert "Doe" not in text
    assert "4711" not in text
    assert "2024" not in text
    reading.viewer.layers.clear()
    pump()
    assert not reading.beside.is_on
    assert not hanger.button.isEnabled()
    # the next patient: nothing is forced, one key lays it out as before
    fresh = [add_to_viewer(reading.viewer, layer_data(each)) for each in (now, prior)]
    pump()
    assert room.layouts.name == "one"
    assert hanger.button.isChecked()
    assert hanger.offers()[0][0].name == LAST
    reading.key(Qt.Key.Key_H, ALT_SHIFT)
    assert room.layouts.name == "grid"
    assert planes.plane_of(reading.viewer) == "Coronal"
    assert reading.beside.first is fresh[0]
    assert [pane.scan for pane in reading.beside.panes] == [fresh[1]] * 2
    assert list(fresh[0].contrast_limits) == [-1350, 150]
    assert reading.beside.links.wanted == {"position": True, "zoom": False, "window": True}
    hanger.menu.aboutToShow.emit()
    texts = [action.text() for action in hanger.menu.actions()]
    assert texts[0] == "As last time (side by side, two planes, coronal, Lung)"
    hanger.menu.actions()[-1].trigger()
    assert hanger.offers()[0][0].name == "CT and prior"


@pytest.mark.gui
def test_a_pet_lies_in_color_over_its_ct_and_three_sequences_beside_each_other(
    make_napari_viewer, qtbot, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    pet = scan(BEFORE, "PT 2", modality="PT", units="BQML", frame_of_reference_uid="1")
    reading = SideBySide(make_napari_viewer, qtbot, pet, scan(NOW, "CT 1", frame_of_reference_uid="1"), key=None)
    room, viewer = reading.room, reading.viewer
    over, below = reading.layers
    before = over.colormap.name, over.blending, over.opacity
    assert room.hanger.hang("PET/CT fused")
    pump()
    assert viewer.layers.index(over) > viewer.layers.index(below)
    assert (over.visible, below.visible) == (True, True)
    assert (over.colormap.name, over.blending, over.opacity) == ("inferno", "additive", 0.6)
    assert room.layouts.name == "three"
    room.hanger.flush()
    (protocol, scans) = room.hanger.offers()[0]
    assert protocol.is_over
    assert scans == [below, over]
    assert room.hanger.hang("CT, three planes and 3-D")
    assert (over.colormap.name, over.blending, over.opacity) == before
    assert not over.visible
    assert not room.hanger.hang("MR head, three sequences")
    reading.room.choose_layout("one")
    viewer.layers.clear()
    for name in ("T1", "T2", "FLAIR"):
        add_to_viewer(viewer, layer_data(scan(NOW, name, modality="MR", units="", frame_of_reference_uid="5")))
    pump()
    reading.press(room.hanger.button)
    assert room.layouts.name == "row"
    assert [reading.beside.first.name, *(pane.scan.name for pane in reading.beside.panes)] == ["T1", "T2", "FLAIR"]
    assert [each.modality for each in series_of(room.hanger.scans)] == ["MR"] * 3

"""The manifest: every command resolves, every menu entry stands in the real menu bar, every widget docks."""

import os
import subprocess
import sys
from importlib import import_module
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from patience import PATIENCE
from screens import pump

pytestmark = pytest.mark.gui
MANIFEST_FILE = Path(__file__).parents[2] / "src" / "napari_radcnn" / "napari.yaml"
MANIFEST = yaml.safe_load(MANIFEST_FILE.read_text(encoding="utf-8"))
CONTRIBUTIONS = MANIFEST["contributions"]
GUI = MANIFEST_FILE.parent / "gui"


def test_npe2_finds_the_manifest_valid():
    for target in (str(MANIFEST_FILE), str(Path(__file__).parents[2] / "napari.yaml"), "napari-radcnn"):
        done = subprocess.run([sys.executable, "-m", "npe2", "validate", target], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifest_holds_all_that_the_tests_below_go_through():
    counted = {kind: len(entries) for kind, entries in CONTRIBUTIONS.items() if kind != "menus"}
    assert counted == {"commands": 15, "readers": 1, "writers": 13, "widgets": 7, "sample_data": 3}
    assert sum(len(entries) for entries in CONTRIBUTIONS["menus"].values()) == 7


@pytest.mark.parametrize("command", CONTRIBUTIONS["commands"], ids=lambda command: command["id"])
def test_every_command_resolves(command):
    module, _, name = command["python_name"].partition(":")
    assert callable(getattr(import_module(module), name))


def test_every_command_is_used_and_every_use_is_a_command():
    known = {command["id"] for command in CONTRIBUTIONS["commands"]}
    used = {
        entry["command"] for kind in ("readers", "writers", "widgets", "sample_data") for entry in CONTRIBUTIONS[kind]
    }
    in_menus = {entry["command"] for entries in CONTRIBUTIONS["menus"].values() for entry in entries}
    assert known == used
    assert in_menus <= known
    assert len(CONTRIBUTIONS["readers"]) == 1  # several readers of one plugin run in no defined order


def test_writers_write_what_the_export_dock_offers():
    from napari_radcnn.gui.export.saving import choices

    single = [writer for writer in CONTRIBUTIONS["writers"] if len(writer["layer_types"]) == 1]
    assert len(single) == 3
    for writer in single:
        (kind,) = writer["layer_types"]
        offered = {choice.suffix for choice in choices("findings" if kind == "points" else kind)}
        assert set(writer["filename_extensions"]) == offered - {
            ""
        }  # napari saves files, and a DICOM series is a folder


KINDS = ("image", "labels", "points", "shapes", "vectors", "tracks", "surface")


def test_every_list_of_layers_has_our_writer_first_and_one_for_folders():
    """For all 127 sets of kinds of layers, two layers of each."""
    from npe2 import PluginManager

    sets = [present for n in range(1, 8) for present in combinations(KINDS, n)]
    assert len(sets) == 127
    for present in sets:
        kinds = [kind for kind in present for _ in range(2)]
        every = PluginManager.instance().iter_compatible_writers(kinds)
        found = [writer for writer in every if writer.plugin_name in ("napari", "napari-radcnn")]
        assert found[0].command == "napari-radcnn.write_layers", present
        assert found[0].filename_extensions, present
        folders = [writer for writer in found if not writer.filename_extensions]
        assert len([writer for writer in folders if writer.plugin_name == "napari-radcnn"]) == 1, present
        if set(KINDS[:4]) != set(present):  # npe2 takes whichever of the two was found first on the disk
            assert folders[0].command == "napari-radcnn.write_layers", present


def test_every_widget_docks(make_napari_viewer):
    viewer = make_napari_viewer()
    for widget in CONTRIBUTIONS["widgets"]:
        dock, inner = viewer.window.add_plugin_dock_widget("napari-radcnn", widget["display_name"])
        assert dock.isVisible() or not viewer.window._qt_window.isVisible()
        assert type(inner).__name__ == f"{widget['display_name'].split()[0]}Dock"


def entries_below(menu, path=()):
    """Give (path of titles, action) of all entries, with lazily filled menus filled."""
    menu.aboutToShow.emit()
    for action in menu.actions():
        title = action.text().replace("&", "")
        if action.menu() is not None:
            yield from entries_below(action.menu(), (*path, title))
        elif title:
            yield (*path, title), action


def test_every_menu_entry_stands_in_the_menu_bar_and_docks(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    found = []
    for action in viewer.window._qt_window.menuBar().actions():
        found += entries_below(action.menu(), (action.text().replace("&", ""),))
    expected = {
        ("napari/file/io_utilities", "napari-radcnn.scans"): ("File", "Scans (RadCNN)"),
        ("napari/file/io_utilities", "napari-radcnn.export"): ("File", "Export (RadCNN)"),
        ("napari/layers/measure", "napari-radcnn.measure"): ("Measure", "Measure (RadCNN)"),
        ("napari/layers/register", "napari-radcnn.fusion"): ("Register", "Fusion (RadCNN)"),
        ("napari/layers/segment", "napari-radcnn.models"): ("Segment", "Models (RadCNN)"),
        ("napari/layers/segment", "napari-radcnn.interactive"): ("Segment", "Interactive segmentation (RadCNN)"),
        ("napari/layers/filter", "napari-radcnn.models"): ("Filter", "Models (RadCNN)"),
    }
    entries = {(menu, entry["command"]) for menu, listed in CONTRIBUTIONS["menus"].items() for entry in listed}
    assert entries == set(expected)
    assert len(found) >= 100  # napari's own menus alone hold more
    for above, title in expected.values():
        hits = [action for path, action in found if path[-1] == title and above in path]
        assert hits, f"'{title}' is not below '{above}'"
    plugins = [path[-1] for path, _ in found if path[0] == "Plugins"]
    assert {"Scans", "Models", "Fusion", "Export"} <= {title.split(" (")[0] for title in plugins}
    for above, title in expected.values():
        action = next(action for path, action in found if path[-1] == title and above in path)
        action.trigger()
        pump()
        assert any(title.split()[0] in name for name in viewer.window.dock_widgets)


SILENT_START = """
import sys
from qtpy.QtCore import QTimer
import napari
viewer = napari.Viewer()
viewer.window.add_plugin_dock_widget("napari-radcnn", "Scans")
viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
viewer.window.add_plugin_dock_widget("napari-radcnn", "Interactive segmentation")
viewer.window.add_plugin_dock_widget("napari-radcnn", "Fusion")
viewer.window.add_plugin_dock_widget("napari-radcnn", "Export")
viewer.open_sample("napari-radcnn", "head")
assert "torch" not in sys.modules, "a dock imported torch"
QTimer.singleShot(1500, viewer.close)
napari.run()
assert "torch" not in sys.modules, "planning imported torch"
"""


def test_the_real_program_starts_silently_for_a_new_user_without_torch(tmp_path):
    home = tmp_path / "new user"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    environment["HOME"] = str(home)
    environment.pop("PYTEST_CURRENT_TEST", None)
    script = tmp_path / "start.py"
    script.write_text(SILENT_START, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_open_with_an_unreadable_path_is_one_line_and_status_3(tmp_path):
    command = [sys.executable, "-m", "napari_radcnn.gui", str(tmp_path / "missing.nii.gz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "missing.nii.gz" in done.stderr


def test_no_private_api_of_napari_and_no_torch_in_the_sources():
    paths = sorted(GUI.rglob("*.py"))
    modules = {command["python_name"].partition(":")[0] for command in CONTRIBUTIONS["commands"]}
    assert {Path(*module.split(".")[1:]).with_suffix(".py") for module in modules} <= {
        path.relative_to(GUI.parent) for path in paths
    }
    assert len(paths) >= 60  # a move into folders must not leave this test with nothing to look at
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert "napari._" not in text, path
        assert "import torch" not in text, path
        assert "_qt_" not in text, path

"""What installed packages add is known by entry points, imported late, and left out by name where it is broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
import toy_package
from napari_radcnn.cli import main
from napari_radcnn.errors import CatalogueWarning, ModelError, ReadError, WriteError
from napari_radcnn.interactive.engines.registry import engine_spec, engine_specs, open_engine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.io import formats, readable_suffixes, sniff, writable_suffixes
from napari_radcnn.models import get_model, models
from napari_radcnn.models.registry import class_names, left_out, model_names
from napari_radcnn.phantom import head, oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.session import PromptSession
from napari_radcnn.spec.card import own_card, pack_card
from napari_radcnn.spec.identity import model_identity

ROOT = Path(__file__).parents[2]
FORMATS, MODELS, ENGINES = toy_package.GROUPS
SCAN = head(oblique_geometry((9, 14, 12)))


@pytest.fixture
def toy(tmp_path):
    """The toy package, installed; where it lies."""
    place = toy_package.lay_out(tmp_path / "site")
    with toy_package.installed(place):
        yield place


def broken(folder: Path, text: str, group: str, name: str, where: str = "broken_radcnn:SPEC", package="broken-radcnn"):
    """Put a package into a folder whose one entry point is broken, and return where it lies."""
    return toy_package.lay_out_module(folder, package, text, {group: {name: where}})


# -- one that works ---------------------------------------------------------------------------------------------------


def test_its_names_are_known_and_nothing_of_it_is_imported(toy):
    assert {toy_package.MODEL, toy_package.ENGINE} <= set(model_names())
    assert get_model("nlm-denoise").package is None
    assert not [name for name in sys.modules if name.startswith(toy_package.MODULE)]
    get_model(toy_package.MODEL)
    assert f"{toy_package.MODULE}.threshold" in sys.modules
    assert f"{toy_package.MODULE}.similar" not in sys.modules
    assert f"{toy_package.MODULE}.run" not in sys.modules


def test_its_model_runs_like_one_of_ours(toy):
    spec = get_model(toy_package.MODEL)
    assert (spec.package.name, spec.package.version, spec.package.module) == ("toy-radcnn", "1.0", "toy_radcnn")
    assert spec in models("segmentation")
    labels = radcnn.segment(SCAN, toy_package.MODEL, {"value": 300.0})
    np.testing.assert_array_equal(labels.array, SCAN.array > 300)
    assert labels.provenance["model"]["name"] == toy_package.MODEL
    assert "bright" in class_names(toy_package.MODEL)
    assert "bright" not in class_names("nlm-denoise")
    assert "toy-radcnn 1.0" in spec.to_dict()["package"]


def test_its_card_is_shown_as_somebody_elses(toy):
    spec = get_model(toy_package.MODEL)
    assert own_card(spec) is None
    assert pack_card(spec).startswith("# toy-threshold")


def test_another_version_of_the_package_is_another_model(toy, tmp_path):
    before = model_identity(get_model(toy_package.MODEL))
    (toy / "toy_radcnn-1.0.dist-info" / "METADATA").write_text("Name: toy-radcnn\nVersion: 1.1\n")
    newer = toy.rename(tmp_path / "newer")
    with toy_package.installed(newer):
        assert model_identity(get_model(toy_package.MODEL)) != before


def test_its_engine_answers_in_a_session(toy):
    assert engine_specs()[-1].name == toy_package.ENGINE
    volume = world_field(oblique_geometry())
    with PromptSession(volume, engine=toy_package.ENGINE) as session:
        value = session.add_object("a").value
        session.add(Prompt.point(volume.geometry.to_world((4, 7, 9))), value)
        similar = np.abs(volume.array - volume.array[4, 7, 9]) <= 0.1 * np.ptp(volume.array)
        taken = session.labels == value
        assert taken[4, 7, 9]
        assert (taken <= similar).all()
        assert taken.sum() > 100


def test_its_format_is_read_and_written(toy, tmp_path):
    assert [known.name for known in formats()][-1] == toy_package.FORMAT
    assert ".npz" in readable_suffixes()
    assert ".npz" in writable_suffixes()
    array = (np.arange(10 * 16 * 20).reshape(10, 16, 20) % 3).astype(np.uint8)
    path = radcnn.write(LabelMap(array, oblique_geometry(), {2: Label("mass")}), tmp_path / "a.npz")
    assert sniff(path).name == toy_package.FORMAT
    (volume,) = radcnn.read(path)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.is_close(oblique_geometry(), 1e-9)
    assert volume.metadata.label_names == {2: "mass"}
    assert radcnn.read(tmp_path)[0].name == "a"  # a folder with such a file
    np.savez(tmp_path / "b.npz", x=1)
    with pytest.raises(ReadError, match=r"b\.npz: no scan in it"):
        radcnn.read(tmp_path / "b.npz")


def test_without_it_nothing_of_it_is_known(tmp_path):
    assert toy_package.MODEL not in model_names()
    with pytest.raises(WriteError, match=r"'\.npz', but images are written as \.nii\.gz"):
        radcnn.write(SCAN, tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK\3\4")
    with pytest.raises(ReadError, match="not an image in a supported format"):
        radcnn.read(tmp_path / "a.npz")


def test_what_works_without_it_imports_nothing_of_it(toy, tmp_path):
    code = (
        "import sys, napari_radcnn as r\n"
        "from napari_radcnn.phantom import disks\n"
        "scan = r.read(r.write(disks()[0], sys.argv[1] + '/a.nii.gz'))[0]\n"
        "r.denoise(scan, 'nlm-denoise')\n"
        "from napari_radcnn.cli import main\n"
        "assert main(['run', 'nlm-denoise', sys.argv[1] + '/a.nii.gz', '-o', sys.argv[1] + '/b.nrrd']) == 0\n"
        "print([name for name in sys.modules if name.startswith('toy_radcnn')])\n"
    )
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(toy)!r})\n{code}", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_command_line_uses_all_three(toy, tmp_path, capsys):
    radcnn.write(SCAN, tmp_path / "in.nii.gz")
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "toy-threshold  (segmentation, MR, any; license BSD-3-Clause)" in listed
    assert listed.count("    from the package toy-radcnn 1.0\n") == 2
    assert main(["info", "--formats"]) == 0
    assert "NPZ  (read: .npz; written: .npz)\n    from the package toy-radcnn 1.0" in capsys.readouterr().out
    words = [str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.npz"), "--value", "300"]
    assert main(["run", toy_package.MODEL, *words]) == 0
    assert main(["info", str(tmp_path / "out.npz")]) == 0
    assert "out · NPZ · 9 x 14 x 12" in capsys.readouterr().out
    clicked = Prompt.point(SCAN.geometry.to_world((4, 7, 6))).to_dict()
    script = tmp_path / "clicks.json"
    script.write_text(json.dumps({"steps": [{"object": "a", "prompt": clicked}]}))
    words = [str(tmp_path / "in.nii.gz"), str(script), "-o", str(tmp_path / "b.npz")]
    assert main(["interact", *words, "--engine", toy_package.ENGINE]) == 0
    assert radcnn.read(tmp_path / "b.npz")[0].array[4, 7, 6] == 1
    assert main(["replay", str(tmp_path / "b.npz.radcnn.json")]) == 0
    assert "identical" in capsys.readouterr().out
    assert main(["models", toy_package.MODEL, "--card"]) == 0
    assert capsys.readouterr().out.startswith("# toy-threshold")


def contracts(*words: str, site: Path) -> subprocess.CompletedProcess:
    """Run tests of the contracts in a process in which a package is installed."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--no-header", *words]
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=there)


def test_the_contracts_run_over_what_it_adds_and_it_keeps_them(toy):
    done = contracts("tests/contracts", "-k", "npz or NPZ or toy", site=toy)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 60


@pytest.mark.slow
def test_the_contracts_notice_a_format_that_loses_the_place(toy):
    module = toy / toy_package.MODULE / "npz.py"
    text = module.read_text(encoding="utf-8")
    assert "affine=obj.geometry.affine" in text
    module.write_text(text.replace("affine=obj.geometry.affine", "affine=np.eye(4)"), encoding="utf-8")
    done = contracts("tests/contracts/test_formats.py", "-k", "npz and place", site=toy)
    assert done.returncode == 1
    assert "5 failed" in done.stdout


# -- those that are broken --------------------------------------------------------------------------------------------

SPOILED = toy_package.A_MODEL.format(name="broken")
#: Models that cannot be used: what their module holds, and what is said of it.
BAD_MODELS = {
    "no module": ("import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
    "an error": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    "an error of its own": ("class Burst(Exception): ...\nraise Burst('of its own')\n", "Burst: of its own"),
    "an end": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "not there": ("OTHER = 1\n", "module 'broken_radcnn' has no attribute 'SPEC'"),
    "a text": ("SPEC = 'x'\n", "'broken' is a str, expected a ModelSpec"),
    "another name": (SPOILED.replace("'broken'", "'whole'"), "is called 'broken', but its spec 'whole'"),
    "no task": (SPOILED + "SPEC = dataclasses.replace(SPEC, task='guess')\n", "its task is 'guess', expected one of"),
    "an engine": (
        SPOILED + "SPEC = dataclasses.replace(SPEC, task='interactive')\n",
        "so it is an engine, which belongs in the group napari_radcnn.engines",
    ),
    "options": (SPOILED + "SPEC = dataclasses.replace(SPEC, options=dict)\n", "its options are not a dataclass"),
    "bare options": (
        SPOILED + "SPEC = dataclasses.replace(SPEC, options=dataclasses.make_dataclass('O', ['x']))\n",
        "KeyError",
    ),
    "no licence": (SPOILED + "SPEC = dataclasses.replace(SPEC, licence='')\n", "its spec has no licence"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_broken_model_is_named_once_and_left_out(case, toy, tmp_path, capsys):
    text, reason = BAD_MODELS[case]
    with toy_package.installed(broken(tmp_path / "other", text, MODELS, "broken")):
        with pytest.warns(CatalogueWarning, match="The model 'broken' of the package 'broken-radcnn' ") as caught:
            names = [spec.name for spec in models()]
        (line,) = [str(warning.message) for warning in caught]
        assert reason in line
        assert "entry point in napari_radcnn.models" in line
        assert "\n" not in line
        assert toy_package.MODEL in names
        assert "broken" not in names
        with warnings.catch_warnings():
            warnings.simplefilter("error", CatalogueWarning)
            assert [spec.name for spec in models()] == names
        (left,) = left_out()
        assert str(left) == line
        with pytest.raises(ModelError, match="The model 'broken' of the package 'broken-radcnn'"):
            get_model("broken")
        assert main(["models", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert listed["left_out"] == [left.to_dict()]
        assert left.to_dict()["entry_point"] == "broken"
        assert toy_package.MODEL in [model["name"] for model in listed["models"]]


def test_asked_for_by_name_it_is_named_as_well(tmp_path):
    with (
        toy_package.installed(broken(tmp_path / "other", "1 / 0\n", MODELS, "broken")),
        pytest.warns(CatalogueWarning, match="ZeroDivisionError"),
        pytest.raises(ModelError, match="broken-radcnn"),
    ):
        radcnn.segment(SCAN, "broken")


@pytest.mark.parametrize("group", [MODELS, ENGINES])
@pytest.mark.parametrize("name", ["nlm-denoise", "NLM-Denoise", "region"])
def test_our_names_stay_ours_and_the_other_is_not_even_imported(group, name, tmp_path):
    with toy_package.installed(broken(tmp_path / "other", "raise SystemExit\n", group, name)):
        with pytest.warns(
            CatalogueWarning, match=rf"'{name}' of the package 'broken-radcnn' .* already exists"
        ) as caught:
            listed = models()
        assert len(caught) == 1
        assert get_model("nlm-denoise").package is None
        assert open_engine("region").name == "region"
        assert not [spec.name for spec in listed if spec.package is not None]
        assert "broken_radcnn" not in sys.modules


@pytest.mark.parametrize(
    ("name", "where", "reason"),
    [
        ("a b", "broken_radcnn:SPEC", "a name may only contain letters, digits"),
        ("broken", "broken_radcnn", "'broken_radcnn' is not of the form 'module:name'"),
        ("broken", "broken radcnn:SPEC", "is not of the form 'module:name'"),
        ("broken", "broken_radcnn:SPEC [extra]", "is not of the form 'module:name'"),
    ],
)
def test_an_entry_point_that_is_none_is_named(name, where, reason, tmp_path):
    with toy_package.installed(broken(tmp_path / "other", "SPEC = 1\n", MODELS, name, where)):
        with pytest.warns(CatalogueWarning, match="package 'broken-radcnn'") as caught:
            assert models()
        assert reason in str(caught[0].message)


def test_of_two_packages_with_one_name_the_first_is_used(toy, tmp_path):
    other = broken(
        tmp_path / "other", SPOILED, MODELS, toy_package.MODEL, package="zoo-radcnn", where="zoo_radcnn:SPEC"
    )
    with toy_package.installed(other):
        with pytest.warns(
            CatalogueWarning, match="'zoo-radcnn' .* the package 'toy-radcnn' also adds a model of this name"
        ):
            listed = {spec.name: spec for spec in models()}
        assert listed[toy_package.MODEL].package.name == "toy-radcnn"


def test_a_slow_one_is_left_out_until_it_is_there_and_delays_no_other(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("RADCNN_PLUGIN_SECONDS", "2")
    go_on = tmp_path / "go-on"
    waits = f"import time\nfrom pathlib import Path\nwhile not Path({str(go_on)!r}).exists():\n    time.sleep(0.01)\n"
    place = broken(tmp_path / "other", waits + SPOILED, MODELS, "broken")
    with toy_package.installed(place):
        with pytest.warns(
            CatalogueWarning, match="its import took longer than 2 s; .* RADCNN_PLUGIN_SECONDS"
        ) as caught:
            names = [spec.name for spec in models()]
        assert len(caught) == 1
        assert toy_package.MODEL in names
        assert "broken" not in names
        assert [left.name for left in left_out()] == ["broken"]
        go_on.touch()
        while "broken" not in names:  # nobody waits for it any more: it comes when it has come
            names = [spec.name for spec in models()]
        assert left_out() == []
        assert get_model("broken").package.seconds > 1


@pytest.mark.parametrize("seconds", ["", "soon"])
def test_a_time_that_is_none_counts_as_the_usual_one(seconds, toy, monkeypatch):
    monkeypatch.setenv("RADCNN_PLUGIN_SECONDS", seconds)
    assert get_model(toy_package.MODEL).name == toy_package.MODEL


def test_one_that_asks_for_the_list_as_it_is_imported_is_on_it(tmp_path):
    text = "import napari_radcnn\nNAMES = [one.name for one in napari_radcnn.models()]\n" + SPOILED
    with toy_package.installed(broken(tmp_path / "other", text, MODELS, "broken")):
        assert "broken" in [spec.name for spec in models()]
        assert "broken" not in sys.modules["broken_radcnn"].NAMES
        assert "region" in sys.modules["broken_radcnn"].NAMES


#: How the recipe of a model fails: what its module holds, and what is said of it.
BAD_RECIPES = {
    "plan": ("def plan(request): return 1 / 0\n", "ZeroDivisionError: division by zero"),
    "no plan": ("def plan(request): return 5\n", "its plan is a int, expected a Plan"),
    "own error": (
        "from toy_radcnn.run import plan\nclass Burst(Exception): ...\ndef run(request, monitor): raise Burst('x')\n",
        "Burst: x",
    ),
    "run": ("from toy_radcnn.run import plan\ndef run(request, monitor): return [][1]\n", "IndexError: list index"),
    "no run": ("from toy_radcnn.run import plan\n", "AttributeError: module 'broken_radcnn' has no attribute 'run'"),
    "answer": (
        "from toy_radcnn.run import plan\ndef run(request, monitor): return 5\n",
        "returned a int, expected an Ou",
    ),
}


@pytest.mark.parametrize("case", BAD_RECIPES)
def test_a_model_that_fails_as_it_runs_names_its_package_in_one_line(case, toy, tmp_path, capsys):
    text, reason = BAD_RECIPES[case]
    text += SPOILED + "SPEC = dataclasses.replace(SPEC, pipeline='broken_radcnn')\n"
    radcnn.write(SCAN, tmp_path / "in.nii.gz")
    with toy_package.installed(broken(tmp_path / "other", text, MODELS, "broken")):
        words = ["run", "broken", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz")]
        assert main(words) == ModelError.exit_status
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("radcnn: ")]
    assert line.startswith("radcnn: The model 'broken' failed in the package 'broken-radcnn 0.1': ")
    assert reason in line
    assert not (tmp_path / "out.nii.gz").exists()


# -- engines ----------------------------------------------------------------------------------------------------------

AN_ENGINE = (
    "import dataclasses\n"
    "from napari_radcnn.interactive.engines.specs import REGION\n"
    "SPEC = dataclasses.replace(REGION, name='broken', pipeline='broken_radcnn:Engine')\n"
)
BAD_ENGINES = {
    "a model": (SPOILED, "its task is 'denoising', expected 'interactive'"),
    "no class": (AN_ENGINE + "SPEC = dataclasses.replace(SPEC, pipeline='broken_radcnn')\n", "'module:Class'"),
    "an error": ("raise RuntimeError('no')\n", "RuntimeError: no"),
}


@pytest.mark.parametrize("case", BAD_ENGINES)
def test_a_broken_engine_is_named_and_left_out(case, toy, tmp_path):
    text, reason = BAD_ENGINES[case]
    with toy_package.installed(broken(tmp_path / "other", text, ENGINES, "broken")):
        with pytest.warns(CatalogueWarning, match="The engine 'broken' of the package 'broken-radcnn'") as caught:
            assert [spec.name for spec in engine_specs()][-2:] == ["nninteractive", toy_package.ENGINE]
        assert reason in str(caught[0].message)
        with pytest.raises(ModelError, match="broken-radcnn"):
            engine_spec("broken")


#: How an engine fails: what its class does, and what is said of it.
BAD_ANSWERS = {
    "no class": ("Engine = 5\n", "TypeError: 'int' object is not callable"),
    "opening": ("class Engine:\n    def __init__(self): ...\n", "TypeError: "),
    "nothing": (
        "class Engine:\n    def predict(self, request, monitor): ...\n",
        "returned a NoneType, expected a Mask",
    ),
    "an error": ("class Engine:\n    def predict(self, request, monitor): 1 / 0\n", "ZeroDivisionError"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_an_engine_that_fails_names_its_package_and_changes_nothing(case, tmp_path):
    text, reason = BAD_ANSWERS[case]
    if case not in ("no class", "opening"):
        text += "    def __init__(self, settings): ...\n    def close(self): ...\n"
    volume = world_field(oblique_geometry())

    def click():
        with PromptSession(volume, engine="broken") as session:
            value = session.add_object("a").value
            try:
                session.add(Prompt.point(volume.geometry.to_world((4, 7, 9))), value)
            finally:
                assert not session.labels.any()

    with toy_package.installed(broken(tmp_path / "other", AN_ENGINE + text, ENGINES, "broken")):
        with pytest.raises(ModelError, match="'broken' failed in the package 'broken-radcnn") as error:
            click()
        assert reason in str(error.value)


# -- formats ----------------------------------------------------------------------------------------------------------

A_FORMAT = (
    "from napari_radcnn.io import Format\n"
    "def read(path, progress, cancel):\n    return []\n"
    "def write(obj, path, overwrite):\n    ...\n"
    "def never(start):\n    return False\n"
)
BAD_FORMATS = {
    "a model": (SPOILED, "'broken' is a ModelSpec, expected a Format"),
    "another name": ("SPEC = Format('whole', ('.x',), (), never, read)\n", "but its format 'whole'"),
    "no use": ("SPEC = Format('broken', ('.x',), (), never)\n", "it has neither a reader nor a writer"),
    "no function": ("SPEC = Format('broken', ('.x',), (), 5, read)\n", "claims, reader and writer must be functions"),
    "no suffix": ("SPEC = Format('broken', ('x',), (), never, read)\n", "'x' is not a suffix"),
    "large letters": ("SPEC = Format('broken', ('.X',), (), never, read)\n", "'.X' is not a suffix"),
    "no writer": ("SPEC = Format('broken', ('.x',), ('.x',), never, read)\n", "and have a writer"),
    "other writes": ("SPEC = Format('broken', ('.x',), ('.y',), never, read, write)\n", "must be among its suffixes"),
    **{
        suffix: (
            f"SPEC = Format('broken', ('.x', {suffix!r}), (), never, read)\n",
            f"end with '{suffix}' are already opened",
        )
        for suffix in (".nii.gz", ".mine.nii", ".dcm", ".json", ".onnx", ".zip", ".raw", ".radcnn", ".sr.dcm", ".ckpt")
    },
}


@pytest.mark.parametrize("case", BAD_FORMATS)
def test_a_broken_format_is_named_and_left_out(case, toy, tmp_path, capsys):
    text, reason = BAD_FORMATS[case]
    (tmp_path / "a.x").write_text("x")
    with toy_package.installed(broken(tmp_path / "other", A_FORMAT + text, FORMATS, "broken")):
        with pytest.warns(CatalogueWarning, match="The format 'broken' of the package 'broken-radcnn'") as caught:
            assert list(formats())[-1].name == toy_package.FORMAT
        assert reason in str(caught[0].message)
        assert sniff(tmp_path / "a.x") is None
        assert main(["info", "--formats", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert [left["entry_point"] for left in listed["left_out"]] == ["broken"]
        assert listed["formats"][-1]["package"] == "toy-radcnn 1.0"


def test_the_command_line_names_a_broken_format_in_a_line(tmp_path, capsys):
    with toy_package.installed(broken(tmp_path / "other", "1 / 0\n", FORMATS, "broken")):
        assert main(["info", "--formats"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("radcnn: warning: The format 'broken' of the package 'broken-radcnn' ")


BAD_READERS = {
    "an error": ("    return 1 / 0\n", "ZeroDivisionError"),
    "no list": ("    return 5\n", "it did not return a list of at least one Volume"),
    "nothing": ("    return []\n", "it did not return a list of at least one Volume"),
}


@pytest.mark.parametrize("case", BAD_READERS)
def test_a_reader_that_fails_is_a_read_error_that_names_the_package(case, tmp_path):
    text, reason = BAD_READERS[case]
    code = A_FORMAT.replace("    return []\n", text) + "SPEC = Format('broken', ('.x',), (), never, read)\n"
    (tmp_path / "a.x").write_text("x")
    radcnn.write(SCAN, tmp_path / "b.nii.gz")
    with toy_package.installed(broken(tmp_path / "other", code, FORMATS, "broken")):
        with pytest.raises(
            ReadError, match=r"a\.x: reading the format 'broken' failed in the package 'broken"
        ) as error:
            radcnn.read(tmp_path / "a.x")
        assert reason in str(error.value)
        (volume,) = radcnn.read(tmp_path)
        assert volume.name == "b"
        assert any("Left out: a.x: reading the format 'broken' failed" in text for text in volume.warnings)


@pytest.mark.parametrize(("body", "reason"), [("    1 / 0\n", "ZeroDivisionError"), ("    ...\n", "wrote no file")])
def test_a_writer_that_fails_is_a_write_error_that_names_the_package(body, reason, tmp_path):
    code = A_FORMAT.replace("    ...\n", body) + "SPEC = Format('broken', ('.x',), ('.x',), never, None, write)\n"
    with toy_package.installed(broken(tmp_path / "other", code, FORMATS, "broken")):
        with pytest.raises(WriteError, match=r"a\.x: writing the format 'broken' failed in the package") as error:
            radcnn.write(SCAN, tmp_path / "a.x")
        assert reason in str(error.value)
        (tmp_path / "b.x").write_text("x")
        assert sniff(tmp_path / "b.x") is None  # written, but not read
        assert ".x" not in readable_suffixes()


def test_a_greedy_format_takes_nothing_of_ours(tmp_path):
    code = A_FORMAT + "SPEC = Format('broken', (), (), lambda start: True, read)\n"
    for name in ("a.json", "a.csv", "a.onnx", "a.raw", "journal.radcnn"):
        (tmp_path / name).write_text("{}")
    radcnn.write(SCAN, tmp_path / "a.nii.gz")
    (tmp_path / "a.other").write_text("anything")
    with toy_package.installed(broken(tmp_path / "other", code, FORMATS, "broken")):
        found = {path.name: sniff(path) for path in tmp_path.iterdir() if path.is_file()}
    assert {name for name, known in found.items() if known is not None} == {"a.nii.gz", "a.other"}
    assert (found["a.nii.gz"].name, found["a.other"].name) == ("NIfTI", "broken")


def test_a_format_that_cannot_say_what_is_its_own_claims_nothing(tmp_path):
    code = A_FORMAT + "SPEC = Format('broken', ('.x',), (), lambda start: 1 / 0, read)\n"
    (tmp_path / "a.other").write_text("anything")
    place = broken(tmp_path / "other", code, FORMATS, "broken")
    with (
        toy_package.installed(place),
        pytest.warns(CatalogueWarning, match="'broken' failed in the package 'broken"),
    ):
        assert sniff(tmp_path / "a.other") is None

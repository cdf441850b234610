"""Every block of the how-to pages is run, in order, on stand-in scans; what trains or measures is parsed only."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from npe2 import PluginManifest

import fake_models
import napari_radcnn as radcnn
import small_classifier
import stand_ins
import toy_package
from costly import few_of
from napari_radcnn.cli import _parser, main
from napari_radcnn.cohort.cluster.slurm import read_profile
from napari_radcnn.evidence.ensemble import KINDS
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.script import _FORMS, script_from_dict, step_from_dict
from napari_radcnn.interactive.tools import TOOLS, tool_from_dict
from napari_radcnn.phantom import head
from napari_radcnn.play import play
from napari_radcnn.results import FindingState

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "how-to").glob("*.md"))}
#: Stands in the way of a program, and writes down what it was called with.
_RECORDER = "#!/bin/sh\nprintf '%s\\0' {name} \"$@\"\nprintf '\\n'\n"
#: Pages whose lines run networks for half a minute; the slow tests run them, and what they run has tests of its own.
COSTLY = ("run-a-cohort", "segment-a-brain")
_PROGRAMS = ("radcnn", "make", ".venv/bin/python", "scripts/train_queue")


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    line: int
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    text = PAGES[page]
    return [
        Block(text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def data(page: str) -> list[Any]:
    return [json.loads(block.text) for block in blocks(page) if block.language == "json"]


class Shell:
    """Bash says which programs a line calls with which words; those are then run in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        for name in _PROGRAMS:
            path = folder / ("" if "/" in name else "bin") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_RECORDER.format(name=name), encoding="utf-8")
            path.chmod(0o755)

    def calls(self, line: str) -> list[list[str]]:
        path = f"{self._folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", line], cwd=self._folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return [call.split("\0")[:-1] for call in done.stdout.splitlines()]

    def run(self, line: str) -> None:
        for program, *words in self.calls(line):
            if program == "radcnn" and not _is_parsed_only(words):
                assert main(words) == 0, line
            elif program == "radcnn":
                _parser(words).parse_args(words)
            elif program == "make":
                self._make(words)
            elif program == "scripts/train_queue":
                _train_queue().make_parser().parse_args(words)
            else:
                self._python(words)

    def _make(self, words: list[str]) -> None:
        """Let make say what it would do, and parse what it would measure."""
        done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        would = [shlex.split(line) for line in done.stdout.splitlines() if line.startswith(_PROGRAMS[2])]
        assert would, f"make {' '.join(words)} does nothing"
        for _, *arguments in would:
            self._python(arguments)

    def _python(self, words: list[str]) -> None:
        if words[0] != "-m":
            assert (ROOT / words[0]).is_file(), words
            return
        if words[1].startswith("napari_radcnn.training."):
            module = import_module(words[1])
            if hasattr(module, "__path__"):
                module = import_module(f"{words[1]}.__main__")
            module.make_parser().parse_args(words[2:])
            return
        assert words[:2] == ["-m", "benchmarks"], words
        module = {"models": "benchmarks.models.run", "robustness": "benchmarks.models.robustness"}[words[2]]
        benchmarks = pytest.importorskip(module, reason="the benchmarks lie in the repository only")
        self._monkeypatch.setattr(benchmarks, "run", lambda *_: True)
        assert benchmarks.main(words[3:]) == 0


def _is_parsed_only(words: list[str]) -> bool:
    """Whether a command trains, serves until it is stopped, or needs other computers."""
    serves = words[:2] in (["cohort", "scheduler"], ["cohort", "worker"])
    return words[0] == "train" or serves or "--scheduler" in words or "--slurm" in words


def _train_queue() -> ModuleType:
    loader = SourceFileLoader("train_queue", str(ROOT / "scripts" / "train_queue"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # where dataclasses look their types up
    loader.exec_module(module)
    return module


# -- what a page comes to ------------------------------------------------------------------------------------------


def _mask_was_corrected(names, folder, out):
    result = names["result"]
    assert result.volume_ml(1) > 5.0
    filled = np.flatnonzero((result.array == 1).any(axis=(1, 2)))
    np.testing.assert_array_equal(filled, np.arange(filled[0], filled[-1] + 1))
    assert len(filled) >= 7  # the slices between the two that were drawn on
    assert "Fill between slices along k" in out


def _script_was_played(names, folder, out):
    shell, again = (radcnn.read(folder / name)[0].array for name in ("mass.nii.gz", "again.nii.gz"))
    assert np.array_equal(shell, again)
    assert np.array_equal(shell, names["labels"].array)
    mass = head().array > 780  # brighter than all the rest
    assert 2 * (mass & (shell == 1)).sum() / (mass.sum() + (shell == 1).sum()) > 0.9
    assert (shell == 2).any()  # the rim
    assert [line.split(":")[0] for line in out.splitlines()][:4] == ["mass", "rim", "written", "manifest"]
    assert "identical" in out


def _findings_were_written(names, folder, out):
    assert [box.state for box in names["back"].boxes] == ["accepted", "candidate"]
    assert sorted(path.name for path in (folder / "found").glob("*.json")) == [
        "first.json",
        "first.json.radcnn.json",
        "second one.json",
        "second one.json.radcnn.json",
    ]
    assert "sensitivity" in out


def _foreign_models_were_run(names, folder, out):
    written = radcnn.read(folder / "organs.nii.gz")[0].array
    assert np.array_equal(written, names["labels"].array)
    assert written.any()
    assert (folder / "labels.ome.zarr").is_dir()
    tumor = json.loads((folder / "tumor.nii.gz.radcnn.json").read_text())
    assert list(tumor["inputs"]) == ["T1", "T1c", "T2", "FLAIR"]
    assert "installed: " in out


def _maps_were_written(names, folder, out):
    assert sorted(path.name for path in (folder / "maps").iterdir()) == sorted(
        f"chest.{kind.lower().replace(' ', '-')}.nii.gz" for kind in KINDS
    )
    assert [image.name.rpartition(" · ")[2] for image in names["answer"].evidence] == list(KINDS)


def _mass_was_clicked(names, folder, out):
    labels = radcnn.read(folder / "mass.nii.gz")[0].array
    at = np.rint(head().geometry.to_index((-28, 20, 30))).astype(int)
    assert labels[tuple(at)] == 1
    assert "identical" in out


def _format_was_used(names, folder, out):
    (scan,), (same,) = radcnn.read(folder / "head.nii.gz"), radcnn.read(folder / "head.npz")
    np.testing.assert_array_equal(same.array, scan.array)
    assert same.geometry.is_close(scan.geometry, 1e-9)
    assert "NPZ  (read: .npz; written: .npz)" in out


def _bright_was_labeled(names, folder, out):
    (scan,), (labels,) = radcnn.read(folder / "head.nii.gz"), radcnn.read(folder / "bright.nii.gz")
    np.testing.assert_array_equal(labels.array, scan.array > 700)


def _tool_was_used(names, folder, out):
    assert 0 < names["after"] < names["before"]
    assert "Keep what is at least 780" in out


def _labels_were_measured(names, folder, out):
    rows = (folder / "figures.csv").read_text().splitlines()
    assert len(rows) == 3
    pet = json.loads((folder / "pet.json").read_text())
    assert pet["unit"] == "SUVbw"
    assert {"suv_max", "suv_peak", "mtv_ml", "tlg"} <= set(pet["labels"][0])
    brain = (folder / "brain.csv").read_text().splitlines()[1].split(",")
    assert float(brain[3]) == names["table"]["labels"][0]["volume_ml"]
    assert "longest mm" in out


def _cohort_was_run(names, folder, out):
    assert (names["summary"].n_done, names["summary"].n_kept, names["summary"].failed) == (2, 2, {})
    for name in ("denoised", "measured"):
        with (folder / name / "results.csv").open() as table:
            rows = list(csv.DictReader(table))
        assert len(rows) == 2
        assert {row["state"] for row in rows} == {"done"}, rows
    assert float(rows[0]["measure: brain volume_ml"]) > 0
    profile = next(block.text for block in blocks("run-a-cohort") if "cores:" in block.text)
    (folder / "profile.yaml").write_text(profile)
    assert read_profile(folder / "profile.yaml").jobs == 8


def _classifier_said_the_same(names, folder, out):
    expected = names["expected"].tolist()
    for name in ("answer.json", "again.json"):
        found = json.loads((folder / name).read_text())["probabilities"]
        assert list(found.values()) == pytest.approx(expected, abs=1e-4), name
    assert "gives: effusion, pneumothorax, mass" in out


CHECKS = {
    "add-a-format": _format_was_used,
    "add-a-model": _bright_was_labeled,
    "add-a-tool": _tool_was_used,
    "add-an-engine": _mass_was_clicked,
    "correct-a-mask": _mask_was_corrected,
    "interact-from-a-script": _script_was_played,
    "measure": _labels_were_measured,
    "my-pytorch-classifier": _classifier_said_the_same,
    "review-findings": _findings_were_written,
    "run-a-cohort": _cohort_was_run,
    "run-models-from-elsewhere": _foreign_models_were_run,
    "see-the-evidence": _maps_were_written,
}


@pytest.mark.parametrize("page", COSTLY)
def test_the_lines_of_a_costly_page_are_understood(page, tmp_path, monkeypatch):
    shell = Shell(tmp_path, monkeypatch)
    calls = [call for block in blocks(page) if block.language == "sh" for call in shell.calls(block.text)]
    assert calls
    for program, *words in calls:
        assert program == "radcnn"
        _parser(words).parse_args(words)
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page}.md:{block.line}", "exec")


@pytest.mark.parametrize("page", few_of(PAGES, *(page for page in PAGES if page not in COSTLY)))
def test_what_the_page_shows_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "scans").mkdir()
    stand_ins.lay_out(PAGES[page], tmp_path)
    fake_models.register(monkeypatch, "detection", "MODEL")
    small_classifier.register(monkeypatch)
    shell, names = Shell(tmp_path, monkeypatch), {}
    has_toy = toy_package.MODULE in PAGES[page]
    with toy_package.installed(toy_package.lay_out(tmp_path / "site")) if has_toy else nullcontext():
        for block in blocks(page):
            if block.language == "python":
                exec(compile(block.text, f"{page}.md:{block.line}", "exec", dont_inherit=True), names)
            elif block.language == "sh":
                for line in block.text.splitlines():
                    shell.run(line)
            elif block.language == "json" and "steps" in json.loads(block.text):
                (tmp_path / "script.json").write_text(block.text, encoding="utf-8")
            elif block.language == "json" and "schema" in json.loads(block.text):
                (tmp_path / "findings.json").write_text(block.text, encoding="utf-8")
            elif block.language == "yaml" and "steps" in yaml.safe_load(block.text):
                (tmp_path / "chain.yaml").write_text(block.text, encoding="utf-8")
        CHECKS.get(page, lambda *_: None)(names, tmp_path, capsys.readouterr().out)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_of_the_page_is_passed_over(page):
    assert {block.language for block in blocks(page)} <= {"python", "sh", "json", "toml", "yaml"}
    outside = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    assert "```" not in outside
    assert not re.search(r"\n\n {4,}\S", outside), "an indented block says no language"


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_files_that_are_there(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGES[page]):
        assert (ROOT / "docs" / "how-to" / link).exists(), link
    for path in re.findall(r"`((?:src|docs|benchmarks|tests)/[^`]+)`", PAGES[page]):
        assert list(ROOT.glob(re.sub(r"[A-Z]{2,}", "*", path))), path


@pytest.mark.parametrize("page", [page for page in PAGES if toy_package.MODULE in PAGES[page]])
def test_the_page_shows_the_package_that_is_tested(page):
    files = {path.read_text(encoding="utf-8") for path in (toy_package.FOLDER / toy_package.MODULE).glob("*.py")}
    shown = [block for block in blocks(page) if block.language == "python"]
    assert shown
    assert {block.text for block in shown} <= files
    declared = toy_package.project()["entry-points"]
    (entries,) = [tomllib.loads(block.text) for block in blocks(page) if block.language == "toml"]
    for group, names in entries["project"]["entry-points"].items():
        assert names == declared[group]


def test_the_entries_of_a_dock_fit_into_the_manifest():
    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    (more,) = [yaml.safe_load(block.text) for block in blocks("add-a-dock") if block.language == "yaml"]
    (command,) = more["contributions"]["commands"]
    for kind in ("commands", "widgets"):
        manifest["contributions"][kind] += more["contributions"][kind]
    manifest["contributions"]["menus"] |= more["contributions"]["menus"]
    found = PluginManifest(**manifest)
    assert command["id"] in [known.id for known in found.contributions.commands]
    assert command["python_name"] == "napari_radcnn.gui.panel.doors:Volumes"


# -- pages that list all there is of something ------------------------------------------------------------------------


def test_every_kind_of_step_prompt_and_tool_of_a_script_is_shown_and_right():
    _, steps, prompts, tools = data("interact-from-a-script")
    for step in steps:
        step_from_dict(step)
    for needed, others, _ in _FORMS:
        assert any(needed <= set(step) <= needed | others for step in steps), needed
    assert {Prompt.from_dict(prompt).kind for prompt in prompts} == {"point", "box", "scribble", "lasso"}
    assert {tool_from_dict(tool).name for tool in tools} == set(TOOLS) - {"copy_label"}


def test_the_script_of_corrections_uses_the_tools_and_keeps_its_margin():
    (script,) = data("correct-a-mask")
    used = {step.tool.name for step in script_from_dict(script).steps}
    assert used | {"remove_island", "clear", "copy_label"} == set(TOOLS)
    labels = play(head(), script)
    assert [label.name for label in labels.labels.values()] == ["lesion", "vessel"]
    assert labels.volume_ml(1) > 5.0
    assert labels.volume_ml(2) > 0.1
    lesion, vessel = (head().geometry.to_world(np.argwhere(labels.array == value)) for value in (1, 2))
    assert np.linalg.norm(lesion[:, None] - vessel[None], axis=2).min() > 3.0


def test_every_correction_tool_is_explained():
    for name, kind in TOOLS.items():
        assert name in PAGES["correct-a-mask"] or kind.__name__ in PAGES["correct-a-mask"]


def test_every_state_of_a_finding_is_explained():
    for state in get_args(FindingState):
        assert re.search(rf"^\| [a-z, ]+ \| {state}", PAGES["review-findings"], re.MULTILINE)


def test_a_task_touches_at_most_seven_source_files():
    rows = re.findall(r"^\| (\d) \| `(src/[^`]+)` \|", PAGES["add-a-task"], re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert 3 <= len({path for _, path in rows}) == len(rows) <= 7

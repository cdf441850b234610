"""A new model is a new folder and nothing else; one that is broken is named and left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.cli import main
from napari_radcnn.errors import CatalogueWarning, ModelError
from napari_radcnn.models import get_model, models, registry
from napari_radcnn.phantom import head, oblique_geometry
from toy_model import BROKEN, NAME, also_looked_into, drop_in, drop_in_broken, linked_package

SCAN = head(oblique_geometry((6, 8, 10)))


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Path]:
    """A folder that models may be dropped into, which the list of models also looks into."""
    registry.own_models.cache_clear()
    with also_looked_into("napari_radcnn.models", tmp_path):
        yield tmp_path
    registry.own_models.cache_clear()


def test_a_folder_that_is_dropped_in_is_a_model(catalogue):
    before = [spec.name for spec in models()]
    assert NAME not in before
    drop_in(catalogue)
    registry.own_models.cache_clear()
    assert [spec.name for spec in models()] == sorted([*before, NAME])
    result = radcnn.denoise(SCAN, NAME)
    np.testing.assert_array_equal(result.array, 2 * SCAN.array.astype(np.float32) + 1)
    assert result.geometry == SCAN.geometry
    assert radcnn.denoise(SCAN, NAME, {"offset": -3.0}).array[0, 0, 0] == 2 * SCAN.array[0, 0, 0] - 3


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_folder_that_is_broken_is_named_and_left_out(catalogue, name):
    drop_in(catalogue)
    drop_in_broken(catalogue, name)
    with pytest.warns(CatalogueWarning) as caught:
        found = models()
    (warning,) = caught
    assert str(warning.message) == (
        f"The models of the folder 'models/{name}' are left out: {BROKEN[name][2]}. Repair the folder, or remove it."
    )
    assert {NAME, "brain-extraction", "region"} <= {spec.name for spec in found}
    assert [spec.name for spec in models()] == [spec.name for spec in found]  # and says so once


def test_a_folder_whose_model_has_the_name_of_another_is_named(catalogue):
    spec = drop_in(catalogue) / "spec.py"
    spec.write_text(spec.read_text(encoding="utf-8").replace(NAME, "nlm-denoise"), encoding="utf-8")
    with pytest.warns(CatalogueWarning, match=r"'models/toy_model' .* another model has the name 'nlm-denoise'"):
        assert get_model("nlm-denoise").title == "Non-local means"


def test_a_folder_without_its_init_is_a_model_all_the_same(catalogue):
    (drop_in(catalogue) / "__init__.py").unlink()
    assert get_model(NAME).title == "Doubling"


def test_a_model_whose_run_cannot_be_imported_is_listed_and_says_why(catalogue, tmp_path_factory, capsys):
    (drop_in(catalogue) / "run.py").write_text("def run(:\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"'toy-doubling' cannot be run: .*toy_model\.run' .*SyntaxError: invalid syn"):
        radcnn.denoise(SCAN, NAME)
    place = tmp_path_factory.mktemp("scan")
    radcnn.write(SCAN, place / "in.nii.gz")
    status = main(["run", NAME, str(place / "in.nii.gz"), "-o", str(place / "out.nii.gz")])
    assert status == ModelError.exit_status
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("radcnn: ")]
    assert len(lines) == 1
    assert "SyntaxError: invalid syntax (run.py, line 1)" in lines[0]
    assert not (place / "out.nii.gz").exists()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with a new model and all that are broken, as links: `radcnn` runs from it."""
    place = tmp_path_factory.mktemp("package")
    catalogue = linked_package(place)
    drop_in(catalogue)
    for name in BROKEN:
        drop_in_broken(catalogue, name)
    return place


def _radcnn(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "napari_radcnn.cli", *words]
    there = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=there, cwd=package)


def test_the_command_line_lists_it_and_names_each_broken_folder_in_a_line(package):
    done = _radcnn(package, "models")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert names == sorted([*(spec.name for spec in models()), NAME])
    lines = done.stderr.splitlines()
    assert [line.split("'")[1] for line in lines] == [f"models/{name}" for name in sorted(BROKEN)]
    assert all(line.startswith("radcnn: warning: The models of the folder ") for line in lines)
    assert all(BROKEN[name][2] in line for name, line in zip(sorted(BROKEN), lines, strict=True))


def test_the_command_line_prints_its_card(package):
    done = _radcnn(package, "models", NAME, "--card")
    assert done.returncode == 0
    assert done.stdout.startswith("# toy-doubling: Doubling\n")


def test_the_command_line_runs_it(package, tmp_path):
    radcnn.write(SCAN, tmp_path / "in.nii.gz")
    words = ["run", NAME, str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz"), "--offset", "5"]
    done = _radcnn(package, *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("are left out") == len(BROKEN)
    (result,) = radcnn.read(tmp_path / "out.nii.gz")
    (given,) = radcnn.read(tmp_path / "in.nii.gz")
    np.testing.assert_array_equal(result.array, 2 * given.array.astype(np.float32) + 5)
    manifest = json.loads((tmp_path / "out.nii.gz.radcnn.json").read_text(encoding="utf-8"))
    assert manifest["model"]["name"] == NAME

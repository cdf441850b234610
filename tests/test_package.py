"""The package as a whole: what importing costs, what its sources keep to, what a wheel holds."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import napari_radcnn as radcnn

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PYTHON = SOURCES + sorted((ROOT / "benchmarks").rglob("*.py"))


def _run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=False)


def test_importing_pulls_in_nothing_heavy_and_makes_nothing():
    code = (
        "import sys, napari_radcnn\n"
        "heavy = {'torch', 'napari', 'qtpy', 'PyQt6', 'PySide6', 'monai', 'SimpleITK', 'pydicom', 'numpy', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = _run("-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_reading_and_listing_import_no_torch_and_no_qt():
    code = (
        "import sys, napari_radcnn as r\n"
        "r.models(), r.read, r.write, r.segment\n"
        "print(sorted({'torch', 'napari', 'qtpy', 'monai', 'SimpleITK', 'pydicom'} & set(sys.modules)))\n"
    )
    done = _run("-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_fresh_program_finds_the_packages_and_reads_no_metadata():
    code = (
        "import sys, napari_radcnn as r\n"
        "print('importlib.metadata' in sys.modules)\n"
        "print(r.cohort.run.__module__, r.measure.segments.__module__, r.models.__name__)\n"
    )
    done = _run("-c", code)
    read, where = done.stdout.splitlines()
    assert read == "False", "importing takes several times as long with it"
    assert where.split()[0].startswith("napari_radcnn.cohort.")
    assert where.split()[1].startswith("napari_radcnn.measure.")
    assert where.split()[2] == "napari_radcnn.models"


def test_every_public_name_resolves_and_no_other_does():
    for name in radcnn.__all__:
        assert getattr(radcnn, name) is not None
        assert name in dir(radcnn)
    with pytest.raises(AttributeError, match="attribute segmnt"):
        _ = radcnn.segmnt


#: What no source of ours does.
FORBIDDEN = (
    r"weights_only\s*=\s*False",
    r"\bpickle\.",
    r"allow_pickle\s*=\s*True",
    r"napari\._",
    r"except Exception",
    r"except:\s",
    r"https?://(pypi|files\.pythonhosted)",
)


def test_sources_keep_to_the_rules():
    assert len(SOURCES) >= 400  # modules looked at
    texts = {str(path.relative_to(ROOT / "src")): path.read_text(encoding="utf-8") for path in SOURCES}
    assert [(name, rule) for name, text in texts.items() for rule in FORBIDDEN if re.search(rule, text)] == []


def test_no_folder_is_crowded():
    lying = Counter(path.parent.relative_to(ROOT) for path in PYTHON if path.name != "__init__.py")
    assert len(lying) >= 40  # folders looked into
    assert {folder: count for folder, count in lying.items() if count > 20} == {}


def test_no_module_is_long():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert len(lengths) >= 400  # modules looked at
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_a_wheel_holds_manifest_and_cards(tmp_path):
    done = _run("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for expected in ("napari.yaml", "py.typed", "models/brain_extraction/brain-extraction.md", "cli/__init__.py"):
        assert f"napari_radcnn/{expected}" in names
    assert not any(name.startswith(("tests", "docs", "scripts")) for name in names)


def test_the_manifest_at_the_root_is_the_one_in_the_package():
    assert (ROOT / "napari.yaml").resolve() == (ROOT / "src" / "napari_radcnn" / "napari.yaml").resolve()


def test_no_qt_binding_is_forced_on_the_user():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[><=! ]", line)[0].lower() for line in project["dependencies"]}
    assert not names & {"pyqt5", "pyqt6", "pyside2", "pyside6"}
    assert not any("napari[" in line for line in project["dependencies"])
    assert {"pyside6", "pyqt6", "cpu", "models", "docs", "dev"} <= set(project["optional-dependencies"])


def test_constraints_pin_single_versions():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    assert pins["torch"] == "2.13.0"
    assert all(re.fullmatch(r"\d+(\.\d+)*(rc\d+)?", version) for version in pins.values())


def test_tests_run_on_the_oldest_and_the_newest_napari_that_is_supported():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (supported,) = (Requirement(line).specifier for line in project["dependencies"] if line.startswith("napari"))
    (older,) = re.findall(r"^version=(.*)$", (ROOT / "scripts" / "older_napari.sh").read_text(), re.MULTILINE)
    assert [supported.contains(version, prereleases=True) for version in (older, pins["napari"])] == [True, True]
    assert Version(older).release[:2] == Version(min(s.version for s in supported if s.operator == ">=")).release[:2]
    assert Version(older) < Version(pins["napari"])
    assert not supported.contains("0.8.0")


#: Decoders that pydicom finds by itself; nothing imports them.
_PLUGINS = {"pyjpegls", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle"}
_IMPORT_NAMES = {
    "Pillow": "PIL",
    "dicom-anonymizer": "dicomanonymizer",
    "lazy-loader": "lazy_loader",
    "PyWavelets": "pywt",
    "PyYAML": "yaml",
    "scikit-image": "skimage",
}


def test_every_dependency_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[><=! ]", line)[0] for line in project["dependencies"]} - _PLUGINS
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE))
    assert {name for name in names if _IMPORT_NAMES.get(name, name) not in imported} == set()
    assert len(names) >= 15


def test_the_changelog_knows_this_version():
    assert f"## {radcnn.__version__}" in (ROOT / "CHANGELOG.md").read_text()

"""The wheel, installed beside what it depends on, works without the checkout it was built from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECK = ROOT / "scripts" / "check_installed.py"


def _run(*words: str, cwd: Path = ROOT, path: str = "") -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


@pytest.mark.slow
def test_the_wheel_works_on_its_own(tmp_path):
    done = _run("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    done = _run("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site), str(wheel))
    assert done.returncode == 0, done.stderr
    done = _run(str(CHECK), str(site), cwd=tmp_path, path=str(site))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.slow
def test_a_package_from_elsewhere_does_not_pass(tmp_path):
    done = _run(str(CHECK), str(tmp_path), cwd=tmp_path, path=str(ROOT / "src"))
    assert done.returncode == 1
    assert f"not in {tmp_path}" in done.stderr

"""Standard output and error that are closed, full, in ASCII, or whose reader has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import napari_radcnn as radcnn
from napari_radcnn.phantom import head, oblique_geometry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="streams are set by a POSIX shell")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "Sch\u00e4del \u2192.nii.gz"
    radcnn.write(head(oblique_geometry((3, 4, 5))), path)
    return path


def _shell(words: str, scan: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    program = f'"{sys.executable}" -m napari_radcnn.cli'
    return subprocess.run(
        ["sh", "-c", words.replace("radcnn", program, 1)],
        cwd=scan.parent,
        env={**os.environ, "SCAN": str(scan), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_terminal_in_ascii_gets_escapes(scan: Path) -> None:
    done = _shell('radcnn info "$SCAN"', scan, PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sch\\xe4del \\u2192" in done.stdout
    missing = _shell('radcnn info "$SCAN.no"', scan, PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert missing.returncode == 3
    assert missing.stderr.startswith("radcnn: ")
    assert missing.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_standard_output_is_one_line(scan: Path) -> None:
    done = _shell('radcnn info "$SCAN" >/dev/full', scan)
    assert done.returncode == 3
    assert done.stderr.startswith("radcnn: Standard output: the answer cannot be printed (No space left on device)")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["2>/dev/full", "1>&- 2>&-"])
def test_a_closed_standard_error_changes_nothing(scan: Path, closed: str) -> None:
    done = _shell(f'radcnn convert "$SCAN" out.nrrd {closed}', scan)
    assert (done.returncode, done.stderr) == (0, "")
    assert radcnn.read(scan.parent / "out.nrrd")[0].geometry.shape == (3, 4, 5)
    assert _shell(f'radcnn convert "$SCAN" out.nrrd {closed}', scan).returncode == 3  # it exists, which nobody hears


def test_a_reader_that_has_seen_enough_is_no_error(scan: Path) -> None:
    done = _shell('{ radcnn info "$SCAN"; echo "status $?" >&2; } | true', scan)
    assert done.stderr == "status 0\n"

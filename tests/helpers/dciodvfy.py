"""What the validator of dicom3tools says of a file."""

from __future__ import annotations

import subprocess
from pathlib import Path


def errors_in(path: Path) -> set[str]:
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert any(not line.startswith(("Error", "Warning")) for line in lines), "the validator said nothing at all"
    return {line for line in lines if line.startswith("Error")}

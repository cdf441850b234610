"""What dcmqi reads of a structured report."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import dcmqi


def groups_in(report: Path, folder: Path) -> list[dict[str, Any]]:
    """Return the measurement groups of a report of TID 1500 as `tid1500reader` writes them, into a folder."""
    program, written = Path(dcmqi.__file__).parent / "bin" / "tid1500reader", folder / "dcmqi.json"
    words = [str(program), "--inputDICOM", str(report), "--outputMetadata", str(written)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    groups: list[dict[str, Any]] = json.loads(written.read_text())["Measurements"]
    return groups


def numbers_in(group: dict[str, Any]) -> dict[tuple[str, str], tuple[float, str]]:
    """Return the numbers of a group with their units, by name and derivation."""
    return {
        (one["quantity"]["CodeMeaning"], one.get("derivationModifier", {}).get("CodeMeaning", "")): (
            float(one["value"]),
            one["units"]["CodeValue"],
        )
        for one in group["measurementItems"]
    }

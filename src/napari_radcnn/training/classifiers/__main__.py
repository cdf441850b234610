"""Writes what the classifiers decide by anew, beside weights that are there already."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_radcnn.training.classifiers import adrenal_mass, cxr_pneumonia


def main(arguments: Sequence[str] | None = None) -> None:
    """Write decisions beside weights."""
    deciders = {"adrenal-mass": adrenal_mass.decide, "cxr-pneumonia": cxr_pneumonia.decide}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(deciders))
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parsed = parser.parse_args(arguments)
    found = deciders[parsed.name](parsed.weights, parsed.data)
    told = {key: found[key] for key in ("operating_points", "unseen")}
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""``radcnn models``: which there are."""

from __future__ import annotations

import argparse
import json

from napari_radcnn.models.registry import models


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    listing = commands.add_parser("models", help="list the models")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(command=_models)


def _models(parsed: argparse.Namespace) -> None:
    if parsed.json:
        print(json.dumps({"models": [spec.to_dict() for spec in models()]}, indent=2))
        return
    for spec in models():
        for_what = ", ".join(spec.modalities) or "any modality"
        print(f"{spec.name}  ({spec.task}, {for_what}, {spec.body_part}; licence {spec.licence})")
        print(f"    {spec.summary}")
        if not spec.is_available:
            print(f"    not installed: {spec.how_to_install}")

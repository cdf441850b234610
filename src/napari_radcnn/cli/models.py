"""``radcnn models``: which there are, which lie on this computer, and carrying them to another."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_radcnn.models.registry import models


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    listing = commands.add_parser(
        "models",
        help="list the models; pack one into a file, install it elsewhere",
        description="List the models. With a further word: find, pack, verify, install or remove them.",
    )
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(command=_models)
    more = listing.add_subparsers(title="further", metavar="WORD")

    found = more.add_parser("found", help="list nnU-Net's and TotalSegmentator's models on this computer's disk")
    found.add_argument("--json", action="store_true", help="as JSON")
    found.set_defaults(command=_found)

    packer = more.add_parser("pack", help="put a foreign model into one file, with its licence and card")
    packer.add_argument("model", metavar="PATH", type=Path, help="file or folder of the model")
    packer.add_argument("-o", "--output", metavar="PACK", type=Path, required=True, help="NAME.radcnn-model.zip")
    packer.add_argument("--licence", metavar="FILE", type=Path, required=True, help="licence of the weights")
    packer.add_argument("--card", metavar="FILE", type=Path, required=True, help="what it is, how well it does (.md)")
    packer.add_argument("--name", help="what is typed to run it")
    packer.add_argument("--trust", metavar="SHA256", help="of a model that contains code")
    packer.add_argument("--overwrite", action="store_true", help="replace PACK if it exists")
    packer.set_defaults(command=_pack)

    verifier = more.add_parser("verify", help="check that a pack is whole and unchanged")
    verifier.add_argument("pack", metavar="PACK", type=Path)
    verifier.set_defaults(command=_verify)

    installer = more.add_parser("install", help="install a pack for this user")
    installer.add_argument("pack", metavar="PACK", type=Path)
    installer.add_argument("--trust", metavar="SHA256", help="of a model that contains code")
    installer.set_defaults(command=_install)

    remover = more.add_parser("remove", help="remove an installed model")
    remover.add_argument("name", metavar="NAME")
    remover.set_defaults(command=_remove)


def _models(parsed: argparse.Namespace) -> None:
    if parsed.json:
        print(json.dumps({"models": [spec.to_dict() for spec in models()]}, indent=2))
        return
    for spec in models():
        for_what = ", ".join(spec.modalities) or "any modality"
        told = [spec.task, for_what, *([spec.body_part] if spec.body_part else [])]
        print(f"{spec.name}  ({', '.join(told)}; licence {spec.licence})")
        print(f"    {spec.summary}")
        if spec.inputs:
            print(f"    inputs: {', '.join(slot.name for slot in spec.inputs)}")
        if not spec.is_available:
            print(f"    not installed: {spec.how_to_install}")


def _found(parsed: argparse.Namespace) -> None:
    from napari_radcnn.models.formats.nnunet_found import find_nnunet_models

    found = find_nnunet_models()
    if parsed.json:
        listed = [
            {
                "path": str(model.path),
                "dataset": model.dataset,
                "configuration": model.configuration,
                "folds": list(model.folds),
                "licence": model.licence,
                "task": model.task,
            }
            for model in found
        ]
        print(json.dumps({"found": listed}, indent=2))
        return
    for model in found:
        task = f", {model.task}" if model.task else ""
        print(f"{model.dataset} {model.configuration}{task}  (licence {model.licence})")
        print(f"    {model.path}")
    if not found:
        print("none; nnU-Net's results and TotalSegmentator's weights are looked for in their usual places")


def _pack(parsed: argparse.Namespace) -> None:
    from napari_radcnn.models.pack import pack

    written = pack(
        parsed.model,
        parsed.output,
        licence=parsed.licence,
        card=parsed.card,
        name=parsed.name,
        trust=parsed.trust,
        overwrite=parsed.overwrite,
    )
    print(f"written: {written}")


def _verify(parsed: argparse.Namespace) -> None:
    from napari_radcnn.models.pack import verify

    info = verify(parsed.pack)
    print(f"{info.name}: {info.title}, version {info.version}, {len(info.files)} files, all as they were packed")


def _install(parsed: argparse.Namespace) -> None:
    from napari_radcnn.models.pack import install

    name = install(parsed.pack, trust=parsed.trust)
    print(f"installed: {name}")


def _remove(parsed: argparse.Namespace) -> None:
    from napari_radcnn.models.pack import uninstall

    uninstall(parsed.name)
    print(f"removed: {parsed.name}")

"""``radcnn models``: which there are, which lie on this computer, and carrying them to another."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from napari_radcnn.cli.common import add_on_irregular, add_select, choose, read_volumes
from napari_radcnn.errors import ModelError
from napari_radcnn.models.registry import get_model, left_out, models
from napari_radcnn.operations import models_for
from napari_radcnn.spec.card import own_card, pack_card
from napari_radcnn.spec.model import ModelSpec


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser], words: Sequence[str]) -> None:
    """Add the command of this module; `words` are the arguments, which may name a model."""
    listing = commands.add_parser(
        "models",
        help="list the models, print a model card, pack a model into a file, install a pack",
        description="List the models. With the name of a model: describe it, or print its card (`radcnn models NAME "
        "--card`). The commands found, check, pack, verify, install and remove manage models from elsewhere.",
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.add_argument(
        "--for",
        dest="scan",
        metavar="SCAN",
        type=Path,
        help="sort them by how they suit a scan: those that fit first, then the doubtful and the refused with reasons",
    )
    add_select(listing)
    add_on_irregular(listing)
    listing.set_defaults(command=_models)
    more = listing.add_subparsers(title="further", metavar="WORD")

    found = more.add_parser("found", help="list the nnU-Net and TotalSegmentator models on this computer")
    found.add_argument("--json", action="store_true", help="print JSON")
    found.set_defaults(command=_list_found)

    packer = more.add_parser("pack", help="pack a foreign model into one file, with its license and model card")
    packer.add_argument("model", metavar="PATH", type=Path, help="file or folder of the model")
    packer.add_argument("-o", "--output", metavar="PACK", type=Path, required=True, help="NAME.radcnn-model.zip")
    packer.add_argument(
        "--licence", metavar="FILE", type=Path, required=True, help=("text file with the license of the weights")
    )
    packer.add_argument(
        "--card", metavar="FILE", type=Path, required=True, help=("model card: what it is, how well it performs (.md)")
    )
    packer.add_argument("--name", help="name used to run it")
    packer.add_argument(
        "--trust", metavar="SHA256", help=("SHA-256 of the code that you trust, for a model that contains code")
    )
    packer.add_argument("--overwrite", action="store_true", help="replace PACK if it exists")
    packer.set_defaults(command=_pack)

    checker = more.add_parser(
        "check",
        help="open a model from elsewhere and say what it takes and gives, or what is wrong with its description",
        description="Open a model from elsewhere without running it: a model.json is checked key by key, and its "
        "network against it. What is wrong is named with its line.",
    )
    checker.add_argument("model", metavar="PATH", type=Path, help="file or folder of the model")
    checker.add_argument("--trust", metavar="SHA256", help="SHA-256 of the code that you trust")
    checker.set_defaults(command=_check)

    verifier = more.add_parser("verify", help="check that a pack is complete and unchanged")
    verifier.add_argument("pack", metavar="PACK", type=Path)
    verifier.set_defaults(command=_verify)

    installer = more.add_parser("install", help="install a pack for the current user")
    installer.add_argument("pack", metavar="PACK", type=Path)
    installer.add_argument(
        "--trust", metavar="SHA256", help=("SHA-256 of the code that you trust, for a model that contains code")
    )
    installer.set_defaults(command=_install)

    truster = more.add_parser("trusted", help="list the SHA-256 of the code that is trusted, or take one back")
    truster.add_argument("--forget", metavar="SHA256", help="do not let this code run any longer")
    truster.set_defaults(command=_trusted)

    remover = more.add_parser("remove", help="remove an installed model")
    remover.add_argument("name", metavar="NAME")
    remover.set_defaults(command=_remove)

    if words[:1] == ["models"] and len(words) > 1 and not words[1].startswith("-") and words[1] not in more.choices:
        one = more.add_parser(words[1])
        one.add_argument(
            "--card", action="store_true", help=("print its card: training data, method, results, limitations")
        )
        one.add_argument("--json", action="store_true", help="print JSON")
        one.set_defaults(command=_one, name=words[1])


def _one(parsed: argparse.Namespace) -> None:
    spec = get_model(parsed.name)
    card = own_card(spec) or pack_card(spec) if parsed.card else None
    if parsed.card and card is None:
        raise ModelError(f"'{spec.name}' has no model card.")
    if parsed.json:
        print(json.dumps(spec.to_dict() | ({} if card is None else {"card": card}), indent=2))
    elif card is not None:
        print(card.rstrip())
    else:
        _tell(spec)


def _models(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign.pack import unusable

    if parsed.scan is not None:
        _for_scan(parsed)
        return
    damaged = unusable()
    if parsed.json:
        listed = {"models": [spec.to_dict() for spec in models()], "left_out": [left.to_dict() for left in left_out()]}
        named = {"unusable": [{"name": one.name, "reason": one.reason} for one in damaged]} if damaged else {}
        print(json.dumps({**listed, **named}, indent=2))
        return
    for spec in models():
        _tell(spec)
    for one in damaged:
        print(f"{one.name}  (installed, but cannot be used)")
        print(f"    {one.reason}")


def _for_scan(parsed: argparse.Namespace) -> None:
    """List the models by how they suit a scan."""
    volume = choose(read_volumes(parsed.scan, on_irregular=parsed.on_irregular), parsed.scan, parsed.select)
    sorted_models = models_for(volume)
    if parsed.json:
        listed = [spec.to_dict() | {"suitability": suits.to_dict()} for spec, suits in sorted_models]
        print(json.dumps({"scan": volume.name, "models": listed}, indent=2))
        return
    for spec, suits in sorted_models:
        print(f"{suits.state:9s} {spec.name}  ({spec.task})")
        for reason in suits.reasons:
            print(f"          {reason}")


def _tell(spec: ModelSpec) -> None:
    for_what = ", ".join(spec.modalities) or "any modality"
    told = [spec.task, for_what, *([spec.body_part] if spec.body_part else [])]
    print(f"{spec.name}  ({', '.join(told)}; license {spec.licence})")
    print(f"    {spec.summary}")
    if spec.inputs:
        print(f"    inputs: {', '.join(slot.name for slot in spec.inputs)}")
    if spec.package is not None:
        print(f"    {spec.package.remark}")
    if not spec.is_available:
        print(f"    not installed: {spec.how_to_install}")


def _list_found(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign.nnunet.local import find_nnunet_models

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
        print(f"{model.dataset} {model.configuration}{task}  (license {model.licence})")
        print(f"    {model.path}")
    if not found:
        print("none; the usual folders of nnU-Net results and TotalSegmentator weights were searched")


def _pack(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign.pack import pack

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


def _check(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign import open_model

    spec = open_model(parsed.model, trust=parsed.trust)
    _tell(spec)
    names = [label.name for label in spec.labels.values()] or list(spec.classes)
    told = [
        *([f"gives: {', '.join(names)}"] if names else []),
        f"network: {', '.join(f.path.name for f in spec.files)}",
    ]
    for line in (*told, "no error found"):
        print(f"    {line}")


def _verify(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign.pack import verify

    info = verify(parsed.pack)
    print(f"{info.name}: {info.title}, version {info.version}, {len(info.files)} files, all unchanged since packing")


def _install(parsed: argparse.Namespace) -> None:
    from napari_radcnn.models.registry import install_pack

    name = install_pack(parsed.pack, trust=parsed.trust)
    print(f"installed: {name}")


def _trusted(parsed: argparse.Namespace) -> None:
    from napari_radcnn.spec.trust import forget_trust, trusted

    if parsed.forget is not None:
        if parsed.forget.strip().lower() not in trusted():
            raise ModelError(f"'{parsed.forget[:80]}' is not trusted; `radcnn models trusted` lists what is.")
        forget_trust(parsed.forget)
        print(f"no longer trusted: {parsed.forget}")
        return
    for sha256 in sorted(trusted()):
        print(sha256)


def _remove(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign.pack import uninstall

    uninstall(parsed.name)
    print(f"removed: {parsed.name}")

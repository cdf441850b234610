"""``radcnn train``: make a model that ships again."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from napari_radcnn.errors import CancelledError, ReadError, WriteError


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    training = commands.add_parser(
        "train",
        help="train a model that ships again, by its recipe",
        description="Train a model that ships again. The folder of OUT gets checkpoint.pt, from which the same command "
        "goes on after it was ended, log.csv, the weights, and a picture of the learning curve.",
    )
    training.add_argument("recipe", metavar="RECIPE", nargs="?", help="name of the model; --list says which there are")
    training.add_argument("--list", action="store_true", help="list the recipes and their settings")
    training.add_argument("--data", metavar="DIR", type=Path, help="folder of the scans; the model's card names them")
    training.add_argument("--out", metavar="OUT", type=Path, help="folder for checkpoint, log and weights")
    training.add_argument("--minutes", metavar="M", type=float, help="how long (default: as the recipe says)")
    training.add_argument("--seed", metavar="N", type=int, help="of everything random (default: as the recipe says)")
    training.add_argument("--init-from", metavar="FILE", type=Path, help="weights (.safetensors) to begin with")
    training.add_argument(
        "--freeze", metavar="NAME", nargs="+", default=[], help="leave parameters whose names begin so as they are"
    )
    training.add_argument(
        "--patience",
        metavar="M",
        type=float,
        help="end after so many minutes without becoming better on held-out cases (recipes of classifiers)",
    )
    training.add_argument("--threads", metavar="N", type=int, help="CPU threads (default: all)")
    training.set_defaults(command=lambda parsed: _train(parsed, training))


def _train(parsed: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from napari_radcnn.inference.devices import cpu_count
    from napari_radcnn.training.recipes import get_recipe, make_recipe

    if parsed.list:
        _list()
        return
    if parsed.recipe is None:
        parser.error("name a RECIPE, or pass --list")
    changed = {"minutes": parsed.minutes, "seed": parsed.seed, "init_from": parsed.init_from}
    recipe = make_recipe(parsed.recipe, **changed, frozen=parsed.freeze, patience=parsed.patience)
    if parsed.data is None or parsed.out is None:
        parser.error("--data and --out are needed")
    if not parsed.data.is_dir():
        raise ReadError(f"{parsed.data} is no folder: --data names the folder of the scans.")
    if parsed.out.exists() and not parsed.out.is_dir():
        raise WriteError(f"{parsed.out} is no folder: --out names a folder for checkpoint, log and weights.")
    threads = cpu_count() if parsed.threads is None else max(1, parsed.threads)
    try:
        written = get_recipe(parsed.recipe).train(parsed.data, parsed.out, recipe, threads)
    except KeyboardInterrupt:
        raise CancelledError(f"Ended; the same command goes on from the last checkpoint in {parsed.out}.") from None
    for path in written if isinstance(written, tuple) else (written,):
        print(f"written: {path}")


def _list() -> None:
    from napari_radcnn.training.recipes import RECIPES, make_recipe

    for name in sorted(RECIPES):
        print(name)
        print("    " + ", ".join(f"{key} {value}" for key, value in asdict(make_recipe(name)).items()))

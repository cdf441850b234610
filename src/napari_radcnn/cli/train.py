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
        help="retrain a model that ships with this program, using its training recipe",
        description="Retrain a model that ships with this program. The folder OUT receives checkpoint.pt, from which "
        "the same command resumes after an interruption, log.csv, the weights, and a plot of the "
        "learning curve.",
    )
    training.add_argument("recipe", metavar="RECIPE", nargs="?", help="name of the model; --list shows the names")
    training.add_argument("--list", action="store_true", help="list the training recipes and their settings")
    training.add_argument(
        "--data", metavar="DIR", type=Path, help=("folder of the training scans, which the model card lists")
    )
    training.add_argument("--out", metavar="OUT", type=Path, help="folder for checkpoint, log and weights")
    training.add_argument(
        "--minutes", metavar="M", type=float, help=("training time in minutes (default: set by the recipe)")
    )
    training.add_argument(
        "--seed", metavar="N", type=int, help=("seed of the random numbers (default: set by the recipe)")
    )
    training.add_argument("--init-from", metavar="FILE", type=Path, help="initial weights (.safetensors)")
    training.add_argument(
        "--freeze", metavar="NAME", nargs="+", default=[], help="do not train parameters whose names begin with this"
    )
    training.add_argument(
        "--patience",
        metavar="M",
        type=float,
        help="stop after this many minutes without improvement on held-out cases (classifiers only)",
    )
    training.add_argument(
        "--fold", metavar="NAME", help="hold out the scans of this fold to test on (where a recipe has folds)"
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
    recipe = make_recipe(parsed.recipe, **changed, frozen=parsed.freeze, patience=parsed.patience, fold=parsed.fold)
    if parsed.data is None or parsed.out is None:
        parser.error("--data and --out are needed")
    if not parsed.data.is_dir():
        raise ReadError(f"{parsed.data} is not a folder: --data must name the folder of the scans.")
    if parsed.out.exists() and not parsed.out.is_dir():
        raise WriteError(f"{parsed.out} is not a folder: --out must name a folder for checkpoint, log and weights.")
    threads = cpu_count() if parsed.threads is None else max(1, parsed.threads)
    try:
        written = get_recipe(parsed.recipe).train(parsed.data, parsed.out, recipe, threads)
    except KeyboardInterrupt:
        raise CancelledError(f"Stopped; the same command resumes from the last checkpoint in {parsed.out}.") from None
    for path in written if isinstance(written, tuple) else (written,):
        print(f"written: {path}")


def _list() -> None:
    from napari_radcnn.training.recipes import RECIPES, make_recipe

    for name in sorted(RECIPES):
        print(name)
        print("    " + ", ".join(f"{key} {value}" for key, value in asdict(make_recipe(name)).items()))

"""``python -m napari_radcnn.training.ct_organs``: train `ct-organs`, or a fold of it to test with."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from napari_radcnn.errors import RadcnnError
from napari_radcnn.training.ct_organs.recipe import Recipe, train
from napari_radcnn.training.ct_organs.scans import FOLDS


def make_parser() -> argparse.ArgumentParser:
    """Return what the command takes."""
    parser = argparse.ArgumentParser(prog="python -m napari_radcnn.training.ct_organs", description=__doc__)
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of the scans")
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help="folder for checkpoint, log and weights")
    parser.add_argument("--fold", choices=list(FOLDS), help="which scans are held out")
    parser.add_argument("--minutes", metavar="M", type=float, help="how long at most")
    parser.add_argument("--samples", metavar="N", type=int, help="how many samples")
    parser.add_argument("--seed", metavar="N", type=int, help="of everything random")
    parser.add_argument("--init-from", metavar="FILE", help="weights (.safetensors) to begin with")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="CPU threads")
    return parser


def _main() -> int:
    parsed = make_parser().parse_args()
    given = {name: getattr(parsed, name) for name in ("fold", "minutes", "samples", "seed", "init_from")}
    recipe = replace(Recipe(), **{name: value for name, value in given.items() if value is not None})
    try:
        train(parsed.data, parsed.out, recipe, parsed.threads)
    except RadcnnError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(_main())

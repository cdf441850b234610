"""``python -m napari_radcnn.training.few_clicks``: make cubes ahead of time, train, or train what decides."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from napari_radcnn.errors import RadcnnError
from napari_radcnn.training.few_clicks.prepare import prepare
from napari_radcnn.training.few_clicks.recipe import Recipe, train


def make_parser() -> argparse.ArgumentParser:
    """Return what the command takes."""
    parser = argparse.ArgumentParser(prog="python -m napari_radcnn.training.few_clicks", description=__doc__)
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of the scans")
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help="folder for checkpoint, log and weights")
    parser.add_argument("--prepare", metavar="N", type=int, help="only make cubes, until there are so many")
    parser.add_argument(
        "--decide", metavar="N", type=int, help="only train what decides, in N rounds, for the weights in OUT"
    )
    parser.add_argument(
        "--choose", metavar="N", type=int, help="only train what chooses between sizes, by N clicks on each object"
    )
    parser.add_argument("--minutes", metavar="M", type=float, help="how long at most")
    parser.add_argument("--samples", metavar="N", type=int, help="how many samples")
    parser.add_argument("--seed", metavar="N", type=int, help="of everything random")
    parser.add_argument("--init-from", metavar="FILE", help="weights (.safetensors) to begin with")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="CPU threads")
    return parser


def _main() -> int:
    parsed = make_parser().parse_args()
    given = {name: getattr(parsed, name) for name in ("minutes", "samples", "seed", "init_from")}
    recipe = replace(Recipe(), **{name: value for name, value in given.items() if value is not None})
    try:
        if parsed.prepare is not None:
            prepare(parsed.data, parsed.out.parent / "few-clicks-cache", recipe.size, recipe.seed, parsed.prepare)
        elif parsed.choose is not None:
            from napari_radcnn.training.few_clicks.choice import learn_choice

            learn_choice(parsed.data, parsed.out, parsed.choose, recipe.seed)
        elif parsed.decide is not None:
            from napari_radcnn.training.few_clicks.decision import fit_decision

            fit_decision(parsed.data, parsed.out, parsed.decide, recipe.seed)
        else:
            train(parsed.data, parsed.out, recipe, parsed.threads)
    except RadcnnError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""Which models can be trained again, and by which module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from napari_radcnn.discovery import leave_out, look_into
from napari_radcnn.errors import ModelError, OptionError
from napari_radcnn.training.run import Schedule

_PACKAGE = __name__.rpartition(".")[0]


def find_recipes() -> dict[str, str]:
    """Return which module trains each model, by the model's name; a new one is a new folder and nothing else.

    A folder beside this file has recipes if its ``__init__.py``, which imports no torch, holds ``RECIPES``: the name of
    each model that it trains, and the module in the folder that does: ``{"ct-denoise": "recipe"}``. That module has a
    class `Recipe` and a function `train`, see `RecipeModule`. A folder that cannot be imported is named in a
    `CatalogueWarning` and left out.
    """
    found: dict[str, str] = {}
    for folder, modules in look_into(_PACKAGE, "", _recipes_of, "recipes"):
        for name, module in modules.items():
            if name in found:
                leave_out(_PACKAGE, folder, "recipes", f"another folder trains '{name}'")
            else:
                found[name] = f"{_PACKAGE}.{folder}.{module}"
    return found


def _recipes_of(module: ModuleType) -> Mapping[str, str]:
    found = getattr(module, "RECIPES", {})
    if not isinstance(found, Mapping) or not all(isinstance(text, str) for row in found.items() for text in row):
        raise ModelError("RECIPES must name the module that trains each model: {'ct-denoise': 'recipe'}")
    return found


#: Name of a model to the module that trains it.
RECIPES: Mapping[str, str] = find_recipes()


class RecipeModule(Protocol):
    """What a module of a recipe holds."""

    Recipe: type[Schedule]

    def train(self, data: Path, out: Path, recipe: Schedule, threads: int) -> Path:
        """Train with the scans in `data`, going on in `out`, and return the file of weights."""
        ...


def get_recipe(name: str) -> RecipeModule:
    """Return the module that trains a model.

    Raises
    ------
    ModelError
        If there is none of that name; the text lists those there are.
    """
    if name not in RECIPES:
        close = get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(sorted(RECIPES))}."
        raise ModelError(f"There is no recipe '{name}'; {hint}")
    return cast(RecipeModule, import_module(RECIPES[name]))


def make_recipe(
    name: str,
    *,
    minutes: float | None = None,
    seed: int | None = None,
    init_from: Path | None = None,
    frozen: Sequence[str] = (),
    patience: float | None = None,
    fold: str | None = None,
) -> Schedule:
    """Return the settings that a model was made with, others where they are given; see `Schedule`.

    Raises
    ------
    ModelError
        If there is no recipe of that name.
    OptionError
        If the minutes are not more than none, the seed is below 0, patience is given to a recipe that holds out no
        cases, or a fold to one that has none.
    """
    given: dict[str, Any] = {"frozen": tuple(frozen)} if frozen else {}
    if init_from is not None:
        given["init_from"] = str(init_from)
    if minutes is not None:
        if not 0 < minutes < float("inf"):
            raise OptionError(f"minutes is {minutes:g}: it must be more than 0.")
        given["minutes"] = minutes
    if seed is not None:
        if seed < 0:
            raise OptionError(f"seed is {seed}: it must be 0 or more.")
        given["seed"] = seed
    made = get_recipe(name).Recipe
    if patience is not None:
        if not made.holds_out:
            raise OptionError(f"'{name}' has no held-out cases during training: omit the patience.")
        if not 0 <= patience < float("inf"):
            raise OptionError(f"patience is {patience:g} minutes: it must be 0 or more.")
        given["patience"] = patience
    if fold is not None:
        if "fold" not in {one.name for one in fields(made)}:
            raise OptionError(f"'{name}' has no folds: omit the fold.")
        given["fold"] = fold
    return made(**given)

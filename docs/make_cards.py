"""Write the cards of the models that were measured here: ``make cards``.

A card is the prose ``NAME.md.in`` with the figures of ``NAME.figures.json`` put in, both in a folder of
``benchmarks/models``, under a head made from the model's description. It goes where the description says that the
model's card lies. The
prose is a template of Jinja (https://jinja.palletsprojects.com) in which stand

* ``{{ path.to.figure | figure(".2f") }}``: a value of the figures, formatted as by `format`; a number in the path picks
  from a list. What begins with ``weights.`` is looked up in what training wrote beside the weights.
* ``{% for key, row in path | items %}`` or ``{% for row in path %}`` and ``{% endfor %}``, alone on their lines: what
  lies between them, once for each item of a mapping or a list.
* ``{% include "robustness.md" %}``: the table of changed scans and what follows from it.

Cards of interactive engines are made in the same way from ``benchmarks/interactive/*/NAME.md.in``, with the figures of
``benchmarks/results/interactive.json`` as ``engines``, and as ``own`` those of the engine.

The same card, with the picture of the model's failures that ``python -m benchmarks failures`` draws, goes to
``docs/models/NAME.md``; ``docs/models/README.md`` lists all models.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from traceback import extract_tb
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, Undefined

from napari_radcnn.models import ModelSpec, get_model, models
from napari_radcnn.spec.shipped import about_weights
from napari_radcnn.training.recipes import RECIPES

ROOT = Path(__file__).parent.parent
MEASURED, PACKAGE = ROOT / "benchmarks" / "models", ROOT / "src" / "napari_radcnn"
#: Parts of cards that several include.
SHARED = ROOT / "benchmarks" / "models"
#: Prose of interactive engines, and where `make benchmark-interactive` keeps their figures.
ENGINES, PLAYED = ROOT / "benchmarks" / "interactive", ROOT / "benchmarks" / "results" / "interactive.json"
ILLUSTRATED = ROOT / "docs" / "models"


class CardError(Exception):
    """A card asks for a figure that is not there, or is not written as it should be."""


def render(text: str, scope: Mapping[str, Any]) -> str:
    """Return a text with its figures put in.

    Raises
    ------
    CardError
        If a figure is missing or does not fit its format, or the text is not written as Jinja expects.
    """
    environment = Environment(
        loader=FileSystemLoader(SHARED),
        undefined=StrictUndefined,
        finalize=_text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, of our own figures
    )
    environment.filters["figure"] = _formatted
    try:
        return environment.from_string(text).render(scope)
    except TemplateSyntaxError as error:
        raise CardError(f"line {error.lineno}: {error.message}") from error
    except (TemplateError, TypeError, CardError) as error:
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == "<template>"]
        raise CardError(f"line {lines[-1]}: {error}") from error


def _formatted(value: Any, spec: str) -> str:
    """Return a number as `format` writes it; what was not measured as a dash."""
    if value is None or isinstance(value, Undefined):
        return _text(value)
    try:
        return format(value, spec)
    except (ValueError, TypeError) as error:
        raise CardError(f"{value!r} does not fit '{spec}': {error}.") from None


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, str | int | float | Undefined):  # of what is undefined, `str` raises
        return str(value)
    raise CardError(f"{type(value).__name__} is no single figure.")


def head(spec: ModelSpec, about: Mapping[str, Any]) -> str:
    """Return the head of a model's card: what its description and its weights say."""
    rows = [("Task", spec.task), ("Made for", ", ".join((*spec.modalities, *filter(None, [spec.body_part]))))]
    rows += [("Version", spec.version), ("License", spec.licence)]
    if spec.labels:
        rows.append(("Classes", ", ".join(f"{value} {label.name}" for value, label in spec.labels.items())))
    if spec.weights:
        root = ROOT / "src"
        size = sum((root / file.path).stat().st_size for file in spec.weights) / 1e6
        hashes = ", ".join(f"SHA-256 `{file.sha256[:16]}…`" for file in spec.weights)
        rows.append(("Weights", f"{size:.2f} MB, {hashes}"))
    if spec.name in RECIPES:
        command = f"`radcnn train {spec.name} --data DIR --out DIR`"
        recipe = about.get("recipe", {})
        minutes = None if recipe.get("samples") else recipe.get("minutes")  # else the most
        steps = f"{about['steps']} steps" if "steps" in about else ""
        told = ", ".join(filter(None, ["" if minutes is None else f"{minutes:g} minutes", steps]))
        rows.append(("Made by", command + (f" ({told})" if told else "")))
    measured = "make benchmark-interactive DATA=DIR"
    if spec.task != "interactive":
        measured = f"python -m benchmarks models --data DIR --only {spec.name}"
    rows += [
        ("Figures from", f"`{measured}`"),
        ("To cite", spec.citation),
    ]
    table = "\n".join(f"| {name} | {value.replace('|', '/')} |" for name, value in rows if value)
    return f"# {spec.name}: {spec.title}\n\n| | |\n|---|---|\n{table}\n"


def card(name: str) -> str:
    """Return the card of a model as its prose, figures, description and weights give it now.

    Raises
    ------
    CardError
        If the figures are missing, or the prose asks for others.
    """
    spec = get_model(name)
    about, prose_path = about_weights(spec), _prose_path(name)
    try:
        figures = json.loads(prose_path.with_name(f"{name}.figures.json").read_text(encoding="utf-8"))
        prose = render(prose_path.read_text(encoding="utf-8"), {**figures, "weights": about})
    except FileNotFoundError as error:
        raise CardError(
            f"{name}: {error.filename} is missing: `python -m benchmarks models --write` makes it."
        ) from None
    except CardError as error:
        raise CardError(f"{prose_path.parent.name}/{prose_path.name}: {error}") from None
    return f"{head(spec, about)}\n{prose.strip()}\n"


def engine_card(name: str) -> str:
    """Return the card of an interactive engine as its prose, figures, description and weights give it now.

    Raises
    ------
    CardError
        If the figures are missing, or the prose asks for others.
    """
    spec = get_model(name)
    path = next(ENGINES.glob(f"*/{name}.md.in"))
    engines = json.loads(PLAYED.read_text(encoding="utf-8"))["summary"]["engines"]
    about = about_weights(spec)
    try:
        scope = {"engines": engines, "own": engines.get(name), "weights": about}
        prose = render(path.read_text(encoding="utf-8"), scope)
    except CardError as error:
        raise CardError(f"{path.parent.name}/{path.name}: {error}") from None
    return f"{head(spec, about)}\n{prose.strip()}\n"


def engine_names() -> list[str]:
    """Return the interactive engines whose cards are written here."""
    return sorted(path.name.removesuffix(".md.in") for path in ENGINES.glob("*/*.md.in"))


def card_path(name: str) -> Path:
    """Return where the card of a model ships."""
    return PACKAGE / get_model(name).card


def illustrated(name: str) -> str:
    """Return the card of a model with its failures below.

    Raises
    ------
    CardError
        If nobody has drawn them.
    """
    try:
        text = (ILLUSTRATED / f"{name}.failures.txt").read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise CardError(
            f"{name}: {error.filename} is missing: `python -m benchmarks failures --only {name}` writes it."
        ) from None
    return f"{card(name)}\n## What it does worst\n\n{text}\n\n![Failures of {name}]({name}.png)\n"


def overview() -> str:
    """Return the list of all models with their cards: those measured here with pictures, the others as they ship."""
    measured = names()
    rows = []
    for spec in models():
        link = f"{spec.name}.md" if spec.name in measured else f"../../src/napari_radcnn/{spec.card}"
        rows.append(f"| [{spec.name}]({link}) | {spec.task} | {', '.join(spec.modalities) or 'any'} | {spec.summary} |")
    table = "\n".join(["| model | task | for | what it does |", "|---|---|---|---|", *rows])
    return f"# Models\n\nWritten by `make cards`; not edited by hand.\n\n{table}\n"


def names() -> list[str]:
    """Return the models whose cards are written here."""
    return sorted(path.name.removesuffix(".md.in") for path in MEASURED.glob("*/*.md.in"))


def _prose_path(name: str) -> Path:
    found = next(MEASURED.glob(f"*/{name}.md.in"), None)
    if found is None:
        raise CardError(f"{name}: no folder of {MEASURED} holds its prose, {name}.md.in.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the cards of the models that were measured here.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these")
    for name in parser.parse_args().names or names():
        try:
            for path, text in ((card_path(name), card(name)), (ILLUSTRATED / f"{name}.md", illustrated(name))):
                path.write_text(text, encoding="utf-8")
                print(f"written: {path.relative_to(ROOT)}")
        except CardError as error:
            raise SystemExit(f"make_cards: {error}") from None
    for name in engine_names():
        try:
            card_path(name).write_text(engine_card(name), encoding="utf-8")
        except CardError as error:
            raise SystemExit(f"make_cards: {error}") from None
    (ILLUSTRATED / "README.md").write_text(overview(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write the cards of the models that were measured here: ``make cards``.

A card is the prose ``NAME.md.in`` with the figures of ``NAME.figures.json`` put in, both in a folder of
``benchmarks/models``, under a head made from the model's description. It goes where the description says that the
model's card lies. In the prose stand

* ``{{path.to.figure:format}}``: a value of the figures, formatted as by `format`; a number picks from a list. What
  begins with ``weights.`` is looked up in what training wrote beside the weights.
* ``{% for row in path %}`` and ``{% end %}``, alone on their lines: what lies between them, once for each item of a
  list or a mapping; ``row.key`` is its name or number.

The same card, with the picture of the model's failures that ``python -m benchmarks failures`` draws, goes to
``docs/models/NAME.md``; ``docs/models/README.md`` lists all models.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_radcnn.models import ModelSpec, get_model, models
from napari_radcnn.spec.shipped import about_weights
from napari_radcnn.training.recipes import RECIPES

ROOT = Path(__file__).parent.parent
MEASURED, PACKAGE = ROOT / "benchmarks" / "models", ROOT / "src" / "napari_radcnn"
ILLUSTRATED = ROOT / "docs" / "models"
_VALUE = re.compile(r"\{\{\s*([^{}:]+?)\s*(?::([^{}]*))?\}\}")
_FOR = re.compile(r"^\{% for (\w+) in ([\w.\-]+) %\}$")


class CardError(Exception):
    """A card asks for a figure that is not there, or is not written as it should be."""


def look_up(path: str, scope: Mapping[str, Any]) -> Any:
    """Return what lies at a dotted path.

    Raises
    ------
    CardError
        If there is nothing; the text says how far the path went.
    """
    found: Any = scope
    for number, part in enumerate(path.split(".")):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError, TypeError):
            before = ".".join(path.split(".")[:number]) or "the figures"
            raise CardError(f"'{path}': there is no '{part}' in {before}.") from None
    return found


def render(text: str, scope: Mapping[str, Any]) -> str:
    """Return a text with its figures put in.

    Raises
    ------
    CardError
        If a figure is missing or does not fit its format, or a loop is not closed.
    """
    return "\n".join(_lines(iter(text.splitlines()), scope, is_inner=False)) + "\n"


def _lines(lines: Iterator[str], scope: Mapping[str, Any], is_inner: bool) -> list[str]:
    done: list[str] = []
    for line in lines:
        loop = _FOR.match(line.strip())
        if line.strip() == "{% end %}":
            if not is_inner:
                raise CardError("'{% end %}' stands without '{% for ... %}'.")
            return done
        if loop:
            inside = _until_end(lines)
            for row in _rows(look_up(loop[2], scope)):
                done += _lines(iter(inside), {**scope, loop[1]: row}, is_inner=False)
        else:
            done.append(_VALUE.sub(lambda match: _formatted(match[1], match[2] or "", scope), line))
            if "{{" in done[-1] or "{%" in done[-1]:
                raise CardError(f"Not understood: '{line.strip()}'.")
    return done


def _until_end(lines: Iterator[str]) -> list[str]:
    inside: list[str] = []
    depth = 1
    for line in lines:
        depth += bool(_FOR.match(line.strip())) - (line.strip() == "{% end %}")
        if depth == 0:
            return inside
        inside.append(line)
    raise CardError("'{% for ... %}' lacks its '{% end %}'.")


def _rows(found: Any) -> list[dict[str, Any]]:
    items = found.items() if isinstance(found, Mapping) else enumerate(found) if isinstance(found, list) else None
    if items is None:
        raise CardError(f"A loop needs a list or a mapping, got {found!r}.")
    return [{**(value if isinstance(value, Mapping) else {"value": value}), "key": key} for key, value in items]


def _formatted(path: str, spec: str, scope: Mapping[str, Any]) -> str:
    value = look_up(path, scope)
    if value is None:
        return "-"
    if isinstance(value, Mapping) or (isinstance(value, list) and spec):
        raise CardError(f"'{path}' is no single figure.")
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    try:
        return format(value, spec)
    except ValueError as error:
        raise CardError(f"'{path}' is {value!r}, which '{spec}' does not fit: {error}.") from None


def head(spec: ModelSpec, about: Mapping[str, Any]) -> str:
    """Return the head of a model's card: what its description and its weights say."""
    rows = [("Task", spec.task), ("Made for", ", ".join((*spec.modalities, *filter(None, [spec.body_part]))))]
    rows += [("Version", spec.version), ("Licence", spec.licence)]
    if spec.labels:
        rows.append(("Classes", ", ".join(f"{value} {label.name}" for value, label in spec.labels.items())))
    if spec.weights:
        root = ROOT / "src"
        size = sum((root / file.path).stat().st_size for file in spec.weights) / 1e6
        hashes = ", ".join(f"SHA-256 `{file.sha256[:16]}…`" for file in spec.weights)
        rows.append(("Weights", f"{size:.2f} MB, {hashes}"))
    if spec.name in RECIPES:
        command = f"`radcnn train {spec.name} --data DIR --out DIR`"
        minutes = about.get("recipe", {}).get("minutes")
        steps = f"{about['steps']} steps" if "steps" in about else ""
        told = ", ".join(filter(None, ["" if minutes is None else f"{minutes:g} minutes", steps]))
        rows.append(("Made by", command + (f" ({told})" if told else "")))
    rows += [
        ("Figures from", f"`python -m benchmarks models --data DIR --only {spec.name}`"),
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
    (ILLUSTRATED / "README.md").write_text(overview(), encoding="utf-8")


if __name__ == "__main__":
    main()

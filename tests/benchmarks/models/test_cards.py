"""Cards are made from their prose and the figures that were measured; nothing in them is typed."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from napari_radcnn.models import get_model, models
from napari_radcnn.spec.card import own_card

_SOURCE = Path(__file__).parents[3] / "docs" / "make_cards.py"


def _load():
    spec = importlib.util.spec_from_file_location("make_cards", _SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_cards = _load()
FIGURES = {
    "held": {"dice": 0.87654, "n": 12, "worst": None},
    "scans": [{"name": "A", "low": -3.0}, {"name": "B", "low": 1}],
}


@pytest.mark.parametrize("name", make_cards.engine_names())
def test_the_card_of_an_engine_is_what_its_prose_and_figures_give(name):
    assert own_card(get_model(name)) == make_cards.engine_card(name), "docs/make_cards.py was not run"


@pytest.mark.parametrize("name", make_cards.names())
def test_every_card_says_what_was_measured(name):
    assert own_card(get_model(name)) == make_cards.card(name), f"docs/make_cards.py {name} was not run"


@pytest.mark.parametrize("name", make_cards.names())
def test_cards_with_pictures_are_what_the_cards_and_the_drawn_failures_give(name):
    kept = (make_cards.ILLUSTRATED / f"{name}.md").read_text(encoding="utf-8")
    assert kept == make_cards.illustrated(name), f"docs/make_cards.py {name} was not run"
    with Image.open(make_cards.ILLUSTRATED / f"{name}.png") as picture:
        assert picture.width > picture.height > 100


def test_the_list_of_cards_names_every_model_and_leads_to_each_card():
    kept = (make_cards.ILLUSTRATED / "README.md").read_text(encoding="utf-8")
    assert kept == make_cards.overview(), "docs/make_cards.py was not run"
    for spec in models():
        (link,) = re.findall(rf"\[{re.escape(spec.name)}\]\(([^)]+)\)", kept)
        assert (make_cards.ILLUSTRATED / link).read_text(encoding="utf-8").startswith("# ")


def test_a_card_without_its_failures_says_what_draws_them(monkeypatch, tmp_path):
    monkeypatch.setattr(make_cards, "ILLUSTRATED", tmp_path)
    with pytest.raises(make_cards.CardError, match="benchmarks failures --only ct-tissues"):
        make_cards.illustrated("ct-tissues")


def test_every_model_that_was_measured_has_its_card_written():
    figures = list(make_cards.MEASURED.glob("*/*.figures.json"))
    assert all(path.with_name(path.name.replace(".figures.json", ".md.in")).is_file() for path in figures)
    measured = {path.name.removesuffix(".figures.json") for path in figures}
    assert measured == set(make_cards.names())
    assert measured <= {spec.name for spec in models()}
    assert "lung-nodules" in measured


def test_figures_are_put_in_as_asked():
    text = (
        'Dice {{ held.dice | figure(".3f") }} ({{held.dice|figure(".1%")}}, n = {{ held.n }}), B {{ scans.1.name }}, '
        'worst {{ held.worst | figure(".1f") }} of {{ held.worst }}, on {{ held.on }} & <others>.\n'
    )
    figures = {**FIGURES, "held": {**FIGURES["held"], "on": ["A & B", "C"]}}
    assert make_cards.render(text, figures) == (
        "Dice 0.877 (87.7%, n = 12), B B, worst - of -, on A & B, C & <others>.\n"
    )


def test_loops_over_lists_and_mappings():
    row = '| {{ loop.index0 }} {{ scan.name }} | {{ scan.low | figure("+.0f") }} of {{ held.n }} |'
    text = "| a |\n{% for scan in scans %}\n" + row + "\n{% endfor %}\nafter\n"
    assert make_cards.render(text, FIGURES) == "| a |\n| 0 A | -3 of 12 |\n| 1 B | +1 of 12 |\nafter\n"
    nested = {"models": {"x": {"at": [10, 25]}, "y": {"at": [50]}}}
    text = "{% for key, m in models | items %}\n{{ key }}:\n{% for d in m.at %}\n- {{ d }}\n{% endfor %}\n{% endfor %}"
    assert make_cards.render(text, nested) == "x:\n- 10\n- 25\ny:\n- 50\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('a\n{{ held.dise | figure(".3f") }}', "line 2: .* has no attribute 'dise'"),
        ("{{ hold.dice }}", "line 1: 'hold' is undefined"),
        ("{{ scans.2.name }}", "has no element 2"),
        ("{{ held.dice.mean }}", "'float object' has no attribute 'mean'"),
        ("a\nb\n{{ held }}", "line 3: dict is no single figure"),
        ("{{ held.items }}", "no single figure"),
        ('{{ scans.0.name | figure(".3f") }}', "line 1: 'A' does not fit '.3f'"),
        ('{{ held | figure(".3f") }}', "does not fit"),
        ("{{ held.dice", "line 1: unexpected end of template"),
        ("{% for x in scans %}\n{{ x.name }}", "line 2: Unexpected end of template"),
        ("a\n{% endfor %}", "line 2: Encountered unknown tag 'endfor'"),
        ("{% for x in held.n %}\n{% endfor %}", "line 1: 'int' object is not iterable"),
        ("{% for k, x in scans | items %}\n{% endfor %}", "line 1: Can only get item pairs from a mapping"),
    ],
)
def test_a_card_that_asks_for_what_is_not_there_is_refused(text, said):
    with pytest.raises(make_cards.CardError, match=said):
        make_cards.render(text, FIGURES)


def test_the_card_follows_its_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(make_cards, "MEASURED", tmp_path)
    with pytest.raises(make_cards.CardError, match=r"no folder of .* holds its prose, nlm-denoise\.md\.in"):
        make_cards.card("nlm-denoise")
    folder = tmp_path / "nlm"
    folder.mkdir()
    (folder / "nlm-denoise.md.in").write_text('**Measured.** {{ held.dice | figure(".2f") }} on {{ held.n }}.\n')
    assert make_cards.names() == ["nlm-denoise"]
    with pytest.raises(make_cards.CardError, match=r"nlm-denoise\.figures\.json is missing"):
        make_cards.card("nlm-denoise")
    (folder / "nlm-denoise.figures.json").write_text(json.dumps(FIGURES))
    text = make_cards.card("nlm-denoise")
    spec = get_model("nlm-denoise")
    assert text.startswith(f"# nlm-denoise: {spec.title}\n")
    assert f"| License | {spec.licence} |" in text
    assert text.endswith("**Measured.** 0.88 on 12.\n")
    (folder / "nlm-denoise.figures.json").write_text(json.dumps({"held": {"dice": 0.5, "n": 3}}))
    assert make_cards.card("nlm-denoise").endswith("**Measured.** 0.50 on 3.\n")
    (folder / "nlm-denoise.md.in").write_text("{{ held.dise }}\n")
    with pytest.raises(make_cards.CardError, match=r"^nlm/nlm-denoise\.md\.in: line 1: .* 'dise'"):
        make_cards.card("nlm-denoise")


def test_the_head_tells_size_and_hash_of_the_weights_and_how_they_were_made(tmp_path, monkeypatch):
    from dataclasses import replace

    from napari_radcnn.spec.model import WeightsFile

    monkeypatch.setattr(make_cards, "ROOT", tmp_path)
    monkeypatch.setattr(make_cards, "RECIPES", {"nlm-denoise": "nowhere"})
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "w.safetensors").write_bytes(bytes(1_230_000))
    weights = (WeightsFile("napari_radcnn", "w.safetensors", "0123456789abcdef" * 4),)
    spec = replace(get_model("nlm-denoise"), weights=weights)
    text = make_cards.head(spec, {"recipe": {"minutes": 60.0}, "steps": 4321})
    assert "| Weights | 1.23 MB, SHA-256 `0123456789abcdef…` |" in text
    assert "| Made by | `radcnn train nlm-denoise --data DIR --out DIR` (60 minutes, 4321 steps) |" in text


def test_a_card_says_where_the_answer_holds_suffers_and_breaks():
    rows = [
        {"change": "noise", "Dice": 0.95, "of": "liver", "n": 4},
        {"change": "turned", "Dice": 0.9, "of": "a", "n": 3},
        {"change": "thick", "Dice": 0.75, "of": "b", "n": 3},
        {"change": "mirrored", "Dice": 0.7499, "of": "c", "n": 12},
    ]
    figures = {"scans": "A scan", "says": "Dice.", "judged": "Dice", "format": ".3f", "holds": 0.9, "breaks": 0.75}
    text = make_cards.render('{% include "robustness.md" %}\nafter\n', {"robustness": figures | {"rows": rows}})
    assert text == (
        "**Robustness.** A scan, changed. Dice.\n\n"
        "| change | Dice | of | n |\n|---|---|---|---|\n"
        "| noise | 0.950 | liver | 4 |\n| turned | 0.900 | a | 3 |\n"
        "| thick | 0.750 | b | 3 |\n| mirrored | 0.750 | c | 12 |\n\n"
        "The answer holds (Dice 0.900 or more) with: noise; turned.\n"
        "It suffers with: thick.\n"
        "**It breaks** (Dice below 0.750) with: mirrored. Do not rely on it there.\n\nafter\n"
    )
    text = make_cards.render('{% include "robustness.md" %}', {"robustness": figures | {"rows": rows[:1]}})
    assert "suffers" not in text
    assert "Nothing that was tried breaks it (Dice below 0.750)." in text
    assert make_cards.render('a\n{% include "robustness.md" %}\nb', {}) == "a\nb"
    with pytest.raises(make_cards.CardError, match=r"line 2: .* has no attribute 'rows'"):
        make_cards.render('a\n{% include "robustness.md" %}', {"robustness": {"says": ""}})


@pytest.mark.parametrize("name", make_cards.names())
def test_every_card_has_a_place_for_changed_scans(name):
    assert '{% include "robustness.md" %}' in make_cards._prose_path(name).read_text(encoding="utf-8")

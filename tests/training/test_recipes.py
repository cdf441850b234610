import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from napari_radcnn.cli import main
from napari_radcnn.errors import CancelledError, CatalogueWarning, ModelError, OptionError
from napari_radcnn.models import models
from napari_radcnn.training import recipes
from napari_radcnn.training.recipes import RECIPES, find_recipes, get_recipe, make_recipe
from napari_radcnn.training.run import Schedule
from toy_model import also_looked_into


@dataclass(frozen=True)
class ToyRecipe(Schedule):
    minutes: float = 7.0
    size: int = 16


@pytest.fixture
def calls(monkeypatch):
    """A recipe 'toy' that notes how it is called instead of training."""
    noted = []
    module = ModuleType("toy_recipe")
    module.Recipe = ToyRecipe

    def train(data, out, recipe, threads):
        noted.append((data, out, recipe, threads))
        out.mkdir(exist_ok=True)
        path = out / "toy.safetensors"
        path.write_bytes(b"")
        return path

    module.train = train
    monkeypatch.setitem(sys.modules, "toy_recipe", module)
    monkeypatch.setattr(recipes, "RECIPES", {"toy": "toy_recipe"})
    return noted


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_settings_and_trains(name):
    module = get_recipe(name)
    assert issubclass(module.Recipe, Schedule)
    assert make_recipe(name) == module.Recipe()
    assert make_recipe(name, minutes=1.5).minutes == 1.5
    assert callable(module.train)


def test_recipes_are_of_models_that_there_are_and_of_every_one_with_weights_of_ours():
    first = [spec.weights[0] for spec in models() if spec.weights]
    own = {Path(file.path).stem for file in first if file.package == "napari_radcnn"}  # two models may share a file
    assert own <= set(RECIPES) <= {spec.name for spec in models()}
    assert "physics" not in {module.split(".")[2] for module in RECIPES.values()}


def test_listing_recipes_imports_no_torch():
    code = "import sys; import napari_radcnn.training.recipes as r; assert r.RECIPES; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _folder(place, name, text):
    (place / name).mkdir()
    (place / name / "__init__.py").write_text(text)


def test_a_folder_that_is_dropped_in_trains_what_it_says(tmp_path, monkeypatch):
    _folder(tmp_path, "toy", "RECIPES = {'toy-a': 'a', 'toy-b': 'b'}")
    (tmp_path / "toy" / "a.py").write_text(
        "from napari_radcnn.training.run import Schedule as Recipe\ndef train(data, out, recipe, threads): ...\n"
    )
    with also_looked_into("napari_radcnn.training", tmp_path):
        found = find_recipes()
        assert found == {**RECIPES, **{f"toy-{name}": f"napari_radcnn.training.toy.{name}" for name in "ab"}}
        monkeypatch.setattr(recipes, "RECIPES", found)
        assert make_recipe("toy-a", minutes=2) == Schedule(minutes=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RECIPES = {", "SyntaxError: '{' was never closed (__init__.py, line 1)"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("RECIPES = ['toy']", "RECIPES must name the module that trains each model: {'ct-denoise': 'recipe'}"),
        ("RECIPES = {'toy': None}", "RECIPES must name the module that trains each model: {'ct-denoise': 'recipe'}"),
        ("RECIPES = {'ct-denoise': 'recipe'}", "another folder trains 'ct-denoise'"),
    ],
)
def test_a_folder_that_is_broken_is_named_and_left_out(tmp_path, text, said):
    _folder(tmp_path, "toy", text)
    with also_looked_into("napari_radcnn.training", tmp_path), pytest.warns(CatalogueWarning) as caught:
        assert find_recipes() == RECIPES
    (warning,) = caught
    assert str(warning.message) == (
        f"The recipes of the folder 'training/toy' are left out: {said}. Repair the folder, or remove it."
    )


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ModelError, match="did you mean 'promptable-3d'"):
        get_recipe("promptable3d")
    with pytest.raises(ModelError, match=r"There is no recipe 'x'; there are: .*promptable-3d"):
        get_recipe("x")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"minutes": 0}, "minutes is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"patience": 3}, "'promptable-3d' has no held-out cases"),
    ],
)
def test_settings_out_of_range_are_refused(given, said):
    with pytest.raises(OptionError, match=said):
        make_recipe("promptable-3d", **given)


def test_patience_is_for_recipes_that_hold_out_cases():
    assert make_recipe("cxr-pneumonia", patience=1.5).patience == 1.5
    assert make_recipe("cxr-pneumonia").patience == 0
    with pytest.raises(OptionError, match="patience is -1"):
        make_recipe("cxr-pneumonia", patience=-1)


def test_train_passes_on_what_it_is_given(calls, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["train", "toy", "--data", str(tmp_path), "--out", str(out)]
    assert main([*words, "--minutes", "2.5", "--threads", "3", "--seed", "9"]) == 0
    assert capsys.readouterr().out == f"written: {out / 'toy.safetensors'}\n"
    assert calls == [(tmp_path, out, ToyRecipe(minutes=2.5, seed=9), 3)]
    assert main([*words, "--init-from", "w.safetensors", "--freeze", "down.0", "down.1"]) == 0
    assert calls.pop()[2] == ToyRecipe(init_from="w.safetensors", frozen=("down.0", "down.1"))
    assert main(words) == 0
    assert calls[1][2] == ToyRecipe()
    assert calls[1][3] >= 1


def test_train_lists_the_recipes(calls, capsys):
    assert main(["train", "--list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "toy"
    assert calls == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["train", "tow", "--data", ".", "--out", "o"], 4, "There is no recipe 'tow'; did you mean 'toy'?"),
        (["train", "toy", "--data", "nowhere", "--out", "o"], 3, "nowhere is not a folder"),
        (["train", "toy", "--data", ".", "--out", __file__], 3, "is not a folder: --out"),
        (["train", "toy", "--data", ".", "--out", "o", "--minutes", "nan"], 2, "minutes is nan"),
    ],
)
def test_train_refuses_in_one_line(calls, capsys, tmp_path, monkeypatch, words, status, said):
    monkeypatch.chdir(tmp_path)
    assert main(words) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert calls == []
    assert not Path("o").exists()


@pytest.mark.parametrize("words", [["train"], ["train", "toy"], ["train", "toy", "--data", "."]])
def test_train_says_what_is_missing(calls, capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "--data and --out" in capsys.readouterr().err or words == ["train"]


def test_ended_by_the_user_it_says_how_to_go_on(calls, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["toy_recipe"], "train", interrupted)
    assert main(["train", "toy", "--data", str(tmp_path), "--out", str(tmp_path)]) == CancelledError.exit_status
    assert "resumes from the last checkpoint" in capsys.readouterr().err

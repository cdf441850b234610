"""Folders are looked into in order, in every place of a package, and one that is broken costs no other."""

import sys

import pytest

from napari_radcnn.discovery import BROKEN, leave_out, look_into, reason_of
from napari_radcnn.errors import CatalogueWarning, ModelError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two places; its folders by what they hold."""
    first, second = tmp_path / "here" / "shelf", tmp_path / "there"
    for place in (first, second):
        place.mkdir(parents=True)
    (first / "__init__.py").write_text(f"__path__.append({str(second)!r})\n")
    for place, folder, text in (
        (second, "apple", "VALUE = 1"),
        (first, "pear", "VALUE = 2"),
        (first, "burst", "1 / 0"),
        (first, "_hidden", "VALUE = 3"),
        (first, "not-a-name", "VALUE = 4"),
    ):
        (place / folder).mkdir()
        (place / folder / "__init__.py").touch()
        (place / folder / "thing.py").write_text(text)
    (first / "empty").mkdir()
    (first / "file.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    yield "shelf"
    for name in [name for name in sys.modules if f"{name}.".startswith("shelf.")]:
        del sys.modules[name]


def test_folders_of_all_places_are_looked_into_by_name(package):
    with pytest.warns(CatalogueWarning, match=r"^The things of the folder 'burst' are left out: ZeroDivisionError: "):
        assert list(look_into(package, "thing", lambda module: module.VALUE, "things")) == [("apple", 1), ("pear", 2)]


def test_what_is_missing_in_a_module_is_the_fault_of_its_folder(package):
    with pytest.warns(CatalogueWarning) as caught:
        assert list(look_into(package, "", lambda module: module.VALUE, "things")) == []
    assert [str(warning.message).split("'")[1] for warning in caught] == ["apple", "burst", "pear"]


def test_what_is_no_fault_of_a_module_is_raised(package):
    def stop(module):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(look_into(package, "", stop, "things"))
    assert not issubclass(KeyboardInterrupt, BROKEN)
    assert not issubclass(MemoryError, BROKEN)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModelError("it holds nothing."), "it holds nothing"),
        (ImportError("No module named 'x'"), "No module named 'x'"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("first\n  second"), "ValueError: first second"),
        (ValueError("y" * 1000), "ValueError: " + "y" * 200),
    ],
)
def test_a_reason_is_part_of_one_line(error, reason):
    assert reason_of(error) == reason


def test_a_folder_is_named_by_its_place_in_the_package():
    with pytest.warns(CatalogueWarning, match="of the folder 'b/c/d' are left out: why"):
        leave_out("a.b.c", "d", "things", "why")

"""Small caches of what was measured on this computer."""

from napari_radcnn.user_folders import cache_folder, recall, remember


def test_a_damaged_file_is_made_anew():
    remember("few", "a", {"n": 1})
    (cache_folder() / "few.json").write_text("[1, 2]")
    assert recall("few", "a") is None
    remember("few", "a", {"n": 2})
    assert recall("few", "a") == {"n": 2}


def test_old_entries_make_room(monkeypatch):
    monkeypatch.setattr("napari_radcnn.user_folders._MOST", 3)
    for n in (1, 2, 3, 1, 4):
        remember("few", str(n), {"n": n})
    assert [recall("few", str(n)) is not None for n in (1, 2, 3, 4)] == [True, False, True, True]

"""Python does not search for dead cycles while files are listed, and does so again afterwards."""

from __future__ import annotations

import gc
import threading

import pytest

from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.gui.parts.sweeping import unswept
from napari_radcnn.gui.scans.folder import list_paths
from napari_radcnn.phantom import head


@pytest.fixture(autouse=True)
def _searching():
    assert gc.isenabled()
    yield
    gc.enable()


def test_the_search_is_off_until_the_last_of_two_threads_is_done():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with unswept():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    with unswept():
        thread.start()
        assert inside.wait(20)
    assert not gc.isenabled()
    leave.set()
    thread.join(20)
    assert gc.isenabled()


def test_an_error_turns_it_on_again():
    with pytest.raises(ReadError), unswept():
        raise ReadError("damaged")
    assert gc.isenabled()


def test_who_had_turned_it_off_finds_it_off():
    gc.disable()
    with unswept():
        pass
    assert not gc.isenabled()


def test_a_folder_is_listed_without_it_and_makes_no_dead_cycles(tmp_path):
    write_dicom_series(tmp_path / "series", head())
    list_paths([tmp_path])  # whatever is made once in a program
    gc.disable()
    gc.collect()
    listing = list_paths([tmp_path])
    assert gc.collect() < len(listing.scans[0].source.files)
    gc.enable()
    states = []
    list_paths([tmp_path], lambda *_: states.append(gc.isenabled()))
    assert states
    assert not any(states)
    assert gc.isenabled()

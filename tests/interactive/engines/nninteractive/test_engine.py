"""How prompts reach nnInteractive, against a stand-in with its signatures; its weights are never here."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

import fake_nninteractive as fake
from napari_radcnn.errors import CancelledError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.nninteractive.engine import NnInteractiveEngine
from napari_radcnn.interactive.engines.nninteractive.session import VARIABLE
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.phantom import rotation
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume
from patience import PATIENCE

SHAPE = (9, 20, 30)


@pytest.fixture
def volume():
    direction = rotation(5.0, 4.0, -7.0) @ np.eye(3)[:, ::-1]
    array = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    return Volume(array, Geometry.from_parts(SHAPE, (3.0, 0.9, 0.7), (-12.0, 8.0, 40.0), direction))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The folder of weights that the environment names."""
    fake.install(monkeypatch, "inference_session", "remote")
    folder = fake.write_weights(tmp_path / "nnInteractive_v1.0")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture
def engine(weights):
    made = NnInteractiveEngine(RunSettings(device="cpu"))
    yield made
    made.close()


def _world(volume, *indices):
    return [volume.geometry.to_world(index) for index in indices]


def _request(volume, *prompts, current=None):
    return EngineRequest(volume, prompts, np.zeros(SHAPE, bool) if current is None else current)


def _calls(*kinds):
    (session,) = fake.FakeSession.made
    return [call for call in session.calls if call[0] in kinds]


def test_the_scan_goes_in_as_it_is_stored_and_once(engine, volume):
    point = Prompt.point(_world(volume, (2, 7, 21))[0])
    before = volume.array.copy()
    engine.prepare(volume, Monitor(1))
    update = engine.predict(_request(volume, point), Monitor(1))
    (session,) = fake.FakeSession.made
    assert _calls("image") == [("image", (1, *SHAPE))]
    np.testing.assert_array_equal(session.image[0], volume.array.astype(np.float32))
    np.testing.assert_array_equal(volume.array, before)
    assert _calls("reset", "point") == [("reset",), ("point", (2, 7, 21), True, True)]
    assert update.box == (slice(2, 3), slice(7, 8), slice(21, 22))
    assert update.mask.all()
    assert len(session.threads) == 1
    assert "MainThread" not in session.threads
    other = Volume(volume.array + 1, volume.geometry)
    engine.predict(_request(other, point), Monitor(1))
    assert len(_calls("image")) == 2


def test_a_flat_box_is_half_open_and_one_slice_thick(engine, volume):
    box = Prompt.box(*_world(volume, (4, 5, 6), (4, 9, 6), (4, 5, 12)), positive=False)
    engine.predict(_request(volume, box), Monitor(1))
    assert _calls("box") == [("box", [[4, 5], [5, 10], [6, 13]], False, True)]


def test_a_box_in_an_oblique_plane_means_the_nearest_slice(engine, volume):
    box = Prompt.box(*_world(volume, (3.0, 4, 4), (3.0, 14, 4), (5.0, 4, 24)))
    engine.predict(_request(volume, box), Monitor(1))
    assert _calls("box") == [("box", [[4, 5], [4, 15], [4, 25]], True, True)]


def test_a_lasso_goes_in_filled_as_a_crop(engine, volume):
    corners = _world(volume, (2, 5, 6), (8, 5, 6), (8, 5, 15), (2, 5, 15))  # in a coronal slice
    update = engine.predict(_request(volume, Prompt.lasso(corners)), Monitor(1))
    ((_, ends, positive, run, crop),) = _calls("lasso")
    assert (ends, positive, run) == ([[2, 9], [5, 6], [6, 16]], True, True)
    assert crop.shape == (7, 1, 10)
    assert crop.dtype == np.uint8
    assert crop.all()
    assert update.mask.all()


def test_a_thin_scribble_is_drawn_as_thick_as_the_model_knows_them(engine, volume):
    line = Prompt.scribble(_world(volume, (3, 10, 8), (3, 10, 18)))
    engine.predict(_request(volume, line), Monitor(1))
    ((_, ends, _, _, crop),) = _calls("scribble")
    assert ends[0] == [3, 4]
    assert crop.shape == tuple(b - a for a, b in ends)
    drawn = np.zeros(SHAPE, bool)
    drawn[tuple(slice(*pair) for pair in ends)] = crop > 0
    assert drawn[3, 10, 8:19].all()
    assert set(drawn[3, :, 8:19].sum(axis=0)) == {2}
    assert not drawn[[2, 4]].any()


def test_it_begins_with_the_mask_and_answers_the_new_prompt_alone(engine, volume):
    first, second = (Prompt.point(p) for p in _world(volume, (2, 7, 21), (5, 3, 4)))
    current = np.zeros(SHAPE, bool)
    current[1:3, 6:9, 20:24] = True
    first_update = engine.predict(_request(volume, first, second, current=current), Monitor(1))
    assert _calls("mask", "point", "reset") == [
        ("mask", 24, False),
        ("point", (2, 7, 21), True, False),
        ("point", (5, 3, 4), True, True),
    ]
    assert first_update.box == (slice(5, 6), slice(3, 4), slice(4, 5))
    again = engine.predict(_request(volume, first, second, current=current), Monitor(1))
    assert again.box == first_update.box
    np.testing.assert_array_equal(again.mask, first_update.mask)


def test_a_model_that_cannot_begin_with_a_mask_answers_all_prompts_again(engine, volume, monkeypatch):
    monkeypatch.setattr(fake.FakeSession, "initial_label", False)
    first, second = (Prompt.point(p) for p in _world(volume, (2, 7, 21), (5, 3, 4)))
    current = np.zeros(SHAPE, bool)
    current[1, 6, 20] = True
    update = engine.predict(_request(volume, first, second, current=current), Monitor(1))
    assert [call[3] for call in _calls("point")] == [True, True]
    whole = current.copy()
    whole[update.box] = update.mask
    assert np.argwhere(whole).tolist() == [[2, 7, 21], [5, 3, 4]]


def test_a_box_with_depth_needs_a_model_for_it(engine, volume, monkeypatch):
    solid = Prompt.box(*_world(volume, (2, 5, 6), (4, 5, 6), (2, 9, 6), (2, 5, 12)))
    with pytest.raises(ModelError, match="takes no box with depth; use a box in one slice"):
        engine.predict(_request(volume, solid), Monitor(1))
    engine.close()
    monkeypatch.setattr(fake.FakeSession, "made", [])
    monkeypatch.setattr(fake.FakeSession, "supported", fake.FakeSession.supported | {"bbox3d": True})
    engine.predict(_request(volume, solid), Monitor(1))
    assert _calls("box") == [("box", [[2, 5], [5, 10], [6, 13]], True, True)]


def test_the_licence_is_told_with_that_of_the_weights(engine, volume):
    assert "CC BY-NC-SA 4.0 (not for commercial use)" in engine.licence
    engine.prepare(volume, Monitor(1))
    assert engine.licence.endswith("these weights: CC BY-NC-SA 4.0")


def test_what_it_prints_is_no_output_of_ours(engine, volume, capsys):
    engine.prepare(volume, Monitor(1))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "chatter" in printed.err


def test_device_and_threads_are_the_settings(engine, volume):
    before = torch.get_num_threads()
    engine.prepare(volume, Monitor(1))
    (session,) = fake.FakeSession.made
    assert session.device == torch.device("cpu")
    assert session.torch_n_threads >= 1
    assert torch.get_num_threads() == before


def test_a_failure_says_what_it_said_and_the_next_prompt_works(engine, volume, monkeypatch):
    engine.prepare(volume, Monitor(1))
    point = Prompt.point(_world(volume, (2, 7, 21))[0])
    monkeypatch.setattr(fake.FakeSession, "fail", RuntimeError("the patch\nis too large"))
    with pytest.raises(ModelError, match="nnInteractive failed: the patch is too large"):
        engine.predict(_request(volume, point), Monitor(1))
    assert engine.predict(_request(volume, point), Monitor(1)).mask.all()


def test_it_stops_while_the_network_computes(engine, volume, monkeypatch):
    engine.prepare(volume, Monitor(1))
    go, cancel = threading.Event(), threading.Event()
    plain = fake.FakeSession.add_point_interaction

    def slow(self, *arguments, **named):
        cancel.set()
        assert go.wait(PATIENCE)
        return plain(self, *arguments, **named)

    monkeypatch.setattr(fake.FakeSession, "add_point_interaction", slow)
    point = Prompt.point(_world(volume, (2, 7, 21))[0])
    with pytest.raises(CancelledError):  # without waiting for the network
        engine.predict(_request(volume, point), Monitor(1, cancel=cancel))
    go.set()
    box = Prompt.box(*_world(volume, (4, 5, 6), (4, 9, 6), (4, 5, 12)))
    update = engine.predict(_request(volume, box), Monitor(1))  # what was stopped has left nothing behind
    assert update.box == (slice(4, 5), slice(5, 10), slice(6, 13))


def test_colors_and_scans_of_one_value_are_refused(engine, volume):
    with pytest.raises(ModelError, match="in color"):
        engine.prepare(Volume(np.zeros((*SHAPE, 3), np.uint8), volume.geometry), Monitor(1))
    with pytest.raises(ModelError, match="the same value everywhere"):
        engine.prepare(Volume(np.full(SHAPE, 7, np.int16), volume.geometry), Monitor(1))


# -- where weights come from -------------------------------------------------------------------------------------------


def test_without_weights_it_says_where_they_come_from_and_their_licence(monkeypatch, tmp_path, volume):
    fake.install(monkeypatch, "inference_session", "remote")
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ModelError, match=rf"{VARIABLE} is not set.*MIC-DKFZ/nnInteractive.*CC BY-NC-SA 4\.0"):
        NnInteractiveEngine(RunSettings()).prepare(volume, Monitor(1))
    with pytest.raises(ModelError, match=r"There is no folder .*CC BY-NC-SA 4\.0"):
        NnInteractiveEngine(RunSettings(), str(tmp_path / "nowhere")).prepare(volume, Monitor(1))
    with pytest.raises(ModelError, match=r"plans.json, dataset.json, one fold_\*/checkpoint_final.pth not found"):
        NnInteractiveEngine(RunSettings(), str(tmp_path)).prepare(volume, Monitor(1))
    assert fake.FakeSession.made == []


class _Code:
    def __reduce__(self):
        return (print, ("pwned",))


def test_weights_that_hold_code_are_refused_unread(monkeypatch, tmp_path, volume, capsys):
    fake.install(monkeypatch, "inference_session")
    bad = fake.write_weights(tmp_path / "bad", content={"network_weights": {}, "extra": _Code()})
    with pytest.raises(ModelError, match="its pickle refers to"):
        NnInteractiveEngine(RunSettings(), str(bad)).prepare(volume, Monitor(1))
    for number, wrong in enumerate(
        (
            fake.ARCHITECTURE | {"network_class_name": "os.system"},
            fake.ARCHITECTURE | {"arch_kwargs": {"conv_op": "subprocess.Popen"}},
        )
    ):
        folder = fake.write_weights(tmp_path / f"plans-{number}", wrong)
        with pytest.raises(ModelError, match=r"asks for '(os.system|subprocess.Popen)'"):
            NnInteractiveEngine(RunSettings(), str(folder)).prepare(volume, Monitor(1))
    assert fake.FakeSession.made == []
    assert "pwned" not in capsys.readouterr().out


def test_a_folder_needs_the_whole_package_and_a_server_the_client(monkeypatch, tmp_path, volume):
    fake.install(monkeypatch)
    folder = fake.write_weights(tmp_path / "weights")
    with pytest.raises(ModelError, match=r"pip install 'napari-radcnn\[nninteractive\]'"):
        NnInteractiveEngine(RunSettings(), str(folder)).prepare(volume, Monitor(1))
    with pytest.raises(ModelError, match=r"pip install 'napari-radcnn\[nninteractive-client\]'"):
        NnInteractiveEngine(RunSettings(), "http://localhost:1527").prepare(volume, Monitor(1))


# -- a server ----------------------------------------------------------------------------------------------------------


def test_a_server_is_asked_the_same(weights, monkeypatch, volume):
    monkeypatch.setenv(VARIABLE, "https://gpu.example.org:1527")
    engine = NnInteractiveEngine(RunSettings())
    point = Prompt.point(_world(volume, (2, 7, 21))[0])
    assert engine.predict(_request(volume, point), Monitor(1)).mask.all()
    (session,) = fake.FakeSession.made
    assert (type(session), session.server_url) == (fake.RemoteSession, "https://gpu.example.org:1527")
    assert "name no license" in engine.licence
    engine.close()
    deadline = time.monotonic() + PATIENCE
    while not session.is_closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert session.is_closed


def test_a_forgotten_client_comes_back_once(weights, monkeypatch, volume):
    engine = NnInteractiveEngine(RunSettings(), "http://localhost:1527")
    engine.prepare(volume, Monitor(1))
    monkeypatch.setattr(fake.FakeSession, "fail", fake.SessionExpiredError("lease expired"))
    point = Prompt.point(_world(volume, (2, 7, 21))[0])
    assert engine.predict(_request(volume, point), Monitor(1)).mask.all()
    first, second = fake.FakeSession.made
    assert first.is_closed
    assert [call[0] for call in second.calls] == ["server", "image", "reset", "point"]
    engine.close()


def test_a_scan_does_not_go_unencrypted_through_the_network(weights, volume):
    with pytest.raises(ModelError, match="unencrypted"):
        NnInteractiveEngine(RunSettings(), "http://gpu.example.org:1527").prepare(volume, Monitor(1))
    assert fake.FakeSession.made == []

"""Stand-ins for the two sessions of nnInteractive 2.6.0, with their signatures; nothing takes an unknown argument."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    "arch_kwargs": {"conv_op": "torch.nn.modules.conv.Conv3d", "dropout_op": None, "n_stages": 6},
    "_kw_requires_import": ["conv_op", "dropout_op"],
}


class FakeSession:
    """Answers every prompt with its own voxels, grown by nothing, on top of what is there; writes down what it gets."""

    made: list[FakeSession] = []  # noqa: RUF012  all sessions of a test
    supported = {"scribble": True, "lasso": True, "points": True, "bbox2d": True, "bbox3d": False}  # noqa: RUF012
    initial_label = True
    fail: Exception | None = None

    def _begin(self):
        self.license = None
        self.supported_interactions = dict(self.supported)
        self.supports_initial_label = self.initial_label
        self.preferred_scribble_thickness = [2, 2, 2]
        self.calls, self.threads = [], set()
        self.image = self.target_buffer = None
        FakeSession.made.append(self)

    def _note(self, *call):
        sys.stdout.write("chatter\n")
        self.threads.add(threading.current_thread().name)
        self.calls.append(call)
        if FakeSession.fail is not None:
            failure, FakeSession.fail = FakeSession.fail, None
            raise failure

    def set_image(self, image: np.ndarray, image_properties: dict | None = None):
        assert image.ndim == 4
        assert image.dtype == np.float32
        self._note("image", image.shape)
        self.image = image

    def set_target_buffer(self, target_buffer: np.ndarray):
        assert target_buffer.shape == self.image.shape[1:]
        self.target_buffer = target_buffer

    def reset_interactions(self):
        self._note("reset")
        self.target_buffer.fill(0)

    def add_point_interaction(
        self,
        coordinates,
        include_interaction: bool,
        run_prediction: bool = True,
        override_capability_checks: bool = False,
    ):
        self._note("point", tuple(coordinates), include_interaction, run_prediction)
        return self._answer([[c, c + 1] for c in coordinates], 1, include_interaction, run_prediction)

    def add_bbox_interaction(
        self,
        bbox_coords,
        include_interaction: bool,
        run_prediction: bool = True,
        override_capability_checks: bool = False,
    ):
        self._note("box", [list(ends) for ends in bbox_coords], include_interaction, run_prediction)
        return self._answer(bbox_coords, 1, include_interaction, run_prediction)

    def add_scribble_interaction(
        self,
        scribble_image: np.ndarray,
        include_interaction: bool,
        run_prediction: bool = True,
        override_capability_checks: bool = False,
        interaction_bbox=None,
    ):
        self._note("scribble", interaction_bbox, include_interaction, run_prediction, scribble_image)
        return self._answer(interaction_bbox, scribble_image, include_interaction, run_prediction)

    def add_lasso_interaction(
        self,
        lasso_image: np.ndarray,
        include_interaction: bool,
        run_prediction: bool = True,
        override_capability_checks: bool = False,
        interaction_bbox=None,
    ):
        self._note("lasso", interaction_bbox, include_interaction, run_prediction, lasso_image)
        return self._answer(interaction_bbox, lasso_image, include_interaction, run_prediction)

    def add_initial_seg_interaction(
        self, initial_seg: np.ndarray, run_prediction: bool = False, override_capability_checks: bool = False
    ):
        assert initial_seg.dtype == np.uint8
        self._note("mask", int(initial_seg.sum()), run_prediction)
        self.target_buffer[:] = initial_seg

    def _answer(self, ends, crop, include, run):
        if not run:
            return None
        box = tuple(slice(*pair) for pair in ends)
        shape = tuple(b - a for a, b in ends)
        crop = np.broadcast_to(np.asarray(crop), shape)
        self.target_buffer[box] = np.where(crop > 0, int(include), self.target_buffer[box])
        return [list(pair) for pair in ends]


class LocalSession(FakeSession):
    def __init__(
        self,
        device="cuda",
        use_torch_compile: bool = False,
        verbose: bool = False,
        torch_n_threads: int = 8,
        do_autozoom: bool = True,
        interactions_storage: str = "auto",
        enable_undo: bool = True,
    ):
        self._begin()
        self.device, self.torch_n_threads = device, torch_n_threads

    def initialize_from_trained_model_folder(
        self, model_training_output_dir: str, use_fold=None, checkpoint_name: str = "checkpoint_final.pth"
    ):
        self._note("folder", model_training_output_dir)
        self.license = "CC BY-NC-SA 4.0"


class RemoteSession(FakeSession):
    def __init__(
        self,
        server_url: str,
        api_key: str | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        set_image_read_timeout: float = 600.0,
        write_timeout: float = 120.0,
        pool_timeout: float = 10.0,
    ):
        self._begin()
        self.server_url, self.is_closed = server_url, False
        self.license = "!!MISSING!!"
        self._note("server", server_url)

    def close(self):
        self.is_closed = True


class SessionExpiredError(RuntimeError):
    pass


def install(monkeypatch, *names):
    """Put the stand-in packages in the place of nnInteractive's: "inference_session", "remote"."""
    monkeypatch.setattr(FakeSession, "made", [])
    for name in ("nnInteractive", "nnInteractive.inference"):
        package = ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    for name in ("inference_session", "remote"):
        full = f"nnInteractive.inference.{name}"
        if name not in names:
            monkeypatch.setitem(sys.modules, full, None)
            continue
        module = ModuleType(full)
        module.nnInteractiveInferenceSession = LocalSession
        module.nnInteractiveRemoteInferenceSession = RemoteSession
        module.SessionExpiredError = SessionExpiredError
        monkeypatch.setitem(sys.modules, full, module)


def write_weights(path: Path, architecture=ARCHITECTURE, content=None) -> Path:
    """Put a folder like one of nnInteractive's weights at a path, and return it."""
    (path / "fold_0").mkdir(parents=True)
    (path / "plans.json").write_text(json.dumps({"configurations": {"3d_fullres": {"architecture": architecture}}}))
    (path / "dataset.json").write_text("{}")
    kept = {"network_weights": {"w": torch.zeros(2)}, "trainer_name": "t"} if content is None else content
    torch.save(kept, path / "fold_0" / "checkpoint_final.pth")
    return path

"""`nninteractive`: nnInteractive's 3-D network (Isensee et al. 2025), with weights that the user supplies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError, RadcnnError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.inference.backends.torch_cpu import memory_errors
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.litemedsam.prompts import key_index, plane_axis
from napari_radcnn.interactive.engines.nninteractive.session import (
    Ends,
    InteractiveSession,
    find_location,
    is_server,
    open_session,
    quiet,
    session_errors,
)
from napari_radcnn.interactive.engines.specs import NNINTERACTIVE
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import Mask, MaskUpdate, box_of, joined
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Seconds between two looks at whether the user asked to stop.
_PATIENCE = 0.1
#: What nnInteractive calls the kinds of prompts.
_KINDS = {"point": "points", "scribble": "scribble", "lasso": "lasso", "box": "bbox2d"}

_Made = TypeVar("_Made")


class NnInteractiveEngine:
    """Answers all prompts in three dimensions, here or on a server.

    Each answer is made from the object's mask and all its prompts anew, so that undo, strokes and tools need nothing of
    it: the mask is where nnInteractive begins, earlier prompts are placed, and the new one is answered.

    Parameters
    ----------
    settings : RunSettings
        Device.
    location : str, optional
        Folder of weights, or address of a server; by default what ``RADCNN_NNINTERACTIVE`` says.

    Attributes
    ----------
    name : str
        As on the list of models.
    """

    name = NNINTERACTIVE.name

    def __init__(self, settings: RunSettings, location: str | None = None) -> None:
        self._settings, self._location = settings, location
        self._session: InteractiveSession | None = None
        self._volume: Volume | None = None
        self._target: npt.NDArray[np.uint8] = np.zeros((0, 0, 0), np.uint8)
        # A graphics card's library keeps what it has tried out with the thread, so that one thread does all of it.
        self._worker: ThreadPoolExecutor | None = None

    @property
    def licence(self) -> str:
        """Of code and weights; once loaded, with what the weights themselves say."""
        said = getattr(self._session, "license", None)
        if said is None:
            return NNINTERACTIVE.licence
        known = (
            f"these weights: {said}" if "MISSING" not in said else "these weights name no license: ask their authors"
        )
        return f"{NNINTERACTIVE.licence}; {known}"

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Load the network and take the scan; see `Engine`."""
        monitor.say("loading nnInteractive")
        self._run(lambda: self._take(volume), monitor)

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Return the answer to the new prompt; see `Engine`."""
        monitor.say("asking nnInteractive")
        return self._run(lambda: self._answer(request, monitor), monitor)

    def close(self) -> None:
        """Give memory back, and a server its place, once what is under way has ended; see `Engine`."""
        worker, session = self._worker, self._session
        self._worker = self._session = self._volume = None
        if worker is not None:
            worker.submit(_close, session)
            worker.shutdown(wait=False)

    def _run(self, work: Callable[[], _Made], monitor: Monitor) -> _Made:
        """Let the engine's thread work, and look whether the user asked to stop.

        What is under way then ends by itself, and its answer is not used.
        """
        if self._worker is None:
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="radcnn-nninteractive")
        future = self._worker.submit(self._guarded, work)
        try:
            while not future.done():
                monitor.check()
                wait([future], timeout=_PATIENCE)
        except RadcnnError:
            future.cancel()
            raise
        return future.result()

    def _guarded(self, work: Callable[[], _Made]) -> _Made:
        """Do what nnInteractive is asked, and say what went wrong in its words.

        A server forgets a client that is silent for long; then the answer is asked for once more, as of a new client.
        """
        remote = is_server(find_location(self._location))
        for attempt in (1, 2):
            try:
                with quiet(), memory_errors():
                    return work()
            except RadcnnError:
                raise
            except session_errors() as error:
                self._release()
                if not (remote and attempt == 1 and type(error).__name__ == "SessionExpiredError"):
                    told = " ".join(str(error).split())[:200] or type(error).__name__
                    raise ModelError(f"nnInteractive failed: {told}") from error
        raise ModelError("nnInteractive failed.")  # pragma: no cover  the second attempt returns or raises

    def _release(self) -> None:
        session, self._session, self._volume = self._session, None, None
        _close(session)

    def _take(self, volume: Volume) -> InteractiveSession:
        """Return the session with this scan in it.

        Raises
        ------
        ModelError
            If the scan is in color, or has one value only.
        """
        if self._session is not None and volume is self._volume:
            return self._session
        if volume.is_color:
            raise ModelError(f"'{volume.name}' is in color; nnInteractive takes gray scans: use the engine 'region'.")
        values = np.nan_to_num(np.asarray(volume.array, np.float32), posinf=0.0, neginf=0.0)
        if not values.max() > values.min():
            raise ModelError(f"'{volume.name}' has the same value everywhere: there is nothing to outline.")
        if self._session is None:
            self._session = open_session(find_location(self._location), self._settings)
        self._volume = None
        self._session.set_image(values[None])
        self._target = np.zeros(values.shape, np.uint8)
        self._session.set_target_buffer(self._target)
        self._volume = volume
        return self._session

    def _answer(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        session = self._take(request.volume)
        geometry = request.volume.geometry
        *earlier, new = request.prompts
        box: Box | None = None
        begins = request.current.any() and session.supports_initial_label
        if begins:
            session.add_initial_seg_interaction(request.current.astype(np.uint8), run_prediction=False)
        else:
            session.reset_interactions()
            box = box_of(request.current)
        for prompt in earlier:  # of a model that cannot begin with a mask, the mask is made again
            monitor.check()
            run = not session.supports_initial_label
            box = joined(box, _as_box(_place(session, prompt, geometry, run=run)))
        monitor.check()
        box = joined(box, _as_box(_place(session, new, geometry, run=True)))
        if box is None:
            box = (slice(0, 1), slice(0, 1), slice(0, 1))
        return MaskUpdate(box, self._target[box] > 0)


def _close(session: InteractiveSession | None) -> None:
    if session is not None and hasattr(session, "close"):  # the remote one alone has it
        session.close()


def _place(session: InteractiveSession, prompt: Prompt, geometry: Geometry, *, run: bool) -> Ends | None:
    """Give a prompt to a session; returns the box of what changed where it answers.

    Raises
    ------
    ModelError
        If the model was not trained for such prompts.
    """
    is_solid = prompt.kind == "box" and len(prompt.points) == 4
    if not session.supported_interactions.get("bbox3d" if is_solid else _KINDS[prompt.kind], False):
        what, instead = (
            ("box with depth", "a box in one slice") if is_solid else (prompt.kind, "another kind of prompt")
        )
        raise ModelError(f"This model of nnInteractive takes no {what}; use {instead}.")
    covered = rasterize(prompt, geometry)
    if covered is None:
        return None
    ends = _ends(covered.box)
    if prompt.kind == "point":
        place = tuple(first for first, _ in ends)
        return session.add_point_interaction(place, prompt.positive, run_prediction=run)
    if prompt.kind == "box":
        flat = ends if is_solid else _flattened(ends, prompt, geometry)
        return session.add_bbox_interaction(flat, prompt.positive, run_prediction=run)
    if prompt.kind == "lasso":
        crop = covered.mask.astype(np.uint8)
        return session.add_lasso_interaction(crop, prompt.positive, run_prediction=run, interaction_bbox=ends)
    ends, crop = _thickened(covered, session.preferred_scribble_thickness, geometry)
    return session.add_scribble_interaction(crop, prompt.positive, run_prediction=run, interaction_bbox=ends)


def _flattened(ends: Ends, prompt: Prompt, geometry: Geometry) -> Ends:
    """Return a flat box drawn in any plane as one in the nearest slice of the scan: the network knows no others."""
    axis = plane_axis(prompt, geometry)
    if axis is None:
        return ends
    index = key_index(prompt, geometry, axis)
    return [[index, index + 1] if n == axis else pair for n, pair in enumerate(ends)]


def _thickened(covered: MaskUpdate, thickness: object, geometry: Geometry) -> tuple[Ends, npt.NDArray[np.uint8]]:
    """Return a scribble at least as thick as those that the model was trained with, within its slice, and its box.

    A straight line lies in several slices at a time: it is thickened in the one that the scan was made in.
    """
    from scipy import ndimage

    widths = [max(1, round(float(w))) for w in np.broadcast_to(np.asarray(thickness, float), (3,))]
    flat = [n for n, extent in enumerate(covered.box) if extent.stop - extent.start == 1]
    if flat:
        widths[max(flat, key=lambda n: round(geometry.spacing[n], 3))] = 1
    shape = geometry.shape
    low = [max(0, extent.start - w // 2) for extent, w in zip(covered.box, widths, strict=True)]
    high = [min(n, e.stop + w // 2) for e, w, n in zip(covered.box, widths, shape, strict=True)]
    crop: Mask = np.zeros([b - a for a, b in zip(low, high, strict=True)], np.bool_)
    crop[tuple(slice(e.start - a, e.stop - a) for e, a in zip(covered.box, low, strict=True))] = covered.mask
    thick = ndimage.binary_dilation(crop, np.ones(widths, np.bool_))
    return [[a, b] for a, b in zip(low, high, strict=True)], thick.astype(np.uint8)


def _ends(box: Box) -> Ends:
    return [[extent.start, extent.stop] for extent in box]


def _as_box(ends: Ends | None) -> Box | None:
    if ends is None:
        return None
    k, j, i = (slice(int(first), int(last)) for first, last in ends)
    return k, j, i

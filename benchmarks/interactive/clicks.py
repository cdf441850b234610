"""How good a mask is after so many clicks of the simulated user, object by object."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import napari_radcnn as radcnn
from benchmarks.interactive import rivals
from benchmarks.interactive.rivals import RIVALS
from benchmarks.interactive.scans import Scan, group_of, read_scan, truths
from benchmarks.models.ct_organs.cases import learned_from, tested_folds, with_fold
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import Engine
from napari_radcnn.interactive.engines.registry import open_engine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.simulate import EnginePlayer, Player, next_click, play
from napari_radcnn.interactive.update import Mask
from napari_radcnn.metrics import dice
from napari_radcnn.models import get_model
from napari_radcnn.models.ct_organs.around import OrgansAround
from napari_radcnn.models.ct_organs.network import CHANNELS, build_network
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.progress import Monitor
from napari_radcnn.training.few_clicks.decision import box_around
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.session import PromptSession

#: Clicks to this Dice are counted, up to the cap.
GOAL, CAP, AT_LEAST = 0.85, 20, 10
#: Prompts of other kinds that an object is begun with once each.
FIRST = ("box", "flat_box", "scribble")
#: A first click is also given so far beside the middle, mm.
BESIDE = 1.5
#: Directions in which the longest line is looked for.
_DIRECTIONS = 24

Record = dict[str, Any]


class SessionPlayer:
    """One object of a session, as a user of the program has it: with history, without the autosave on the disk."""

    def __init__(self, session: PromptSession) -> None:
        self._session = session
        self.value = session.add_object().value

    def add(self, prompt: Prompt) -> None:
        """Add the prompt and wait for the mask."""
        self._session.add(prompt)

    @property
    def mask(self) -> Mask:
        """The object as it is now."""
        return self._session.mask(self.value)


class Watched:
    """A player that keeps how many voxels each prompt left, and how many it changed; its prompts take no longer."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._before: Mask | None = None
        self._is_new = False
        self.left: list[int] = []
        self.changed: list[int] = []

    def add(self, prompt: Prompt) -> None:
        """Add the prompt and wait for the mask."""
        self._player.add(prompt)
        self._is_new = True

    @property
    def mask(self) -> Mask:
        """The object as it is now; the first time after a prompt it is looked at what that changed."""
        mask = self._player.mask
        if self._is_new:
            self._is_new = False
            self.left.append(int(np.count_nonzero(mask)))
            before = np.False_ if self._before is None else self._before
            self.changed.append(int(np.count_nonzero(mask != before)))
            self._before = mask.copy()
        return mask


def opened(engine: str, settings: RunSettings, weights: Path | None = None, scan: Scan | None = None) -> Engine:
    """Return an engine; `promptable-3d` with other weights than those in the package where a file is given.

    Where a scan is given that `ct-organs` learned from, `few-clicks` asks the weights of the fold that never saw it.
    """
    if engine in RIVALS:
        return RIVALS[engine]()
    if engine == "few-clicks" and scan is not None:
        from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine

        return FewClicksEngine(settings, anatomist=_knows_organs(settings, scan))
    if engine != "promptable-3d" or weights is None:
        return open_engine(engine, settings)
    from napari_radcnn.interactive.engines.promptable.engine import PromptableEngine

    return PromptableEngine(settings, network_of(weights))


def _knows_organs(settings: RunSettings, scan: Scan) -> OrgansAround:
    fold = next((fold for fold in tested_folds() if not scan.is_seen(learned_from(fold))), None)
    if fold is None:
        return OrgansAround(settings)
    return OrgansAround(settings, ShippedNetwork.of(with_fold("ct-organs", fold), build_network, 3, len(CHANNELS)))


def network_of(weights: Path) -> ShippedNetwork:
    """Return the promptable network with the weights in a file."""
    from napari_radcnn.interactive.engines.promptable.engine import promptable_network

    return promptable_network(weights, hashlib.sha256(weights.read_bytes()).hexdigest())


@contextmanager
def players(volume: Volume, engine: Engine, is_direct: bool) -> Iterator[Callable[[], Player]]:
    """Give what begins a new, empty object in a scan; the engine is closed at the end.

    Parameters
    ----------
    is_direct : bool
        Whether the engine is asked without a session.
    """
    if is_direct:
        engine.prepare(volume, Monitor(1))
        yield lambda: EnginePlayer(engine, volume)
        engine.close()
        return
    from napari_radcnn.session import PromptSession

    with (
        tempfile.TemporaryDirectory() as folder,
        PromptSession(volume, engine=engine, folder=Path(folder), autosave=False) as session,
    ):

        def begin() -> Player:
            # Alone in the scan: how objects share voxels is not what is measured here.
            for other in session.objects:
                session.remove_object(other.value)
            return SessionPlayer(session)

        yield begin


def play_scan(
    scan: Scan,
    data: Path,
    engine: str,
    settings: RunSettings,
    *,
    done: Sequence[str],
    clicks: int = CAP,
    n_objects: int | None = None,
    is_direct: bool = False,
    weights: Path | None = None,
) -> Iterator[Record]:
    """Play the objects of a scan one after the other and yield what came of each.

    Parameters
    ----------
    done : sequence of str
        Names of objects to leave out.
    clicks : int
        At most so many an object.
    n_objects : int, optional
        Only so many, evenly from the list.
    is_direct : bool
        Whether the engine is asked without a session.
    weights : Path, optional
        Of ``promptable-3d``, where others than those in the package are measured.
    """
    volume = read_scan(scan, data)
    objects = list(truths(scan, data, volume))
    if n_objects is not None and n_objects < len(objects):
        objects = [objects[n] for n in np.linspace(0, len(objects) - 1, n_objects).astype(int)]
    objects = [(name, mask) for name, mask in objects if name not in done]
    if not objects:
        return
    with players(volume, opened(engine, settings, weights, scan), is_direct) as begin:
        # A first click that is not counted: what is made once for a scan is not part of a click.
        play(begin(), objects[0][1], volume, clicks=1)
        for name, mask in objects:
            player = Watched(begin())
            turns = play(player, mask, volume, clicks=clicks, goal=GOAL, at_least=min(AT_LEAST, clicks))
            record = {
                "engine": engine,
                "scan": scan.name,
                "object": name,
                "group": group_of(name),
                "voxels": int(np.count_nonzero(mask)),
                "clicks_at_most": clicks,
                "dice": [turn.dice for turn in turns],
                "seconds": [round(turn.seconds, 4) for turn in turns],
                "positive": [turn.click.positive for turn in turns],
                "left": player.left,
                "changed": player.changed,
            }
            if engine not in RIVALS:  # which take clicks only
                record |= _first(begin, mask, volume)
            print(_line(record), file=sys.stderr, flush=True)
            yield record


def _first(begin: Callable[[], Player], truth: Mask, volume: Volume) -> dict[str, Any]:
    """Return the Dice after a box around an object, a line through it and clicks beside its middle, and the voxels."""
    found: dict[str, Any] = {}
    prompts = (box_around(truth, volume.geometry), flat_box(truth, volume.geometry), line_through(truth, volume))
    for kind, prompt in zip(FIRST, prompts, strict=True):
        found[kind], found[f"{kind}_left"] = _after(begin(), prompt, truth)
    beside = [_after(begin(), prompt, truth) for prompt in clicks_beside(truth, volume)]
    return {**found, "beside": [one for one, _ in beside], "beside_left": [left for _, left in beside]}


def _after(player: Player, prompt: Prompt, truth: Mask) -> tuple[float, int]:
    player.add(prompt)
    return dice(truth, player.mask), int(np.count_nonzero(player.mask))


def clicks_beside(truth: Mask, volume: Volume) -> list[Prompt]:
    """Return clicks beside the most interior voxel, one in each direction of the grid, but for those outside."""
    click = next_click(truth, np.zeros_like(truth), volume.geometry.spacing)
    assert click is not None
    found = []
    for axis, step in enumerate(volume.geometry.spacing):
        for sign in (-1, 1):
            at = np.array(click.index, float)
            at[axis] += sign * BESIDE / step
            index = np.rint(at).astype(int)
            if (index >= 0).all() and (index < truth.shape).all() and truth[tuple(index)]:
                found.append(Prompt.point(volume.geometry.to_world(at)))
    return found


def flat_box(truth: Mask, geometry: Geometry) -> Prompt:
    """Return the box around an object in the slice of its most interior voxel, from its first voxels to its last."""
    click = next_click(truth, np.zeros_like(truth), geometry.spacing)
    assert click is not None
    row = click.index[0]
    inside = np.argwhere(truth[row])
    low, high = inside.min(0), inside.max(0)
    corners = ((row, *low), (row, high[0], low[1]), (row, low[0], high[1]))
    return Prompt.box(*(geometry.to_world(corner) for corner in corners))


def line_through(truth: Mask, volume: Volume) -> Prompt:
    """Return a line through the most interior voxel, along the longest straight way that stays inside in its slice."""
    spacing = np.asarray(volume.geometry.spacing)
    click = next_click(truth, np.zeros_like(truth), volume.geometry.spacing)
    assert click is not None
    middle = np.array(click.index, float)
    best = (0.0, middle, middle)
    for angle in np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS:
        step = 0.5 * spacing[1:].min() * np.array([0, np.sin(angle), np.cos(angle)]) / spacing
        ends = [_last_inside(truth, middle, sign * step) for sign in (-1, 1)]
        length = float(np.linalg.norm((ends[1] - ends[0]) * spacing))
        best = max(best, (length, *ends), key=lambda found: found[0])
    points = [middle + 0.9 * (end - middle) for end in best[1:]]
    return Prompt.scribble(volume.geometry.to_world(point) for point in (points[0], middle, points[1]))


def _last_inside(truth: Mask, middle: np.ndarray, step: np.ndarray) -> np.ndarray:
    at = middle
    while True:
        ahead = at + step
        index = np.rint(ahead).astype(int)
        if (index < 0).any() or (index >= truth.shape).any() or not truth[tuple(index)]:
            return at
        at = ahead


def _line(record: Record) -> str:
    dice = " ".join(f"{value:.2f}" for value in record["dice"])
    middle = float(np.median(record["seconds"]))
    return f"{record['engine']} {record['scan']} {record['object']}: {dice}; {middle:.2f} s a click"


def identity(engine: str, settings: RunSettings, weights: Path | None = None) -> dict[str, str]:
    """Return what a record depends on: settings, the engine's modules, and its weights."""
    if engine in RIVALS:
        modules = [Path(rivals.__file__)]
    else:
        modules = sorted((Path(radcnn.__file__).parent / get_model(engine).card).parent.glob("*.py"))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in modules)).hexdigest()
    found = {"device": settings.device, "precision": settings.precision, "code_sha256": code}
    if engine == "promptable-3d" and weights is not None:
        found["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    elif engine not in RIVALS and get_model(engine).weights:
        files = [*get_model(engine).weights]
        if engine == "few-clicks":
            files += [file for fold in tested_folds() for file in with_fold("ct-organs", fold).weights]
        found["weights_sha256"] = " ".join(file.sha256 for file in files)
    return found

"""How far clicks lead on a scan that is not learned from: a quick form of what the engine does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.engines.few_clicks.channels import Board, units_of
from napari_radcnn.interactive.engines.few_clicks.network import FIRST_SIZE, SIZE_BINS, SIZE_STEP
from napari_radcnn.interactive.engines.promptable.input import Grid
from napari_radcnn.interactive.engines.region.engine import RegionEngine
from napari_radcnn.interactive.simulate import Click, EnginePlayer, next_click
from napari_radcnn.metrics import dice
from napari_radcnn.training.run import mixed_precision
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: The scan and its map, which no recipe learns from, and which of its objects are looked at: every third one.
SCAN = ("ct_totalsegmentator/example_ct.nii.gz", "ct_totalsegmentator/example_seg_fast_force_split.nii.gz")
_EVERY, _FEWEST = 3, 50
#: The object's largest side as a share of the cube's, once it is known; mm between voxels, at most, and in the scan's.
_SHARE, _COARSEST, _FINEST = 0.62, 10.0, 0.5
#: Logit outside of what was looked at.
_OUTSIDE = -6.0


class HeldOut:
    """Games on the objects of the held-out scan.

    Parameters
    ----------
    data : Path
        Folder of the scans.
    size : int
        Voxels along a side of a cube.
    """

    def __init__(self, data: Path, size: int) -> None:
        from napari_radcnn.io import read
        from napari_radcnn.preprocessing import resample

        volume = read(data / SCAN[0])[0]
        found = read(data / SCAN[1])[0].reoriented(volume.geometry.orientation)
        labels = np.asarray(found.array)
        if not found.geometry.is_close(volume.geometry, tolerance=0.1):
            labels = resample(labels, found.geometry, volume.geometry, interpolation="nearest")
        values = [value for value in np.unique(labels[labels > 0]) if np.count_nonzero(labels == value) >= _FEWEST]
        self._volume, self._size = volume, size
        self._truths = [labels == value for value in values[::_EVERY]]
        spacing = volume.geometry.spacing
        self._firsts: list[tuple[Click, Mask]] = []
        for truth in self._truths:
            click = next_click(truth, np.zeros_like(truth), spacing)
            if click is not None:
                player = EnginePlayer(RegionEngine(), volume)
                player.add(click.prompt(volume.geometry))
                self._firsts.append((click, player.mask))

    def proposals(self) -> float:
        """Return the mean Dice coefficient of the other engine's first answers."""
        return float(np.mean([dice(t, mask) for t, (_, mask) in zip(self._truths, self._firsts, strict=True)]))

    def curve(self, network: torch.nn.Module, clicks: int = 5) -> Array:
        """Return the Dice coefficients of every object after 1, 2, ... clicks."""
        rows = []
        for truth, (first, proposal) in zip(self._truths, self._firsts, strict=True):
            player = Player(network, self._volume, self._size, proposal)
            row: list[float] = []
            taken: list[tuple[int, int, int]] = []
            click: Click | None = first
            while click is not None and len(row) < clicks:
                taken.append(click.index)
                player.click(click)
                row.append(dice(truth, player.mask))
                click = next_click(truth, player.mask, self._volume.geometry.spacing, taken)
            rows.append(row + row[-1:] * (clicks - len(row)))
        return np.array(rows, np.float32)


class Player:
    """One object on a scan, found by clicks.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    volume : Volume
        The scan.
    size : int
        Voxels along a side of a cube.
    proposal : (k, j, i) array of bool
        What another engine made of the first click.
    """

    def __init__(self, network: torch.nn.Module, volume: Volume, size: int, proposal: Mask) -> None:
        self._network, self._geometry, self._size = network, volume.geometry, size
        factor, self._low, self._high = units_of(np.asarray(volume.array)[::2, ::2, ::2])
        self._image = np.asarray(volume.array, np.float32) * np.float32(factor)
        self._proposal = proposal.astype(np.float32)
        self._spacing = np.array(volume.geometry.spacing)
        self._clicks: list[Click] = []
        self._value: float | None = None
        self.logits = np.full(volume.geometry.shape, _OUTSIDE, np.float32)

    @property
    def mask(self) -> Mask:
        """The object as it is now."""
        return np.asarray(self.logits > 0)

    def click(self, click: Click) -> None:
        """Take a click."""
        self._clicks.append(click)
        if len(self._clicks) == 1:
            extent = self._extent_of(click)
            self._look([(np.array(click.index, float), self._zoom(extent))], extent)
        low, high = self._box()
        extent = float(((high - low) * self._spacing).max())
        zoom = self._zoom(extent)
        self._look([((low + high - 1) / 2, zoom)], extent)
        finest = float(self._spacing.min())
        if len(self._clicks) > 1 and zoom > 1.3 * finest:
            self._look([(np.array(click.index, float), max(finest, zoom / 2))], extent, rim=3)
        for known in self._clicks:
            at = self.logits[known.index]
            self.logits[known.index] = max(at, 1.0) if known.positive else min(at, -1.0)
        self._drop_far_pieces()

    def _zoom(self, extent: float) -> float:
        return float(np.clip(extent / (_SHARE * self._size), _FINEST * self._spacing.min(), _COARSEST))

    def _box(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the box around the object and the positive clicks."""
        points = [np.array([click.index for click in self._clicks if click.positive]).reshape(-1, 3)]
        points.append(np.argwhere(self.mask))
        where = np.concatenate(points)
        return where.min(0).astype(float), where.max(0) + 1.0

    def _extent_of(self, click: Click) -> float:
        """Return the likely largest side of what was clicked, mm, as cubes of several zooms agree on it."""
        finest = float(self._spacing.min())
        zooms = [zoom for zoom in finest * 2.0 ** np.arange(-1, 5) if zoom <= _COARSEST] or [finest]
        _, sizes = self._ask([(np.array(click.index, float), zoom) for zoom in zooms], 0.0)
        sides = np.arange(0, 9.01, 0.125)  # octaves of mm
        bins = FIRST_SIZE + SIZE_STEP * np.arange(SIZE_BINS)
        total = np.zeros(len(sides))
        for zoom, logits in zip(zooms, sizes, strict=True):
            chance = np.exp(logits - logits.max())
            chance = 0.9 * chance / chance.sum() + 0.1 / SIZE_BINS
            total += np.interp(sides - np.log2(zoom * self._size), bins, np.log(chance), np.log(0.02), np.log(0.02))
        share = np.exp((total - total.max()) / max(1.0, len(zooms) / 2))
        return float(2.0 ** ((share * sides).sum() / share.sum()))

    def _board(self, grid: Grid, extent: float) -> Board:
        inside = grid.sample(np.ones_like(self._proposal), outside=0.0) > 0.5
        board = Board(grid.sample(self._image), self._low, self._high, grid.spacing, inside)
        if self._value is not None:
            board.tell_value(self._value)
        for click in self._clicks:
            at = (np.array(click.index) - np.array(grid.first)) / np.array(grid.steps)
            if (at > -3).all() and (at < self._size + 2).all():
                board.click(at, positive=click.positive)
        if self._value is not None:
            board.tell_value(self._value)
        if extent:
            at = (np.array(self._clicks[0].index) - np.array(grid.first)) / np.array(grid.steps)
            board.tell_size(extent / (grid.spacing * self._size), at)
        board.tell_proposal(grid.sample(self._proposal, outside=0.0) > 0.5)
        board.tell_mask(1 / (1 + np.exp(-grid.sample(self.logits, outside=_OUTSIDE))))
        return board

    def _ask(
        self, places: Sequence[tuple[npt.NDArray[np.float64], float]], extent: float
    ) -> tuple[list[tuple[Grid, Array]], Array]:
        """Return what the network answers to cubes around places, with these mm between voxels."""
        import torch

        k_j_i = [(float(at[0]), float(at[1]), float(at[2])) for at, _ in places]
        grids = [Grid(self._geometry, at, zoom, self._size) for at, (_, zoom) in zip(k_j_i, places, strict=True)]
        boards = [self._board(grid, extent).channels for grid in grids]
        if len(boards) == 1:  # torch is slow for a batch of one
            boards = boards * 2
        batch = torch.from_numpy(np.stack(boards)).contiguous(memory_format=torch.channels_last_3d)
        with torch.no_grad(), mixed_precision():
            logits, sizes = self._network(batch)
        answers = logits.float().numpy()[:, 0]
        return list(zip(grids, answers, strict=False)), sizes.float().numpy()[: len(grids)]

    def _look(self, places: Sequence[tuple[npt.NDArray[np.float64], float]], extent: float, rim: int = 0) -> None:
        """Put what the network says of cubes into the scan, less and less towards their faces where a rim is given."""
        answers, _ = self._ask(places, extent)
        for grid, answer in answers:
            put = grid.to_scan(answer)
            if put is None:
                continue
            box, values = put
            if rim:
                line = np.clip((np.minimum(np.arange(self._size), np.arange(self._size)[::-1]) + 0.5) / rim, 0, 1)
                fade = (line[:, None, None] * line[None, :, None] * line[None, None, :]).astype(np.float32)
                faded = grid.to_scan(fade)
                if faded is not None:
                    values = faded[1] * values + (1 - faded[1]) * self.logits[box]
            self.logits[box] = values
        if self._value is None:
            from napari_radcnn.interactive.engines.few_clicks.channels import value_at

            grid = answers[0][0]
            at = (np.array(self._clicks[0].index) - np.array(grid.first)) / np.array(grid.steps)
            self._value = value_at(grid.sample(self._image), at)

    def _drop_far_pieces(self) -> None:
        """Keep the pieces that hold a positive click."""
        from scipy import ndimage

        pieces, _ = ndimage.label(self.mask)
        kept = {int(pieces[click.index]) for click in self._clicks if click.positive} - {0}
        self.logits[(pieces > 0) & ~np.isin(pieces, list(kept))] = -2.0

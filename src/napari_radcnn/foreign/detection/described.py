"""How a foreign network that finds boxes is run: what it is shown, and what its outputs mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_radcnn.foreign.processing.steps import Orient, Space, Step
from napari_radcnn.geometry import Shape
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.spec.patches import Sampling

#: Corners of a box: the low end along each axis, then the high end.
Corners = tuple[float, ...]


@dataclass(frozen=True)
class DetectorOptions(CheckedOptions):
    """Settings of a foreign detector."""

    threshold: float = option(
        0.0,
        title="Minimum score",
        help="Findings below this score are left out; below the score that the model's own files state, it has "
        "no effect",
        low=0.0,
        high=0.99,
        step=0.05,
    )


@dataclass(frozen=True)
class Anchors:
    """Boxes around each place of a network's maps, of which it says what is in them and how they are moved.

    Attributes
    ----------
    cells : tuple of tuple of Corners
        For each level, the finest first, the corners of each anchor around its place, in voxels of the network.
    is_middle : bool
        Whether the first place lies half a step into the picture (MONAI); else on its edge (torchvision).
    """

    cells: tuple[tuple[Corners, ...], ...]
    is_middle: bool = True

    @property
    def count(self) -> int:
        """How many there are at each place."""
        return len(self.cells[0])


@dataclass(frozen=True)
class Boxes:
    """What the outputs of a detector mean.

    Attributes
    ----------
    names : tuple of str
        What it finds.
    form : {"anchor-maps", "proposals", "boxes"}
        Whether it answers with maps of logits and then of deltas, one of each a level (RetinaNet); with regions, the
        logits of their classes, the background first, and deltas for each class (Faster R-CNN); or with boxes, their
        scores and, where there is a third output, the numbers of their classes.
    anchors : Anchors or None
        Of maps.
    weights : tuple of float
        By which deltas are divided; one for each coordinate.
    activation : {"sigmoid", "none", "softmax"}
        What makes scores of its numbers.
    least_score : float
        Boxes that do not score higher are none.
    overlap : float
        Of two boxes of a class that share more than this (intersection over union) the better one is kept.
    most, most_per_level : int
        How many are kept in the end, and of each level before boxes are suppressed.
    is_center_size : bool
        Whether boxes are given as center and size; else as low and high corner.
    is_reversed : bool
        Whether coordinates come with the last axis first: x, y, z.
    is_fraction : bool
        Whether they are 0..1 from edge to edge; else voxels.
    starts_at : {"edge", "center"}
        Of the first voxel: where 0 is.
    first_label : int
        The number of the first class.
    """

    names: tuple[str, ...]
    form: Literal["anchor-maps", "proposals", "boxes"]
    anchors: Anchors | None = None
    weights: tuple[float, ...] = ()
    activation: Literal["sigmoid", "none", "softmax"] = "sigmoid"
    least_score: float = 0.05
    overlap: float = 0.5
    most: int = 300
    most_per_level: int = 1000
    is_center_size: bool = False
    is_reversed: bool = False
    is_fraction: bool = False
    starts_at: Literal["edge", "center"] = "edge"
    first_label: int = 0


@dataclass(frozen=True)
class Detecting:
    """How a detector is run on a scan.

    Attributes
    ----------
    scans, channels : int
        How many it takes, and channels of its input.
    steps : tuple
        What is done to the scans, in order.
    sampling : Sampling or None
        How windows are taken; None where it is shown the whole scan.
    boxes : Boxes
        What its outputs mean.
    divisible : tuple of int
        What the sides of its input are multiples of, with a leading 1 for a network of two dimensions: zeros are added
        at the end.
    is_whole_below : bool
        Whether a scan of fewer voxels than a window is shown whole.
    spatial_dims : int
        2 or 3.
    slices : {"one", "each"}
        Whether a network of two dimensions is shown every slice of several.
    stored_order : tuple of int
        Without an `Orient`: which axis of the scan is each of the network's axes.
    is_as_stored : bool
        As of `napari_radcnn.foreign.answers.described.Answering`.
    """

    scans: int
    channels: int
    steps: tuple[Step, ...]
    sampling: Sampling | None
    boxes: Boxes
    divisible: Shape = (1, 1, 1)
    is_whole_below: bool = False
    spatial_dims: int = 3
    slices: Literal["one", "each"] = "one"
    stored_order: Shape = (0, 1, 2)
    is_as_stored: bool = False

    @property
    def orientation(self) -> str | None:
        """Three letters for the network's axes; None where it takes a scan as it is stored."""
        return next((step.axes for step in self.steps if isinstance(step, Orient)), None)

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Spacing it works at, mm along its axes; None where it takes the scan's own."""
        return next((step.spacing for step in self.steps if isinstance(step, Space)), None)

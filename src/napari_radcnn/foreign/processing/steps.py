"""How a foreign network is run on a scan: steps there, patches, steps back, each a frozen dataclass.

The words follow MONAI's transforms, whose results they give; `napari_radcnn.inference` carries them out. Axes are those
of the network: with MONAI's ``(x, y, z)`` that is the reverse of a scan's ``(k, j, i)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_radcnn.geometry import Shape
from napari_radcnn.spec.options import CheckedOptions
from napari_radcnn.spec.patches import Sampling

Interpolation = Literal["nearest", "linear"]


@dataclass(frozen=True)
class NetworkOptions(CheckedOptions):
    """A foreign network has no settings of its own: how it is run stands in its files."""


# -- the way there ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Orient:
    """Turn the axes towards an orientation; three letters, one for each axis of the network, such as ``"RAS"``."""

    axes: str


@dataclass(frozen=True)
class Space:
    """Interpolate to a spacing; the new voxels lie where MONAI's `Spacing` puts them.

    Attributes
    ----------
    spacing : tuple of float
        mm along the network's axes; 0 keeps the scan's own.
    interpolation : str
        On the way there.
    """

    spacing: tuple[float, float, float]
    interpolation: Interpolation = "linear"


@dataclass(frozen=True)
class ScaleRange:
    """Map ``low..high`` to ``to_low..to_high``, linearly; `clip` cuts off what lies outside."""

    low: float
    high: float
    to_low: float | None = None
    to_high: float | None = None
    clip: bool = False


@dataclass(frozen=True)
class ScalePercentiles:
    """Map two percentiles (0..100) of the scan to ``to_low..to_high``."""

    low: float
    high: float
    to_low: float | None = None
    to_high: float | None = None
    clip: bool = False
    relative: bool = False
    channel_wise: bool = False


@dataclass(frozen=True)
class ClipPercentiles:
    """Cut off what lies outside two percentiles (0..100); None leaves that side open."""

    low: float | None
    high: float | None
    channel_wise: bool = False


@dataclass(frozen=True)
class ScaleBounds:
    """Map the least and greatest value of the scan to ``to_low..to_high``."""

    to_low: float = 0.0
    to_high: float = 1.0
    channel_wise: bool = False


@dataclass(frozen=True)
class Multiply:
    """Multiply by a factor."""

    factor: float


@dataclass(frozen=True)
class Threshold:
    """Keep values above (or below) a threshold and set the others to `fill`."""

    value: float
    above: bool = True
    fill: float = 0.0


@dataclass(frozen=True)
class Normalize:
    """Subtract the mean and divide by the standard deviation, of the scan or as given, one each or one a channel.

    Attributes
    ----------
    mean, std : tuple of float or None
        None takes the scan's.
    nonzero : bool
        Whether voxels that are 0 are left out, of the figures and of the change.
    channel_wise : bool
        Whether each channel has figures of its own.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    nonzero: bool = False
    channel_wise: bool = False


@dataclass(frozen=True)
class CropForeground:
    """Cut out the box of voxels above 0, in any of `channels` (all where None).

    Attributes
    ----------
    margin : tuple of int
        Voxels added on either side.
    divisible : tuple of int
        The box is widened to multiples of these.
    allow_smaller : bool
        Whether the margin ends at the border of the scan; else zeros are put there.
    """

    margin: Shape = (0, 0, 0)
    divisible: Shape = (1, 1, 1)
    allow_smaller: bool = False
    channels: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Pad:
    """Put zeros, or its border again, around the scan: at least `shape` voxels and a multiple of `divisible`."""

    shape: Shape = (0, 0, 0)
    divisible: Shape = (1, 1, 1)
    at_end: bool = False
    repeats_border: bool = False


#: ``"linear"`` and ``"area"`` as `torch.nn.functional.interpolate` has them (corners not aligned); ``"antialias"``
#: widens the linear weights where voxels become larger, as torchvision's `Resize` does.
ResizeKind = Literal["linear", "area", "antialias"]


@dataclass(frozen=True)
class Resize:
    """Interpolate to a number of voxels, whatever their size.

    Attributes
    ----------
    shape : tuple of int
        Voxels along the network's axes; 0 keeps those there are.
    kind : str
        How.
    shorter : int
        Instead of `shape`: how many voxels the shorter of the last two axes gets; the other keeps its proportion.
    """

    shape: Shape = (0, 0, 0)
    kind: ResizeKind = "linear"
    shorter: int = 0


@dataclass(frozen=True)
class Center:
    """Cut out the middle, or put zeros around it, to a number of voxels; 0 keeps those there are."""

    shape: Shape


@dataclass(frozen=True)
class Repeat:
    """Show one scan as this many equal channels."""

    times: int


Step = (
    Orient
    | Space
    | ScaleRange
    | ScalePercentiles
    | ClipPercentiles
    | ScaleBounds
    | Multiply
    | Threshold
    | Normalize
    | CropForeground
    | Pad
    | Resize
    | Center
    | Repeat
)


# -- the way back -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activate:
    """Turn logits into probabilities."""

    kind: Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class Invert:
    """Go back to the scan's own grid.

    Attributes
    ----------
    interpolation : str
        ``"as-there"`` undoes each change of the grid with the interpolation it was made with, as MONAI's `Invert` does
        with ``nearest_interp=False``.
    """

    interpolation: Interpolation | Literal["as-there"] = "linear"


@dataclass(frozen=True)
class Decide:
    """Turn probabilities into labels: the greatest, or each class that reaches a threshold."""

    kind: Literal["argmax", "threshold"]
    threshold: float = 0.5


@dataclass(frozen=True)
class KeepLargest:
    """Keep the largest connected part of each class (`independent`) or of all of them together.

    Attributes
    ----------
    labels : tuple of int or None
        Which classes; None for all but background.
    connectivity : int
        1 joins voxels by faces, 3 also by edges and corners.
    """

    labels: tuple[int, ...] | None = None
    independent: bool = True
    connectivity: int = 3
    count: int = 1


@dataclass(frozen=True)
class Paint:
    """Which of overlapping classes a voxel gets: channel and label, the strongest first."""

    order: tuple[tuple[int, int], ...]


BackStep = Activate | Invert | Decide | KeepLargest | Paint


@dataclass(frozen=True)
class ImageValues:
    """What the values of a made image are, where they are not the scan's own.

    Attributes
    ----------
    unit : str
        ``"HU"``, ``"1"``, ...
    modality : str
        DICOM's code of what it looks like; empty for the scan's own.
    slope, intercept : float
        From the network's number to the value.
    limits : (low, high) or None
        Between which values can lie.
    """

    unit: str
    modality: str = ""
    slope: float = 1.0
    intercept: float = 0.0
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Processing:
    """How a network is run.

    Attributes
    ----------
    channels, classes : int
        Of the network's input and output.
    spatial_dims : int
        2 for a network that sees slices, those along the first of its axes; else 3.
    steps : tuple
        What is done to the scan, in order.
    sampling : Sampling or None
        How patches are taken; None shows the network the whole scan at once.
    back : tuple
        What is done to the network's answer, in order. For an image the values are only brought back.
    class_labels : tuple of int
        The label of each class in the result; 0 for background.
    output : str
        ``"labels"`` or ``"image"``.
    keep_scale : bool
        For images: whether the intensity steps are undone, so that the result has the scan's units.
    stored_order : tuple of int
        Without an `Orient`: which axis of the scan, 0 to 2 for k, j, i, is each of the network's axes.
    made : ImageValues or None
        For an image that is not the scan restored but another made of it: what its values are.
    """

    channels: int
    classes: int
    steps: tuple[Step, ...]
    sampling: Sampling | None
    back: tuple[BackStep, ...]
    class_labels: tuple[int, ...] = ()
    spatial_dims: int = 3
    output: Literal["labels", "image"] = "labels"
    keep_scale: bool = True
    stored_order: Shape = (2, 1, 0)
    made: ImageValues | None = None

    @property
    def orientation(self) -> str | None:
        """Three letters for the network's axes; None where it takes a scan as it is stored."""
        return next((step.axes for step in self.steps if isinstance(step, Orient)), None)

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Spacing it works at, mm along its axes; None where it takes the scan's own."""
        return next((step.spacing for step in self.steps if isinstance(step, Space)), None)

"""The part of a ``model.json`` for a network that finds boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.foreign.detection.anchors import cells_of_shapes, cells_of_sizes
from napari_radcnn.foreign.detection.described import Anchors, Boxes, Detecting
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.foreign.sidecar.answers import read_copies, read_fit
from napari_radcnn.foreign.sidecar.input import (
    read_intensity,
    read_orientation,
    read_patch,
    read_sampling,
    read_spacing,
)
from napari_radcnn.foreign.sidecar.maps import read_names
from napari_radcnn.networks.outputs import OutputChoice
from napari_radcnn.spec.patches import Sampling

#: What the outputs of each form are called in the file, in the order that they are asked for; the last may be left out.
_OUTPUTS = {
    "anchor-maps": ("logits", "deltas"),
    "proposals": ("proposals", "logits", "deltas"),
    "boxes": ("boxes", "scores", "labels"),
}
_MOST = 100_000


def read_detecting(a: Arguments, scans: int) -> tuple[Detecting, tuple[OutputChoice, ...]]:
    """Return how a detector is run, and which outputs are its answer; none for all of them."""
    dims = a.only("spatial_dims", [2, 3], 3)
    turn = read_orientation(a)
    copies = read_copies(a, scans)
    spacing = read_spacing(a)
    crop = (steps.CropForeground(),) if a.flag("crop_foreground") else ()
    is_fitted = a.has("fit")
    if is_fitted:
        shape = read_patch(a, dims)
        sampling = Sampling(shape, 0.0, "monai", "constant")
        intensity = read_intensity(a, (*crop, *read_fit(a, shape, dims)))
    else:
        sampling = read_sampling(a, dims, blend="constant")
        intensity = (*read_intensity(a), *crop)
    if sampling.mirror_axes:
        raise a.wrong("boxes of mirrored patches are not joined: omit 'mirror_axes'", "mirror_axes")
    there = (*turn, *spacing, *((steps.Repeat(copies),) if copies > 1 else ()), *intensity)
    slices = a.only("slices", ["one", "each"], "one")
    if slices != "one" and dims == 3:
        raise a.wrong("'slices' is for networks of two dimensions", "slices")
    is_as_stored = a.only("monochrome1", ["bright", "stored"], "bright") == "stored"
    form = a.only("form", list(_OUTPUTS), "boxes")
    outputs = _outputs(a, form)
    boxes = _boxes(a, form, dims)
    how = Detecting(
        scans,
        scans * copies,
        there,
        sampling,
        boxes,
        spatial_dims=dims,
        slices=slices,
        is_as_stored=is_as_stored,
    )
    return how, outputs


def _boxes(a: Arguments, form: Any, dims: int) -> Boxes:
    names = read_names(a)
    if not names or len(set(names)) != len(names):
        raise a.wrong("'classes' must name each class to be detected, none twice", "classes")
    usual = {"anchor-maps": "sigmoid", "proposals": "softmax", "boxes": "none"}[form]
    activation = a.only("activation", ["sigmoid", "none", "softmax"], usual)
    if activation == "softmax" and form != "proposals":
        raise a.wrong('softmax is for "form": "proposals", whose first class is the background', "activation")
    least, overlap = a.number("least_score", 0.05), a.number("suppress_above", 0.5)
    for name, value in (("least_score", least), ("suppress_above", overlap)):
        if not 0 <= value <= 1:
            raise a.wrong(f"'{name}' must be between 0 and 1", name)
    most = a.counts("most", 300, length=1)[0]
    per_level = a.counts("most_per_level", 1000, length=1)[0] if form == "anchor-maps" else 1000
    for name, value in (("most", most), ("most_per_level", per_level)):
        if not 1 <= value <= _MOST:
            raise a.wrong(f"'{name}' must be a number from 1 to {_MOST}", name)
    anchors = _anchors(a, dims) if form == "anchor-maps" else None
    weights = () if form == "boxes" else _weights(a, dims)
    is_listed = form != "anchor-maps"
    return Boxes(
        tuple(names),
        form,
        anchors,
        weights,
        activation,
        least,
        overlap,
        most,
        per_level,
        is_center_size=is_listed and a.only("box", ["corners", "center-size"], "corners") == "center-size",
        is_reversed=is_listed and a.only("order", ["axes", "reversed"], "axes") == "reversed",
        is_fraction=is_listed and a.only("coordinates", ["voxel", "fraction"], "voxel") == "fraction",
        starts_at=a.only("starts_at", ["edge", "center"], "edge"),
        first_label=a.counts("first_label", 0, length=1)[0] if form == "boxes" else 0,
    )


def _weights(a: Arguments, dims: int) -> tuple[float, ...]:
    weights = a.numbers("delta_weights")
    if weights is None:
        return ()
    if len(weights) != 2 * dims or min(weights) <= 0:
        raise a.wrong(f"'delta_weights' must be {2 * dims} numbers above 0: of centers, then of sides", "delta_weights")
    return weights


def _anchors(a: Arguments, dims: int) -> Anchors:
    given = a.take("anchors")
    if not isinstance(given, Mapping):
        raise a.wrong('\'anchors\' must be a mapping, such as {"shapes": [[6, 8, 4]], "scales": [1, 2, 4]}', "anchors")
    inner = a.inside(given, "anchors", what="'anchors'")
    is_middle = inner.only("first_at", ["middle", "edge"], "middle") == "middle"
    if "shapes" in given:
        shapes, scales = inner.take("shapes"), inner.numbers("scales")
        _table(inner, "shapes", shapes, dims)
        if not scales or min(scales) <= 0:
            raise inner.wrong("'scales' must be a number above 0 for each level of the network", "scales")
        cells = cells_of_shapes(shapes, scales)
    else:
        sizes, ratios = inner.take("sizes"), inner.take("ratios")
        _table(inner, "sizes", sizes, None)
        if len({len(level) for level in sizes}) != 1:
            raise inner.wrong("'sizes' must be as many in each level", "sizes")
        ratios = [[one] if dims == 2 and not isinstance(one, list) else one for one in ratios]
        _table(inner, "ratios", ratios, dims - 1)
        cells = cells_of_sizes(sizes, ratios)
    inner.done()
    if any(
        low >= high for level in cells for cell in level for low, high in zip(cell[:dims], cell[dims:], strict=True)
    ):
        raise inner.wrong("an anchor has no extent: its sides must be more than 1 voxel")
    return Anchors(cells, is_middle)


def _table(a: Arguments, name: str, rows: Any, length: int | None) -> None:
    is_table = isinstance(rows, list) and rows and all(isinstance(row, list) and row for row in rows)
    if (
        not is_table
        or not all(type(value) in (int, float) and 0 < value < 1e5 for row in rows for value in row)
        or any(length is not None and len(row) != length for row in rows)
    ):
        told = "of numbers" if length is None else f"of {length} number{'s' * (length > 1)}"
        raise a.wrong(f"'{name}' must be a list of lists {told} above 0", name)


def _outputs(a: Arguments, form: str) -> tuple[OutputChoice, ...]:
    """Return the outputs in the order that they are asked for; empty for all of them as they come."""
    given = a.take("outputs", None)
    names = _OUTPUTS[form]
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        example = ", ".join(f'"{name}": ...' for name in names)
        raise a.wrong(f"'outputs' must be a mapping, such as {{{example}}}", "outputs")
    inner = a.inside(given, "outputs", what="'outputs'")
    found: list[OutputChoice] = []
    for name in names:
        is_optional = name == "labels"
        value = inner.take(name, None) if is_optional else inner.take(name)
        if value is None and is_optional:
            continue
        values = value if isinstance(value, list) and form == "anchor-maps" else [value]
        for one in values:
            if not ((isinstance(one, str) and one) or (type(one) is int and one >= 0)):
                raise inner.wrong(f"'{name}' must be the name of an output or its number, counted from 0", name)
        found += values
    inner.done()
    return tuple(found)

"""The view in 3-D: presets, clipping by the planes of the cross-hair, segments as surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels, Surface
from qtpy.QtGui import QImage

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data, to_display
from napari_radcnn.gui.layers.look import Look
from napari_radcnn.gui.reading.cuts.solids import (
    MIP,
    clipping_planes,
    presets_for,
    smoothed,
    surface_value,
    surfaces,
)
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head, rotation
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata
from screens import pump
from turned_planes import Cutting

pytestmark = pytest.mark.gui
GRID = Geometry.from_parts((30, 48, 40), (5.0, 4.0, 4.5), (-88.0, -94.0, -72.0))


def ball(spacing, radius=9.0, shape=(24, 40, 44)):
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) * spacing
    return (((place - place.reshape(-1, 3).mean(0)) ** 2).sum(-1) <= radius**2).astype(np.uint8)


def test_surfaces_enclose_their_segments():
    spacing = (1.5, 0.8, 0.7)
    labels = ball(spacing)
    labels[:3, :4, :5] = 7  # at the edge of the grid, closed there, too
    colors = {1: (1.0, 0.5, 0.0, 1.0), 7: (0.0, 0.0, 1.0, 1.0)}
    vertices, faces, shades = surfaces(labels, spacing, lambda values: [colors[int(value)] for value in values])
    corners = (vertices * spacing)[faces]
    volume = abs(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)
    assert volume == pytest.approx((labels > 0).sum() * np.prod(spacing), rel=0.05)
    is_box = shades[:, 2] > 0
    assert vertices[is_box].min() < 0
    assert shades[is_box][:, :2].max() == 0  # each in its own color, more or less lit
    assert shades[~is_box][:, 1] == pytest.approx(shades[~is_box][:, 0] / 2)
    middle = vertices[~is_box].mean(0)
    outward = (vertices[~is_box] - middle) * spacing
    outward /= np.linalg.norm(outward, axis=1)[:, None]
    front, back = outward[:, 1] < -0.9, outward[:, 1] > 0.9
    assert shades[~is_box][front, 0].min() > shades[~is_box][back, 0].max()  # light comes from the front
    hidden = surfaces(labels, spacing, lambda values: [(1, 1, 1, float(value == 7)) for value in values])
    assert len(hidden[0]) == is_box.sum()


def test_no_segments_and_thin_ones():
    assert surfaces(np.zeros((3, 4, 5), np.uint8), (1, 1, 1), lambda values: np.ones((len(values), 4))) is None
    labels = np.zeros((3, 4, 5), np.uint16)
    labels[1, 2, 3] = 300
    vertices, faces, _ = surfaces(labels, (1, 1, 1), lambda values: np.ones((len(values), 4)))
    assert vertices.mean(0) == pytest.approx((1, 2, 3), abs=0.1)
    assert len(faces) >= 8


def test_planes_clip_what_they_say():
    center = np.array([3.0, -5.0, 40.0])
    upright = {"Axial": np.array([0.0, 0, 1]), "Coronal": np.array([0.0, 1, 0]), "Sagittal": np.array([-1.0, 0, 0])}
    kept = {"Axial": (0, 0, -9), "Coronal": (0, 9, 0), "Sagittal": (-9, 0, 0)}  # below, behind, on the right
    for name, offset in kept.items():
        for normals in (upright, {plane: -normal for plane, normal in upright.items()}):
            for is_other_side in (False, True):
                (found,) = clipping_planes(frozenset({name}), center, normals, is_other_side=is_other_side)
                side = (to_display(center + offset) - found["position"]) @ found["normal"]
                assert (side < 0) == is_other_side
    turn = rotation(10, 20, -30)
    turned = {name: turn @ normal for name, normal in upright.items()}
    found = clipping_planes(frozenset(upright), center, turned, is_other_side=False)
    for plane, name in zip(found, sorted(upright), strict=True):
        assert abs(np.dot(plane["normal"], to_display(turned[name]))) == pytest.approx(1)
    assert clipping_planes(frozenset(), center, turned, is_other_side=True) == []


def test_the_value_of_a_surface():
    scan = head()
    assert 30 < surface_value(scan.array) < 300  # above the noise of air, 12, below the skin, 400
    assert surface_value(np.full((3, 4, 5), 7)) == 7
    assert surface_value(np.full((3, 4, 5), np.nan)) == 0
    holes = np.where(np.arange(60).reshape(3, 4, 5) % 7 == 0, np.nan, 100.0)
    assert np.isfinite(smoothed(holes)).all()


@pytest.mark.parametrize("kind", ["CT", "MR", "PT", ""])
def test_presets_are_those_of_the_kind_of_scan(kind):
    presets = presets_for(Look(kind=kind))
    assert presets[0] is MIP
    assert {preset.name.split()[0] for preset in presets[1:]} == ({kind} if kind in ("CT", "MR") else set())
    values = head().array
    for preset in presets:
        settings = preset.settings(values, (0.0, 500.0))
        low, high = settings["contrast_limits"]
        assert low < high
        if preset.rendering == "iso":
            assert low <= settings["iso_threshold"] <= high


def brightness(cutting):
    """Return the picture of the view in 3-D, without text and letters."""
    pump(30)
    image = cutting.room.layouts.solid.widget.canvas.native.grabFramebuffer()
    image = image.convertToFormat(QImage.Format.Format_RGBA8888)
    data = image.constBits()
    size = image.sizeInBytes()
    if hasattr(data, "setsize"):  # of PyQt
        data.setsize(size)
    pixels = np.frombuffer(bytes(data), np.uint8)[:size].reshape(image.height(), -1, 4)[:, : image.width(), :3]
    return pixels.astype(float).max(-1)


def choose(cutting, *texts):
    for text in texts:
        next(act for entry, _, _, act in cutting.room.solid_entries() if entry == text)()
        cutting.qtbot.waitUntil(lambda: cutting.room.layouts.solid.is_ready, timeout=30_000)
    pump(30)


def marked(cutting):
    return [text for text, _, is_on, _ in cutting.room.solid_entries() if is_on]


def test_a_head_is_shown_clipped_and_with_surfaces(make_napari_viewer, qtbot):
    scan = head(GRID)
    cutting = Cutting(make_napari_viewer, qtbot, scan, layout="one")
    center = to_display((-2.0, 0.0, 10.0)).tolist()
    cutting.viewer.dims.set_point([0, 1, 2], center)
    assert marked(cutting) == ["MIP"]
    choose(cutting, "MR head")
    assert cutting.room.layouts.name == "four"
    solid = cutting.room.layouts.solid
    (shown,) = solid.model.layers
    assert (shown.rendering, marked(cutting)) == ("iso", ["MR head"])
    limits = list(shown.contrast_limits)
    cutting.layers[0].contrast_limits = (100, 200)  # of slices: it means nothing here
    cutting.qtbot.waitUntil(lambda: solid.is_ready)
    assert list(shown.contrast_limits) == limits
    whole = brightness(cutting) > 20
    columns = np.flatnonzero(whole.any(0))
    choose(cutting, "Clip to the left of the sagittal plane")
    left_gone = brightness(cutting) > 20
    middle = columns.mean()  # the patient's left is on the right
    assert left_gone[:, : int(middle) - 12].sum() > 0.9 * whole[:, : int(middle) - 12].sum()
    assert left_gone[:, int(middle) + 12 :].sum() < 0.05 * whole[:, int(middle) + 12 :].sum()
    # it follows the cross-hair, also where it is turned
    cutting.viewer.dims.set_point(2, 30.0)
    assert (brightness(cutting) > 20).sum() > left_gone.sum() * 1.2
    cutting.desk.turn(cutting.viewer, 40)
    plane = shown.experimental_clipping_planes[0]
    assert abs(np.dot(plane.normal, to_display(cutting.cuts.frames["Sagittal"].normal))) == pytest.approx(1)
    cutting.room.straighten()
    cutting.viewer.dims.set_point([0, 1, 2], center)
    choose(cutting, "Clip the other sides")
    right_gone = brightness(cutting) > 20
    assert right_gone[:, : int(middle) - 12].sum() < 0.05 * whole[:, : int(middle) - 12].sum()
    choose(cutting, "Clip to the left of the sagittal plane")
    assert len(shown.experimental_clipping_planes) == 0
    assert (brightness(cutting) > 20).sum() == pytest.approx(whole.sum(), rel=0.02)
    # segments
    mass = add_to_viewer(
        cutting.viewer,
        layer_data(LabelMap((scan.array > 800).astype(np.uint8), GRID, {1: Label("mass", (0.0, 1.0, 0.0))})),
    )
    cutting.qtbot.waitUntil(lambda: solid.is_ready and len(solid.model.layers) == 2)
    assert isinstance(solid.model.layers[1], Labels)
    choose(cutting, "Segments as surfaces")
    surface = solid.model.layers[1]
    assert isinstance(surface, Surface)
    inside = np.argwhere(np.asarray(mass.data)).mean(0) * mass.scale + mass.translate
    found = surface.data[0].mean(0) * surface.scale + surface.translate
    assert found == pytest.approx(inside, abs=2)
    assert surface.vertex_colors[:, 1].max() > 0.5
    assert surface.vertex_colors[:, [0, 2]].max() == 0
    n_before = len(surface.data[0])
    mass.data_setitem(np.nonzero(np.asarray(mass.data)), 0)  # all of it is erased: nothing is left to show
    cutting.qtbot.waitUntil(lambda: solid.is_ready and not surface.visible, timeout=30_000)
    part = tuple(axis.ravel() for axis in np.mgrid[5:15, 5:15, 5:25])
    mass.data_setitem(part, 1)
    cutting.qtbot.waitUntil(lambda: solid.is_ready and surface.visible, timeout=30_000)
    assert len(surface.data[0]) != n_before
    mass.visible = False
    cutting.qtbot.waitUntil(lambda: solid.is_ready and len(solid.model.layers) == 1, timeout=30_000)
    # the choice stays for the next time, and for another kind of scan its own first one is taken
    cutting.room.choose_layout("one")
    cutting.show(Volume(scan.array, GRID, VolumeMetadata(name="CT", modality="CT", units="HU")))
    cutting.room.choose_layout("four")
    cutting.qtbot.waitUntil(lambda: solid.is_ready and len(solid.model.layers) == 1, timeout=30_000)
    assert solid.model.layers[0].rendering == "mip"
    assert marked(cutting) == ["MIP", "Clip the other sides", "Segments as surfaces"]
    choose(cutting, "CT bone")
    assert solid.model.layers[0].iso_threshold == 180

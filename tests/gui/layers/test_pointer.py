"""Mouse positions, from a napari that minds the way the axes run and from one that does not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_radcnn.gui.layers.pointer import world_position

#: Of a canvas of 600 x 400 pixels, its camera and the slice that is shown: axes 1 and 3 of four, the last one faster.
SIZE, CENTER, ZOOM, DISPLAYED = np.array([400, 600]), np.array([12.0, -30.0]), 4.0, (1, 3)
SLICE = np.array([2.0, 99.0, 7.5, 99.0])


def canvas_to_world(pixel, signs=(1, 1)):
    """The closed form: a pixel (down, right) from the middle of the canvas."""
    position = SLICE.copy()
    position[list(DISPLAYED)] = CENTER + (np.array(pixel) - SIZE / 2) / ZOOM * np.array(signs)
    return position


@pytest.mark.parametrize("vertical", ["down", "up"])
@pytest.mark.parametrize("horizontal", ["right", "left"])
@pytest.mark.parametrize("minds", [True, False, None])
def test_the_position_is_the_one_under_the_mouse(vertical, horizontal, minds):
    signs = (1 if vertical == "down" else -1, 1 if horizontal == "right" else -1)
    viewer = SimpleNamespace(
        dims=SimpleNamespace(ndisplay=2, displayed=DISPLAYED),
        scene=SimpleNamespace(
            camera=SimpleNamespace(center=(0.0, *CENTER), orientation=("towards", vertical, horizontal))
        ),
    )
    if minds is not None:  # napari 0.9 has no such method, and minds
        viewer.canvas_to_world = lambda pixel: canvas_to_world(pixel, signs if minds else (1, 1))
    pixel = (37, 555)
    event = SimpleNamespace(position=tuple(canvas_to_world(pixel, (1, 1) if minds is False else signs)))
    assert np.allclose(world_position(viewer, event), canvas_to_world(pixel, signs))


def test_in_3d_it_is_left_as_it_is():
    viewer = SimpleNamespace(dims=SimpleNamespace(ndisplay=3), canvas_to_world=canvas_to_world)
    assert np.array_equal(world_position(viewer, SimpleNamespace(position=(1.0, 2.0, 3.5))), [1.0, 2.0, 3.5])

"""The voxels of prompts: closed forms on oblique, anisotropic and sheared grids."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from grids import sheared
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import is_inside, rasterize
from napari_radcnn.phantom import oblique_geometry

SHAPE = (23, 61, 47)


def oblique() -> Geometry:
    return oblique_geometry(SHAPE)


def tilted() -> Geometry:
    return Geometry(SHAPE, sheared().affine)


def axial() -> Geometry:
    return Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))


def left_handed() -> Geometry:
    return Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25), np.eye(3)[:, ::-1] * [-1, 1, 1])


GRIDS = pytest.mark.parametrize("grid", [axial, left_handed, oblique, tilted])


def full(prompt: Prompt, geometry: Geometry) -> np.ndarray:
    """Return a prompt's voxels on the whole grid, and check that the box is the smallest."""
    update = rasterize(prompt, geometry)
    mask = np.zeros(geometry.shape, bool)
    if update is not None:
        mask[update.box] = update.mask
        for axis in range(3):
            ends = np.moveaxis(update.mask, axis, 0)
            assert ends[0].any()
            assert ends[-1].any()
    return mask


def centers(geometry: Geometry) -> np.ndarray:
    return geometry.to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))


@GRIDS
def test_a_point_covers_the_voxel_it_lies_in(grid) -> None:
    geometry = grid()
    for index in ((7, 31, 12), (7.4, 30.6, 12.45), (-0.49, 60.49, 46.49)):
        mask = full(Prompt.point(geometry.to_world(index)), geometry)
        assert np.argwhere(mask).tolist() == [[round(n) for n in index]]


@GRIDS
def test_a_point_on_the_edge_of_the_volume_is_inside_and_one_beyond_is_not(grid) -> None:
    geometry = grid()
    assert np.argwhere(full(Prompt.point(geometry.to_world((-0.5, 60.5, 46.5))), geometry)).tolist() == [[0, 60, 46]]
    for beyond in ((-0.51, 3, 3), (3, 60.51, 3), (3, 3, 46.51), (23, 3, 3)):
        prompt = Prompt.point(geometry.to_world(beyond))
        assert rasterize(prompt, geometry) is None
        assert not is_inside(prompt, geometry)


@GRIDS
def test_a_scribble_has_no_gaps_and_is_one_voxel_wide(grid) -> None:
    geometry = grid()
    drawn = np.array([(2, 3, 4), (19.3, 8.2, 40.1), (20, 55, 41), (3, 50.5, 5)])
    mask = full(Prompt.scribble(geometry.to_world(drawn)), geometry)
    _, n_pieces = ndimage.label(mask, np.ones((3, 3, 3)))
    assert n_pieces == 1
    for corner in drawn:
        assert mask[tuple(np.floor(corner + 0.5).astype(int))]
    distance = np.full(geometry.shape, np.inf)  # in voxels, to the line
    index = np.moveaxis(np.indices(geometry.shape), 0, -1)
    for start, end in pairwise(drawn):
        part = np.clip((index - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)[..., None]
        distance = np.minimum(distance, np.abs(index - start - part * (end - start)).max(-1))
    assert distance[mask].max() <= 1.0
    assert mask.sum() <= sum(2 * np.abs(b - a).max() + 2 for a, b in pairwise(drawn))


@GRIDS
def test_a_thick_scribble_covers_what_lies_within_its_radius(grid) -> None:
    geometry = grid()
    drawn = geometry.to_world([(4, 10, 9), (15, 20, 33), (12, 50, 30)])
    radius = 4.3
    mask = full(Prompt.scribble(drawn, radius=radius), geometry)
    position = centers(geometry)
    distance = np.full(geometry.shape, np.inf)
    for start, end in pairwise(drawn):
        part = np.clip((position - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)[..., None]
        distance = np.minimum(distance, np.linalg.norm(position - start - part * (end - start), axis=-1))
    line = full(Prompt.scribble(drawn), geometry)
    assert (mask == ((distance <= radius) | line)).all()


@GRIDS
def test_a_thick_scribble_of_one_point_is_a_ball(grid) -> None:
    geometry = grid()
    center = geometry.to_world((11.2, 29.7, 22.4))
    mask = full(Prompt.scribble([center], radius=6.0), geometry)
    assert (mask == (np.linalg.norm(centers(geometry) - center, axis=-1) <= 6.0)).all()
    assert mask.sum() * geometry.voxel_volume == pytest.approx(4 / 3 * np.pi * 6.0**3, rel=0.03)


def test_a_thin_radius_still_leaves_no_gaps() -> None:
    geometry = oblique()
    drawn = geometry.to_world([(2, 3, 4), (20, 55, 41)])
    thin, line = (full(Prompt.scribble(drawn, radius=radius), geometry) for radius in (0.05, 0.0))
    assert (thin[line]).all()
    assert ndimage.label(thin, np.ones((3, 3, 3)))[1] == 1


@GRIDS
@pytest.mark.parametrize(
    ("corner", "a", "b"),
    [
        ((5, 10, 8), (5, 40, 8), (5, 10, 35)),  # in a slice
        ((3, 10, 8), (20, 10, 8), (3, 10, 35)),  # across the slices
        ((3, 10, 8), (18, 14, 9), (5, 45, 20)),  # in no plane of the grid
        ((11, 30, 4), (14, 55, 20), (8, 8, 25)),
    ],
)
def test_a_flat_box_is_one_voxel_thick_and_covers_its_area(grid, corner, a, b) -> None:
    geometry = grid()
    corner, a, b = (np.array(point, float) for point in (corner, a, b))
    mask = full(Prompt.box(*geometry.to_world(np.array([corner, a, b]))), geometry)
    normal = np.cross(a - corner, b - corner)
    axis = int(np.argmax(np.abs(normal)))
    columns = mask.sum(axis=axis)
    assert columns.max() == 1
    flat = np.array([np.delete(point, axis) for point in (corner, a, a + b - corner, b)])
    area = abs(normal[axis])  # of the parallelogram as the columns see it, in voxels
    around = sum(np.linalg.norm(q - p) for p, q in pairwise([*flat, flat[0]]))
    assert area - 0.5 * around <= columns.sum() <= area + 0.5 * around * np.sqrt(2) + np.pi
    for voxel in np.argwhere(mask):  # half a voxel from the plane, and inside the outline or half a voxel from it
        assert abs((voxel - corner) @ normal) <= 0.5 * abs(normal[axis]) + 1e-9
        s, t = np.linalg.lstsq(np.array([a - corner, b - corner]).T, voxel - corner, rcond=None)[0]
        inside = corner + np.clip(s, 0, 1) * (a - corner) + np.clip(t, 0, 1) * (b - corner)
        assert np.abs(voxel - inside).max() <= 1.0


@GRIDS
def test_a_flat_box_in_a_slice_is_the_rectangle_with_both_ends(grid) -> None:
    geometry = grid()
    mask = full(Prompt.box(*geometry.to_world([(5, 10, 8), (5, 40, 8), (5, 10, 35)])), geometry)
    expected = np.zeros(SHAPE, bool)
    expected[5, 10:41, 8:36] = True
    assert (mask == expected).all()


@GRIDS
def test_a_lasso_covers_a_disk_in_an_oblique_plane(grid) -> None:
    geometry = grid()
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    first, second = np.array([0.25, 0.9, 0.2]), np.array([-0.15, 0.1, 0.95])
    outline = np.array([11, 30, 23]) + 16 * (np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second)
    mask = full(Prompt.lasso(geometry.to_world(outline)), geometry)
    assert mask.sum(axis=0).max() == 1
    area = np.pi * 16**2 * abs(np.cross(first, second)[0])
    assert mask.sum() == pytest.approx(area, abs=0.5 * 2 * np.pi * 16 * 1.1)
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
    holes = ndimage.binary_fill_holes(mask.any(axis=0)) & ~mask.any(axis=0)
    assert not holes.any()


def test_what_a_lasso_goes_round_twice_is_inside() -> None:
    geometry = axial()
    angles = np.linspace(0, 3.2 * np.pi, 60)  # the hand went further than where it began
    outline = np.stack((np.full(60, 9.0), 30 + 12 * np.cos(angles), 22 + 12 * np.sin(angles)), axis=1)
    mask = full(Prompt.lasso(geometry.to_world(outline)), geometry)[9]
    assert mask[30, 22]
    assert mask[25, 27]
    assert mask.sum() == pytest.approx(np.pi * 144, abs=4 * 12)  # half a voxel along every axis round the disk


def test_a_concave_lasso_keeps_its_bay_open() -> None:
    geometry = axial()
    outline = [(4, 10, 5), (4, 50, 5), (4, 50, 40), (4, 30, 12), (4, 10, 40)]
    mask = full(Prompt.lasso(geometry.to_world(outline)), geometry)[4]
    assert not mask[30, 30]
    assert mask[15, 20]
    assert mask[45, 20]
    assert mask[30, 8]


@GRIDS
def test_a_box_with_depth_holds_what_lies_in_it(grid) -> None:
    geometry = grid()
    corner = np.array([4.3, 12.1, 9.2])
    edges = np.array([(11.0, 3.0, 2.0), (-2.0, 30.0, 4.0), (1.0, -5.0, 24.0)])
    mask = full(Prompt.box(*geometry.to_world(np.array([corner, *(corner + edges)]))), geometry)
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    parts = np.linalg.solve(edges.T, (index - corner).reshape(-1, 3).T).T.reshape(*SHAPE, 3)
    assert mask[((parts >= 0) & (parts <= 1)).all(-1)].all()
    nearest = corner + np.clip(parts, 0, 1) @ edges
    assert np.abs(index - nearest)[mask].max() <= 1.0
    sides = [np.abs(np.cross(edges[n], edges[(n + 1) % 3])).max() for n in range(3)]
    assert (
        abs(mask.sum() - abs(np.linalg.det(edges))) <= sum(sides) + 2 * np.abs(edges).max(1).sum()
    )  # half a voxel round it


@GRIDS
def test_a_straight_box_with_depth_is_its_voxels_with_both_ends(grid) -> None:
    geometry = grid()
    corners = geometry.to_world([(3, 10, 8), (9, 10, 8), (3, 41, 8), (3, 10, 35)])
    expected = np.zeros(SHAPE, bool)
    expected[3:10, 10:42, 8:36] = True
    assert (full(Prompt.box(*corners), geometry) == expected).all()


def test_a_box_without_depth_or_width_is_its_face_or_its_line() -> None:
    geometry = oblique()
    flat = full(Prompt.box(*geometry.to_world([(3, 10, 8), (3, 10, 8), (3, 41, 8), (3, 10, 35)])), geometry)
    assert flat.sum() == 32 * 28
    assert flat[3, 10:42, 8:36].all()
    line = full(Prompt.box(*geometry.to_world([(3, 10, 8), (3, 41, 8), (3, 10, 8)])), geometry)
    assert line.sum() == 32
    assert line[3, 10:42, 8].all()
    point = full(Prompt.lasso(geometry.to_world([(3, 10, 8)] * 3)), geometry)
    assert np.argwhere(point).tolist() == [[3, 10, 8]]


@pytest.mark.parametrize("kind", ["scribble", "thick", "lasso", "flat box", "box"])
@GRIDS
def test_what_leaves_the_volume_is_clipped_and_far_ends_cost_nothing(grid, kind) -> None:
    geometry = grid()
    far = 1e7  # voxels
    points = {
        "scribble": [(5, 10, 10), (5, 10, far)],
        "thick": [(5, 10, 10), (5, 10, far)],
        "lasso": [(5, -far, -far), (5, -far, far), (5, far, far), (5, far, -far)],
        "flat box": [(5, -far, -far), (5, -far, far), (5, far, -far)],
        "box": [(-far, -far, -far), (far, -far, -far), (-far, far, -far), (-far, -far, far)],
    }[kind]
    world = geometry.to_world(np.array(points, float))
    prompt = {
        "scribble": lambda: Prompt.scribble(world),
        "thick": lambda: Prompt.scribble(world, radius=0.1),
        "lasso": lambda: Prompt.lasso(world),
        "flat box": lambda: Prompt.box(*world),
        "box": lambda: Prompt.box(*world),
    }[kind]()
    assert is_inside(prompt, geometry)
    mask = full(prompt, geometry)
    if kind in ("scribble", "thick"):
        assert mask[5, 10, 10:].all()
        assert mask.sum() == 37
    else:
        assert mask[5].all()
        assert mask.sum() == (61 * 47 if kind != "box" else mask.size)


@GRIDS
def test_what_lies_beside_the_volume_covers_nothing(grid) -> None:
    geometry = grid()
    offset = np.array((0, 80, 0))
    points = np.array([(5, 10, 8), (9, 12, 8), (5, 40, 9), (6, 11, 35)]) + offset
    world = geometry.to_world(points)
    for prompt in (
        Prompt.scribble(world, radius=2.0),
        Prompt.lasso(world[:3]),
        Prompt.box(*world[:3]),
        Prompt.box(*world),
    ):
        assert rasterize(prompt, geometry) is None
        assert not is_inside(prompt, geometry)


def test_what_encloses_the_whole_volume_or_passes_through_it_is_inside() -> None:
    geometry = tilted()
    around = geometry.to_world(np.array([(-9, -9, -9), (40, -9, -9), (-9, 90, -9), (-9, -9, 90)], float))
    assert is_inside(Prompt.box(*around), geometry)
    assert full(Prompt.box(*around), geometry).all()
    through = geometry.to_world(np.array([(-50, 30, 20), (70, 30, 20)], float))
    assert full(Prompt.scribble(through), geometry)[:, 30, 20].all()

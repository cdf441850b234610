"""What is made of a network that knows the body, on a grid that is neither the scan's nor the decision's."""

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.few_clicks.anatomy import Anatomy, Shares
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.lattice import Lattice
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.metrics import dice

TURN, _ = np.linalg.qr(np.array([[0.9, -0.3, 0.1], [0.28, 0.95, 0.0], [-0.1, 0.05, 0.99]]))
GEOMETRY = Geometry.from_parts(
    (40, 72, 60), (2.0, 0.9, 1.2), (-31.0, 12.0, 5.0), (TURN * np.sign(np.diag(TURN)))[:, ::-1]
)
SPACING = np.asarray(GEOMETRY.spacing)
#: Middles and radii, mm, of two organs of one class, and of one of another class, which is not outlined well.
FIRST, SECOND, OTHER = ((14, 20, 18), 14.0), ((28, 54, 44), 8.0), ((26, 22, 44), 9.0)
#: What was looked at: not all of the scan.
LATTICE = Lattice((1.5, 2.0, 1.0), (1.5, 3.2, 2.4), (22, 20, 24))
SURE = 0.9


def ball(where: tuple[tuple[int, int, int], float]) -> np.ndarray:
    grid = (np.moveaxis(np.indices(GEOMETRY.shape), 0, -1) - where[0]) * SPACING
    return np.asarray((grid**2).sum(-1) <= where[1] ** 2)


def shares(sure: float = SURE) -> Shares:
    """Return what a network says that is right, but for its last percents."""
    places = LATTICE.back(np.moveaxis(np.indices(LATTICE.shape), 0, -1))

    def within(where: tuple[tuple[int, int, int], float]) -> np.ndarray:
        return np.asarray((((places - where[0]) * SPACING) ** 2).sum(-1) <= where[1] ** 2)

    classes = 1 * (within(FIRST) | within(SECOND)) + 2 * within(OTHER)
    values = np.stack([np.where(classes == n, sure, (1 - sure) / 2) for n in range(3)]).astype(np.float32)
    return Shares(LATTICE, values, np.array([False, True, False]))


def marks(*clicks: tuple[tuple[int, int, int], bool]) -> Marks:
    return Marks.of(tuple(Prompt.point(GEOMETRY.to_world(at), positive=sign) for at, sign in clicks), GEOMETRY)


def test_the_organ_that_was_pointed_at_is_outlined_and_no_other_of_its_kind() -> None:
    found = Anatomy(shares()).organ(marks((FIRST[0], True)), GEOMETRY.shape)
    assert found is not None
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[found.box] = found.mask
    assert dice(mask, ball(FIRST)) > 0.93
    assert not (mask & ball(SECOND)).any()


@pytest.mark.parametrize(
    ("of", "at"),
    [
        (shares(), OTHER[0]),  # not outlined well
        (shares(), (6, 60, 8)),  # no organ
        (shares(0.5), FIRST[0]),  # not sure
        (shares(), (38, 70, 58)),  # not looked at
        (None, FIRST[0]),
    ],
)
def test_no_organ_is_offered_where_it_is_not_known_well(of: Shares | None, at: tuple[int, int, int]) -> None:
    assert Anatomy(of).organ(marks((at, True)), GEOMETRY.shape) is None


def test_the_organ_that_a_box_was_drawn_around_is_outlined() -> None:
    where = np.argwhere(ball(SECOND))
    drawn = np.array([where.min(0), where.max(0) + 1], float)
    found = Anatomy(shares()).boxed(drawn, GEOMETRY.shape)
    assert found is not None
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[found.box] = found.mask
    assert dice(mask, ball(SECOND)) > 0.88
    inner = np.array([where.mean(0) - 2, where.mean(0) + 3])
    around_both = np.array([[0, 0, 0], GEOMETRY.shape], float)
    other = np.argwhere(ball(OTHER))
    for box in (inner, around_both, np.array([other.min(0), other.max(0) + 1], float)):
        assert Anatomy(shares()).boxed(box, GEOMETRY.shape) is None
    assert Anatomy(None).boxed(drawn, GEOMETRY.shape) is None


def test_an_organ_at_the_face_of_the_scan_stays_inside() -> None:
    values = np.zeros((2, 20, 24, 25), np.float32)
    values[1] = 1
    lattice = Lattice((0.5, 1.0, 0.7), (2.0, 3.0, 2.4), (20, 24, 25))
    of = Shares(lattice, values, np.array([False, True]))
    found = Anatomy(of).organ(marks(((20, 30, 30), True)), GEOMETRY.shape)
    assert found is not None
    assert all(0 <= e.start < e.stop <= n for e, n in zip(found.box, GEOMETRY.shape, strict=True))
    assert found.mask.shape == tuple(e.stop - e.start for e in found.box)
    assert found.mask.mean() > 0.9

"""The blended mean in bounded memory: what it holds, what it gives, what it says when the disk is full."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.patches.accumulate import Blend, BlendingThread, blending_bytes

AMPLE = 2**30


@pytest.fixture(params=["memory", "disk"])
def blend_of(request, tmp_path):
    """Make blends that are held in memory or on disk, and close them in the end."""
    made = []

    def make(shape, classes, patch, **kwargs):
        budget = AMPLE if request.param == "memory" else 0
        made.append(Blend(shape, classes, patch, budget, tmp_path, **kwargs))
        assert made[-1].is_spilled == (request.param == "disk")
        return made[-1]

    yield make
    for blend in made:
        blend.close()
    assert list(tmp_path.iterdir()) == []


def put(blend, box, value, weight=1.0):
    shape = tuple(side.stop - side.start for side in box)
    blend.go_to(*box[:2])
    blend.add(box, np.full((blend.classes, *shape), value, np.float32), np.full(shape, weight, np.float32))


def box_of(*ends):
    return tuple(slice(*pair) for pair in ends)


def test_the_weighted_mean(blend_of):
    blend = blend_of((3, 4, 5), 2, (3, 4, 5))
    put(blend, box_of((0, 3), (0, 4), (0, 4)), 1.0, 0.5)
    put(blend, box_of((0, 3), (0, 4), (2, 5)), 4.0, 1.0)
    blend.settle()
    found = blend.read(box_of((0, 3), (0, 4), (0, 5)))
    assert found.shape == (2, 3, 4, 5)
    assert found == pytest.approx(np.broadcast_to([1, 1, 3, 3, 4], (2, 3, 4, 5)))
    part = blend.read(box_of((1, 3), (2, 3), (1, 4)))
    assert np.array_equal(part, found[:, 1:3, 2:3, 1:4])


def test_what_reaches_outside_is_left_out(blend_of):
    blend = blend_of((4, 3, 2), 1, (8, 5, 6))
    answer = np.arange(8 * 5 * 6, dtype=np.float32).reshape(1, 8, 5, 6)
    box = box_of((-2, 6), (-1, 4), (-2, 4))
    blend.go_to(*box[:2])
    blend.add(box, answer, np.ones((8, 5, 6), np.float32))
    blend.settle()
    assert np.array_equal(blend.read(box_of((0, 4), (0, 3), (0, 2))), answer[:, 2:6, 1:4, 2:4])


def test_rows_that_were_passed_over_are_empty(blend_of):
    blend = blend_of((2, 12, 3), 2, (2, 3, 3), empty=(5, -5))
    put(blend, box_of((0, 2), (4, 6), (0, 3)), 1.0)
    put(blend, box_of((0, 2), (8, 11), (0, 2)), 2.0)
    blend.settle()
    found = blend.read(box_of((0, 2), (0, 12), (0, 3)))
    expected = np.full((12, 3), 5.0)
    expected[4:6], expected[8:11, :2] = 1, 2
    assert np.array_equal(found[0], [expected, expected])
    assert (found[1][:, 6:8] == -5).all()


def test_a_plane_that_was_never_touched_is_empty(blend_of):
    blend = blend_of((5, 2, 3), 1, (2, 2, 3), empty=(-1,))
    put(blend, box_of((3, 5), (0, 2), (0, 3)), 7.0)
    blend.settle()
    assert np.array_equal(blend.read(box_of((2, 4), (0, 1), (0, 1))).ravel(), [-1, 7])


def test_released_planes_serve_again_and_are_blank(blend_of):
    blend = blend_of((40, 3, 4), 1, (4, 3, 4))
    for first in range(0, 40, 4):
        # Only the first row is covered; the rest must not show what the planes held before.
        put(blend, box_of((first, first + 4), (0, 3 if first == 0 else 1), (0, 4)), float(first + 1))
        blend.settle()
        found = blend.read(box_of((first, first + 4), (0, 3), (0, 4)))
        assert (found[:, :, 0] == first + 1).all()
        if first:
            assert (found[:, :, 1:] == 0).all()
        blend.release(first + 4)
    held = blend._planes
    assert len(getattr(held, "_planes", {})) + len(getattr(held, "_slots", {})) == 0
    assert len(held._spare) == 4
    with pytest.raises(ValueError, match="released"):
        blend.read(box_of((39, 40), (0, 1), (0, 1)))


def test_empty_logits_are_one_a_class():
    with pytest.raises(ValueError, match="3, got 2"):
        Blend((2, 2, 2), 3, (2, 2, 2), AMPLE, empty=(1, 2))


def test_what_it_will_take():
    assert blending_bytes((50, 60, 70), 4, (16, 20, 24), AMPLE) == (4 * 5 * 16 * 60 * 70, 0)
    assert blending_bytes((50, 60, 70), 4, (16, 20, 24), 10**6) == (4 * 5 * 16 * 20 * 70, 4 * 5 * 16 * 60 * 70)
    assert blending_bytes((8, 9, 10), 1, (16, 20, 24), 10**6) == (4 * 2 * 8 * 9 * 10, 0)


@pytest.mark.parametrize("copied_bytes", [0, 2**28])
def test_a_thread_adds_the_same_though_answers_are_overwritten(blend_of, copied_bytes, monkeypatch):
    monkeypatch.setattr("napari_radcnn.inference.patches.accumulate._COPIED_BYTES", copied_bytes)
    plain, threaded = (blend_of((6, 30, 20), 3, (6, 12, 20)) for _ in range(2))
    thread, answer = BlendingThread(threaded), np.empty((3, 6, 12, 20), np.float32)
    weights = np.random.default_rng(0).random((6, 12, 20)).astype(np.float32)
    for first in (0, 6, 12, 18):
        box = box_of((0, 6), (first, first + 12), (0, 20))
        answer[:] = np.random.default_rng(first).normal(size=answer.shape)
        for target in (plain, thread):
            target.go_to(*box[:2])
            target.add(box, answer, weights)
        answer[:] = 99
    plain.settle()
    thread.settle()
    thread.close()
    whole = box_of((0, 6), (0, 30), (0, 20))
    assert np.array_equal(plain.read(whole), threaded.read(whole))


def test_what_goes_wrong_in_the_thread_is_raised_by_the_next_call():
    blend = Blend((4, 4, 4), 2, (4, 4, 4), AMPLE)
    thread = BlendingThread(blend)
    thread.go_to(slice(0, 4), slice(0, 4))
    thread.add(box_of((0, 4), (0, 4), (0, 4)), np.ones((3, 4, 4, 4), np.float32), np.ones((4, 4, 4), np.float32))
    with pytest.raises(ValueError, match="broadcast"):
        thread.settle()
    thread.close()


def test_a_full_disk_says_where_and_how_much(tmp_path, monkeypatch):
    blend = Blend((8, 64, 64), 2, (8, 16, 16), 0, tmp_path)

    class Full:
        def seek(self, offset):
            return offset

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    blend._planes._file.close()
    blend._planes._file = Full()
    put(blend, box_of((0, 8), (0, 16), (0, 64)), 1.0)
    with pytest.raises(ResourceError, match=r"disk is full: .*needs 0\.00 GiB.*TMPDIR") as caught:
        blend.settle()
    assert str(tmp_path) in str(caught.value)


def test_a_disk_that_is_too_small_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2**29))
    with pytest.raises(ResourceError, match=r"needs 1\.25 GiB, 0\.50 GiB are free") as caught:
        Blend((200, 1024, 1024), 4, (64, 64, 64), 0, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert not Blend((200, 1024, 1024), 4, (64, 64, 64), 2**31, tmp_path).is_spilled


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a file as Linux does")
def test_a_limit_on_files_is_told(tmp_path):
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.patches.accumulate import Blend
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
blend = Blend((8, 64, 64), 2, (8, 16, 16), 0, Path(sys.argv[1]))
try:
    box = (slice(0, 8), slice(0, 64), slice(0, 64))
    blend.go_to(*box[:2])
    blend.add(box, np.ones((2, 8, 64, 64), np.float32), np.ones((8, 64, 64), np.float32))
    blend.settle()
except ResourceError as error:
    sys.stdout.write(str(error))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert str(tmp_path) in done.stdout
    assert "GiB" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used(tmp_path):
    with pytest.raises(ResourceError, match="nowhere"):
        Blend((8, 64, 64), 2, (8, 16, 16), 0, tmp_path / "nowhere")


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from napari_radcnn.inference.patches.stream import run_patches
from napari_radcnn.spec.patches import Sampling
side, budget = int(sys.argv[1]), int(sys.argv[2])
shape, sampling = (40, side, side), Sampling((16, 16, 16), 0.0)
def network(patch):
    return np.broadcast_to(patch, (20, *patch.shape[1:])).copy()
def read(box):
    return np.ones((1, *[s.stop - s.start for s in box]), np.float32)
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before = peak()
total, done = 0.0, 0
for final, blend in run_patches([network], read, shape, sampling, classes=20, budget_bytes=budget):
    for plane in range(done, final):
        for row in range(0, side, 16):
            total += blend.read((slice(plane, plane + 1), slice(row, min(row + 16, side)), slice(0, side))).sum()
    blend.release(final)
    done = final
assert abs(total / (20 * 40 * side * side) - 1) < 1e-4, total
sys.stdout.write(str(peak() - before))
"""


def _peak(side: int, budget: int) -> float:
    """Return by how many MiB a run over a cross-section of side x side grows a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(side), str(budget)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_cross_section():
    # In memory 21 x 16 x 400 x 400 x 4 bytes are 205 MiB, a fourth of it at half the side; a rod is 4 or 8 MiB.
    unbounded = _peak(400, AMPLE)
    small, large = (_peak(side, 8 * 2**20) for side in (200, 400))
    assert unbounded > 180
    assert large < 40
    assert large - small < 16

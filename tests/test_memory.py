"""How much memory may be taken: the computer's, less where a limit is set for the process or its group."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from napari_radcnn import memory as free_memory
from napari_radcnn.memory import free_memory as free

MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are set with Linux's resource module")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_of_the_process_counts(limit):
    script = (
        "import resource, psutil\n"
        "from napari_radcnn.memory import free_memory\n"
        f"resource.setrlimit(resource.{limit}, (1 << 30, 1 << 30))\n"
        "first = free_memory(); block = bytearray(200 << 20); second = free_memory()\n"
        "print(first >> 20, second >> 20)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True)
    first, second = (int(word) for word in done.stdout.split())
    assert 300 < first < 1024
    assert first - second == pytest.approx(200, abs=10)


def test_without_limits_it_is_what_the_computer_has(monkeypatch):
    monkeypatch.setattr(free_memory, "_process_limits", lambda: iter(()))
    monkeypatch.setattr(free_memory, "_cgroup_limits", lambda: iter(()))
    assert free() == pytest.approx(psutil.virtual_memory().available, abs=300 * MIB)


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Return a folder that stands for the control groups, and a function that says which this process is in."""
    own = tmp_path / "own"
    monkeypatch.setattr(free_memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(free_memory, "_OWN_CGROUPS", own)
    monkeypatch.setattr(free_memory, "_process_limits", lambda: iter(()))
    return tmp_path / "cgroup", own.write_text


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")


def test_the_group_of_version_2_counts_and_so_do_those_above_it(groups):
    root, own = groups
    own("0::/job/step\n")
    write(root / "job", max=300 * MIB, current=100 * MIB, stat=f"anon 5\ninactive_file {20 * MIB}")
    write(root / "job" / "step", max="max", current=90 * MIB)
    assert free() == 220 * MIB
    write(root / "job" / "step", max=150 * MIB, current=90 * MIB)
    assert free() == 60 * MIB


def test_the_group_of_version_1_counts(groups):
    root, own = groups
    own("9:cpu,cpuacct:/job\n4:memory:/job\n0::/\n")
    write(root / "memory", limit_in_bytes=9223372036854771712, usage_in_bytes=5)
    write(root / "memory" / "job", limit_in_bytes=200 * MIB, usage_in_bytes=50 * MIB)
    assert free() == 150 * MIB


def test_a_group_that_is_full_leaves_nothing(groups):
    root, own = groups
    own("0::/job\n")
    write(root / "job", max=100 * MIB, current=101 * MIB)
    assert free() == 0


def test_groups_that_cannot_be_read_are_no_limit(groups):
    _, own = groups
    own("0::/gone\n4:memory:/gone\n")
    assert free() > 100 * MIB

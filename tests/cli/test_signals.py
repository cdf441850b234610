"""Ctrl-C and SIGTERM end a run, whatever it is computing."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import napari_radcnn as radcnn
from model_factory import describe
from napari_radcnn.phantom import head, oblique_geometry
from onnx_file import endless_onnx
from patience import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to a process as on POSIX")

#: A native call that never ends, is not woken by signals, and does not hold Python's lock: a mutex locked twice.
_STUCK = """
    import ctypes, sys
    from napari_radcnn.cli.signals import cancelling
    library, mutex = ctypes.CDLL(None), (ctypes.c_byte * 256)()
    with cancelling() as cancel:
        print("begun", flush=True)
        library.pthread_mutex_lock(mutex)
        library.pthread_mutex_lock(mutex)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_a_network_that_never_ends(tmp_path: Path, number: signal.Signals) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "endless.onnx").write_bytes(endless_onnx())
    describe(tmp_path / "endless.json", classes=["thing"], activation="sigmoid", spacing=..., intensity=[])
    radcnn.write(head(oblique_geometry((16, 17, 18))), tmp_path / "scan.nii.gz")
    words = ["run", "endless.onnx", "scan.nii.gz", "-o", "out.nii.gz", "--device", "cpu", "--anyway"]
    run = subprocess.Popen(
        [sys.executable, "-m", "napari_radcnn.cli", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert run.stderr is not None
    lines = []
    while not lines or "preparing the model" not in lines[-1]:
        lines.append(run.stderr.readline())
        assert lines[-1], lines
    run.send_signal(number)
    told = run.communicate(timeout=PATIENCE)[1].splitlines()
    assert run.returncode == 130
    assert told[-1] == "radcnn: The run was cancelled; nothing was written."
    assert not list(tmp_path.glob("out*"))


def test_a_second_signal_ends_a_native_call_that_never_ends() -> None:
    stuck = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_STUCK)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert stuck.stdout is not None
    assert stuck.stdout.readline() == "begun\n"
    stuck.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # the first one asks only
        stuck.wait(1.0)
    stuck.send_signal(signal.SIGTERM)
    told = stuck.communicate(timeout=PATIENCE)[1].strip()
    assert stuck.returncode == 130
    assert told.startswith("radcnn: ended at once")


def test_two_signals_in_python_are_a_keyboard_interrupt_that_is_cleaned_up_after() -> None:
    code = """
        import os, signal
        from napari_radcnn.cli.signals import cancelling
        try:
            with cancelling() as cancel:
                os.kill(os.getpid(), signal.SIGTERM)
                print(cancel.is_set())
                os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            print("cleaned up")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")[:2]) == (0, ["True", "cleaned up"])

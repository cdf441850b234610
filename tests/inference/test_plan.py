from __future__ import annotations

import subprocess
import sys

import pytest

from drawn_scans import head_mr
from grids import axial, oblique
from napari_radcnn.errors import ExitStatus, GeometryError, ModelError, OptionError, ResourceError
from napari_radcnn.inference.plan import Plan, recall_seconds, remember_seconds
from napari_radcnn.operations import plan, run
from napari_radcnn.phantom import disks, head, world_field
from napari_radcnn.user_folders import cache_folder


def test_the_summary_is_one_line_with_cost():
    text = Plan("m", 4, (64, 70, 80), 3 * 2**30, 200.0).summary()
    assert text == "4 patches of up to 64x70x80 · 3.0 GiB memory · about 3 min"
    assert "time unknown until the first run" in Plan("m", 1, (1, 1, 1), 0).summary()


def test_time_is_recalled_in_proportion_to_the_work():
    assert recall_seconds("model cpu", 10) is None
    remember_seconds("model cpu", 20, 5.0)
    assert recall_seconds("model cpu", 40) == pytest.approx(10.0)
    assert recall_seconds("model cuda", 40) is None


def test_damaged_timings_are_made_anew():
    remember_seconds("key", 1, 1.0)
    file = cache_folder() / "timings.json"
    file.write_text("{ not json")
    assert recall_seconds("key", 1) is None
    remember_seconds("key", 1, 2.0)
    assert recall_seconds("key", 1) == 2.0


def test_timings_that_cannot_be_kept_do_no_harm(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    remember_seconds("key", 1, 1.0)
    assert recall_seconds("key", 1) is None


def test_too_little_memory_is_a_warning_in_the_plan_and_refused_before_the_run(monkeypatch):
    import psutil

    free = psutil.virtual_memory()._replace(available=2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    (warning,) = plan(disks()[0], "nlm-denoise").warnings
    assert "GiB" in warning
    with pytest.raises(ResourceError, match=r"needs about .* GiB of memory") as caught:
        run(disks()[0], "nlm-denoise")
    assert caught.value.exit_status == ExitStatus.RESOURCES


def test_a_scan_outside_the_model_s_domain_is_a_warning_before_the_run():
    warnings = plan(disks()[0], "brain-extraction").warnings
    assert any("is CT, but 'brain-extraction' was made for MR" in text for text in warnings)
    assert plan(head_mr(), "brain-extraction").warnings == ()
    assert plan(head(), "brain-extraction").suitability.state == "doubtful"  # a phantom is not taken for a patient


def test_an_unknown_voxel_size_is_a_warning_before_the_run():
    volume = head()
    (warning,) = plan(volume.with_array(volume.array, is_calibrated=False), "nlm-denoise").warnings
    assert "voxel size of" in warning


def test_what_cannot_run_is_said_by_the_plan():
    volume = world_field(axial())
    with pytest.raises(ModelError, match="did you mean 'nlm-denoise'"):
        plan(volume, "nlm-denoize")
    with pytest.raises(OptionError, match="Unknown option 'strangth'"):
        plan(volume, "nlm-denoise", {"strangth": 1.0})
    with pytest.raises(OptionError, match="must be one of auto, cpu, cuda"):
        plan(volume, "nlm-denoise", device="tpu")
    color = type(volume)(volume.array[..., None].repeat(3, -1), oblique())
    with pytest.raises(GeometryError, match="color"):
        plan(color, "nlm-denoise")


def test_a_plan_imports_no_torch():
    code = (
        "import sys\n"
        "from napari_radcnn import plan\n"
        "from napari_radcnn.phantom import head\n"
        "for model in ('brain-extraction', 'nlm-denoise'):\n"
        "    print(plan(head(), model).summary())\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

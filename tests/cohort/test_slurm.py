"""Workers as jobs of Slurm, whose commands stand-ins take the place of: what is submitted, run and cancelled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import cohorts
from napari_radcnn.cli import main
from napari_radcnn.cohort.cluster.slurm import Profile, read_profile
from napari_radcnn.errors import ExitStatus, OptionError, ReadError

_SBATCH = """#!{python}
import os, shutil, subprocess, sys
folder = {folder!r}
number = 1
while True:  # jobs are submitted at the same time: each takes a number of its own
    script = os.path.join(folder, f"{{number}}.sh")
    try:
        os.close(os.open(script, os.O_CREAT | os.O_EXCL))
        break
    except FileExistsError:
        number += 1
shutil.copy(sys.argv[-1], script)
job = ["false"] if number <= {dead} else ["bash", script]
with open(os.path.join(folder, f"{{number}}.log"), "wb") as log:
    process = subprocess.Popen(job, stdout=log, stderr=log, start_new_session=True)
open(os.path.join(folder, f"{{number}}.pid"), "w").write(str(process.pid))
print(f"Submitted batch job {{number}}")
"""
_SQUEUE = """#!{python}
import os
folder = {folder!r}
for name in sorted(os.listdir(folder)):
    if name.endswith(".pid"):
        pid = open(os.path.join(folder, name)).read()
        try:
            state = open(f"/proc/{{pid}}/stat").read().split()[2]
        except OSError:
            continue
        if state != "Z":
            print("RUNNING")
"""
_SCANCEL = """#!{python}
import os, signal, sys
folder = {folder!r}
open(os.path.join(folder, "cancelled"), "a").write(sys.argv[-1] + chr(10))
try:
    os.killpg(int(open(os.path.join(folder, sys.argv[-1] + ".pid")).read()), signal.SIGKILL)
except OSError:
    pass
"""


def _stand_ins(place: Path, dead: int = 0) -> Path:
    """Write ``sbatch``, ``squeue`` and ``scancel``; of the jobs the first `dead` end at once."""
    folder = place / "jobs"
    folder.mkdir(parents=True)
    for name, text in (("sbatch", _SBATCH), ("squeue", _SQUEUE), ("scancel", _SCANCEL)):
        path = place / name
        path.write_text(text.format(python=sys.executable, folder=str(folder), dead=dead), encoding="utf-8")
        path.chmod(0o755)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins look into /proc")
def test_jobs_are_submitted_work_and_are_cancelled_at_the_end(tmp_path: Path) -> None:
    models = cohorts.lay_out_model(tmp_path / "models")
    jobs = _stand_ins(tmp_path / "bin", dead=2)
    cases = cohorts.write_cohort(tmp_path / "in", 6, {4: 9004})
    profile = tmp_path / "slurm.yaml"
    profile.write_text(
        "cores: 2\nmemory: 2GB\njobs: 2\nqueue: gpu\naccount: lab\nwalltime: '01:30:00'\ngpus: 1\n"
        "directives: [--exclusive]\nprologue: [export FROM_PROFILE=1]\nhost: 127.0.0.1\n"
    )
    certificates = tmp_path / "certificates"
    assert main(["cohort", "certificates", str(certificates)]) == 0
    words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(tmp_path / "out"), "--option", "seconds=0.3"]
    words += ["--slurm", str(profile), "--certificates", str(certificates)]
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    status, told, errors = cohorts.finished(words, models, PATH=path)
    assert status == ExitStatus.INCOMPLETE, errors
    assert "5 cases done, 1 failed" in told
    # both jobs of the first time ended at once; they were submitted again
    assert "the jobs of Slurm have ended; they are submitted again" in errors
    script = (jobs / "3.sh").read_text()
    for line in ("-p gpu", "-A lab", "-t 01:30:00", "--gres=gpu:1", "--exclusive", "--cpus-per-task=2", "--mem=2G"):
        assert f"#SBATCH {line}\n" in script
    assert "export FROM_PROFILE=1\n" in script
    assert f"--tls-ca-file {certificates / 'ca.pem'}" in script
    cancelled = (jobs / "cancelled").read_text().split()
    assert {"3", "4"} <= set(cancelled)
    assert not [name for name in ("3", "4") if _lives((jobs / f"{name}.pid").read_text())]


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_profile_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "slurm.yaml"
    path.write_text("cores: 4\nmemory: 16GB\nprologue: [module load cuda]\n")
    assert read_profile(path) == Profile(4, "16GB", prologue=("module load cuda",))
    for text, said in (
        ("cores: 4", "at least 'cores' and 'memory'"),
        ("cores: 4\nmemory: 1GB\nqueues: x", "unknown entry 'queues'"),
        ("cores: 0\nmemory: 1GB", "'cores' must be a whole number of at least 1"),
        ("cores: true\nmemory: 1GB", "'cores' must be a whole number"),
        ("cores: 4\nmemory: 1GB\ndirectives: --exclusive", "'directives' must be a list"),
        ('cores: 4\nmemory: 1GB\nqueue: "a\\n#SBATCH b"', "'queue' must be one line"),
    ):
        path.write_text(text)
        with pytest.raises(OptionError, match=said):
            read_profile(path)
    with pytest.raises(ReadError, match=r"none.yaml"):
        read_profile(tmp_path / "none.yaml")


def test_without_slurm_it_says_where_to_run_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slurm.yaml").write_text("cores: 1\nmemory: 1GB\n")
    cases = cohorts.write_cohort(tmp_path / "in", 1)
    words = [
        "cohort",
        "run",
        "convert",
        str(cases),
        "-o",
        str(tmp_path / "out"),
        "--slurm",
        str(tmp_path / "slurm.yaml"),
    ]
    assert main(words) == 5
    assert "no 'sbatch'" in capsys.readouterr().err
    assert main([*words, "--scheduler", "tls://x:1"]) == 2

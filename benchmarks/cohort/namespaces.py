"""A cluster in network namespaces of its own, one worker of which is cut off for a minute: as root, on Linux.

    python -m benchmarks.cohort.namespaces [SECONDS]

The scheduler, two workers and the client each get a namespace and a virtual cable to one bridge, so that every byte
between them goes over a wire that can be pulled. A client with no certificate and one of another authority are refused;
a worker's cable is pulled for a minute (or SECONDS) in the middle of a run; then results are compared with those of a
run on this computer alone: nothing lost, nothing twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from shutil import which

from benchmarks.cohort.common import clusters, cohorts
from benchmarks.common import table
from napari_radcnn.cohort.results.table import read_log
from napari_radcnn.errors import ExitStatus

_NAMES = ("sched", "one", "two", "client")
_BRIDGE = "radcnnbr0"
_N_CASES = 40


def report() -> str:
    """Return the figures as Markdown; where namespaces cannot be made, that they were not measured."""
    return _report(60.0)


def _report(cut_seconds: float) -> str:
    if which("ip") is None or os.geteuid() != 0:
        return "Not measured: network namespaces need Linux, `ip`, and the rights of root."
    with tempfile.TemporaryDirectory(prefix="radcnn-namespaces-") as temporary:
        try:
            _lay_cables()
            rows = _experiment(Path(temporary), cut_seconds)
        finally:
            _take_cables()
    return table(("what", "found"), rows)


def main(cut_seconds: float = 60.0) -> None:
    """Run the experiment and print what came of it."""
    print(_report(cut_seconds))


def _experiment(folder: Path, cut_seconds: float) -> list[tuple[str, str]]:
    models = cohorts.lay_out_model(folder / "models")
    cases = cohorts.write_cohort(folder / "in", _N_CASES, {3: 9001})
    words = ["cohort", "run", cohorts.MODEL, str(cases), "--option", "seconds=2"]
    status, _, errors = cohorts.finished([*words, "-o", str(folder / "whole"), "--jobs", "2"], models)
    assert status == ExitStatus.INCOMPLETE, errors
    inside = {name: ["ip", "netns", "exec", f"radcnn-{name}"] for name in _NAMES}
    before = {"scheduler": inside["sched"], "one": inside["one"], "two": inside["two"]}
    (folder / "cluster").mkdir()
    cluster = clusters.Processes(folder / "cluster", models, before=before, host="10.77.0.1")
    with cluster:
        cluster.scheduler()
        cluster.worker("one", "--host", "10.77.0.2")
        cluster.worker("two", "--host", "10.77.0.3")
        client = [*inside["client"], sys.executable, "-m", "napari_radcnn.cli", *words, "-o", str(folder / "out")]
        rows = _refused(folder, client, cluster, models)
        process = subprocess.Popen(
            [*client, *cluster.words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=cohorts.environment(models),
        )  # fmt: skip
        log = folder / "out" / "log.jsonl"
        while not log.exists() or log.read_text().count('"answered"') < 4:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        answers = log.read_text().count('"answered"')
        began = time.monotonic()
        _ip("link", "set", "radcnnbr-two", "down")
        time.sleep(cut_seconds)
        rows.append(("worker two cut off", f"after {answers} answers, for {time.monotonic() - began:.0f} s"))
        _ip("link", "set", "radcnnbr-two", "up")
        told, errors = process.communicate(timeout=900)
        assert process.returncode == ExitStatus.INCOMPLETE, errors
        print(told.strip(), flush=True)
    events = list(read_log(log))
    answered = Counter(event["case"] for event in events if event["event"] == "answered")
    where = Counter(event["where"] for event in events if "where" in event)
    whole, out = folder / "whole", folder / "out"
    is_same = {
        "table": cohorts.table_without_times(out) == cohorts.table_without_times(whole),
        "hashes": cohorts.hashes_of(out) == cohorts.hashes_of(whole),
    }
    return [
        *rows,
        ("cases answered, of them twice", f"{len(answered)}, {sum(n > 1 for n in answered.values())}"),
        ("by worker", ", ".join(f"{name} {n}" for name, n in where.items())),
        ("the same table as a run's on this computer", "yes" if is_same["table"] else "NO"),
        ("the same hashes", "yes" if is_same["hashes"] else "NO"),
    ]


def _refused(folder: Path, client: list[str], cluster: clusters.Processes, models: Path) -> list[tuple[str, str]]:
    """Return what is said to whoever has no certificate, or another authority's."""
    others = folder / "others"
    cohorts.finished(["cohort", "certificates", str(others)], models)
    (others / "ca.pem").write_bytes((cluster.certificates / "ca.pem").read_bytes())
    rows = []
    for what, place in (("without certificates", folder / "none"), ("certificate of another authority", others)):
        words = [*client, "--scheduler", cluster.address, "--certificates", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, env=cohorts.environment(models), check=False)
        assert done.returncode != 0
        said = done.stderr.strip().splitlines()[-1].replace(f"{folder}/", "")
        rows.append((f"client {what}", f"status {done.returncode}: {said}"))
    # and not only our own command: a plain TLS client that shows no certificate gets no word from the scheduler
    code = (
        "import socket, ssl\n"
        "c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE\n"
        f"s = c.wrap_socket(socket.create_connection(('10.77.0.1', {cluster.port}), 10))\n"
        "print(s.recv(1))"
    )
    done = subprocess.run([*client[:4], sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines()[-1] if done.returncode else f"NOT REFUSED: {done.stdout}"
    return [*rows, ("any TLS client without a certificate", said)]


def _lay_cables() -> None:
    _take_cables()
    _ip("link", "add", _BRIDGE, "type", "bridge")
    _ip("link", "set", _BRIDGE, "up")
    for number, name in enumerate(_NAMES, 1):
        space, outer = f"radcnn-{name}", f"radcnnbr-{name}"[:15]
        _ip("netns", "add", space)
        _ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", outer, "master", _BRIDGE)
        _ip("link", "set", outer, "up")
        _ip("-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "link", "set", "lo", "up")


def _take_cables() -> None:
    for name in _NAMES:
        subprocess.run(["ip", "netns", "del", f"radcnn-{name}"], capture_output=True, check=False)
    subprocess.run(["ip", "link", "del", _BRIDGE], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))

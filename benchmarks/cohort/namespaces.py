"""A cluster in network namespaces of its own, one worker of which is cut off for a minute: as root, on Linux.

    python -m benchmarks.cohort.namespaces [SECONDS]

The scheduler, two workers and the client each get a namespace and a virtual cable to one bridge, so that every byte
between them goes over a wire that can be pulled. A client with no certificate and one of another authority are refused;
a worker's cable is pulled for a minute (or SECONDS) in the middle of a run; then results are compared with those of a
run on this computer alone: nothing lost, nothing twice.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.cohort.common import clusters, cohorts
from napari_radcnn.cohort.results.table import read_log

_NAMES = ("sched", "one", "two", "client")
_BRIDGE = "radcnnbr0"
_N_CASES = 40


def main(cut_seconds: float = 60.0) -> None:
    """Run the experiment and print what came of it."""
    with tempfile.TemporaryDirectory(prefix="radcnn-namespaces-") as temporary:
        try:
            _lay_cables()
            _experiment(Path(temporary), cut_seconds)
        finally:
            _take_cables()


def _experiment(folder: Path, cut_seconds: float) -> None:
    models = cohorts.lay_out_model(folder / "models")
    cases = cohorts.write_cohort(folder / "in", _N_CASES, {3: 9001})
    words = ["cohort", "run", cohorts.MODEL, str(cases), "--option", "seconds=2"]
    status, _, errors = cohorts.finished([*words, "-o", str(folder / "whole"), "--jobs", "2"], models)
    assert status == 0, errors
    inside = {name: ["ip", "netns", "exec", f"radcnn-{name}"] for name in _NAMES}
    before = {"scheduler": inside["sched"], "one": inside["one"], "two": inside["two"]}
    (folder / "cluster").mkdir()
    cluster = clusters.Processes(folder / "cluster", models, before=before, host="10.77.0.1")
    with cluster:
        cluster.scheduler()
        cluster.worker("one", "--host", "10.77.0.2")
        cluster.worker("two", "--host", "10.77.0.3")
        client = [*inside["client"], sys.executable, "-m", "napari_radcnn.cli", *words, "-o", str(folder / "out")]
        _refused(folder, client, cluster, models)
        process = subprocess.Popen(
            [*client, *cluster.words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=cohorts.environment(models),
        )  # fmt: skip
        log = folder / "out" / "log.jsonl"
        while not log.exists() or log.read_text().count('"answered"') < 4:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        began = time.monotonic()
        _ip("link", "set", "radcnnbr-two", "down")
        print(f"cut off: worker two, after {log.read_text().count(chr(34) + 'answered' + chr(34))} answers", flush=True)
        while time.monotonic() - began < cut_seconds:
            time.sleep(0.2)
        print(f"link up again after {time.monotonic() - began:.0f} s", flush=True)
        _ip("link", "set", "radcnnbr-two", "up")
        told, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
        print(told.strip())
    events = list(read_log(log))
    answered = Counter(event["case"] for event in events if event["event"] == "answered")
    where = Counter(event["where"] for event in events if "where" in event)
    whole, out = folder / "whole", folder / "out"
    print(f"same table as undisturbed: {cohorts.table_without_times(out) == cohorts.table_without_times(whole)}")
    print(f"same hashes: {cohorts.hashes_of(out) == cohorts.hashes_of(whole)}")
    twice = sum(n > 1 for n in answered.values())
    print(f"cases answered: {len(answered)}, answered twice: {twice}; by worker: {dict(where)}")


def _refused(folder: Path, client: list[str], cluster: clusters.Processes, models: Path) -> None:
    """Show that nobody else gets in."""
    others = folder / "others"
    cohorts.finished(["cohort", "certificates", str(others)], models)
    (others / "ca.pem").write_bytes((cluster.certificates / "ca.pem").read_bytes())
    for what, place in (("without certificates", folder / "none"), ("certificate of another authority", others)):
        words = [*client, "--scheduler", cluster.address, "--certificates", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, env=cohorts.environment(models), check=False)
        assert done.returncode != 0
        print(f"{what}: status {done.returncode}: {done.stderr.strip().splitlines()[-1]}", flush=True)
    # and not only our own command: a plain TLS client that shows no certificate gets no word from the scheduler
    code = (
        "import socket, ssl\n"
        "c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE\n"
        f"s = c.wrap_socket(socket.create_connection(('10.77.0.1', {cluster.port}), 10))\n"
        "print(s.recv(1))"
    )
    done = subprocess.run([*client[:4], sys.executable, "-c", code], capture_output=True, text=True, check=False)
    print(
        f"any client without a certificate: {done.stderr.strip().splitlines()[-1] if done.returncode else done.stdout}"
    )


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

"""Cases worked on by a scheduler's workers over TLS: the same results, whoever dies; nobody else gets in."""

from __future__ import annotations

import datetime
import hashlib
import json
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import clusters
import cohorts
from napari_radcnn.cli import main
from napari_radcnn.cohort.cluster import certificates, connecting
from napari_radcnn.cohort.cluster.certificates import make_certificates, security_of
from napari_radcnn.cohort.cluster.connecting import parsed
from napari_radcnn.cohort.cluster.serving import scheduler_command
from napari_radcnn.cohort.cluster.workers import Cluster, _Task
from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.errors import ExitStatus, OptionError, WriteError
from patience import PATIENCE


def test_certificates_are_signed_by_their_authority_and_keys_are_private(tmp_path: Path) -> None:
    from cryptography import x509

    written = make_certificates(tmp_path / "c", hosts=["10.0.0.5", "cluster.example"])
    assert len(written) == 8
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in written if path.name.endswith("-key.pem"))
    authority, scheduler, worker = (
        x509.load_pem_x509_certificate((tmp_path / "c" / f"{name}.pem").read_bytes())
        for name in ("ca", "scheduler", "worker")
    )
    for signed in (scheduler, worker):
        signed.verify_directly_issued_by(authority)
        assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = scheduler.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "cluster.example" in names.get_values_for_type(x509.DNSName)
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    with pytest.raises(ValueError, match="does not match"):
        worker.verify_directly_issued_by(scheduler)
    with pytest.raises(WriteError, match="already contains a certificate authority"):
        make_certificates(tmp_path / "c")
    with pytest.raises(OptionError, match="at least 1 day"):
        make_certificates(tmp_path / "d", days=0)
    (tmp_path / "c" / "client-key.pem").unlink()
    with pytest.raises(OptionError, match=r"client-key.pem: no such certificate"):
        security_of(tmp_path / "c", "client")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://10.0.0.5:8786", "plain TCP"),
        ("tcp://cluster:8786", "plain TCP"),
        ("cluster:8786", "not the address"),
        ("tls://cluster", "not the address"),
        ("http://cluster:80", "not the address"),
        ("tls://cluster:port", "not the address"),
    ],
)
def test_plain_tcp_to_another_computer_is_refused(address: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        parsed(address)


def test_plain_tcp_is_for_this_computer_alone() -> None:
    assert parsed("tcp://127.0.0.1:8786") == ("127.0.0.1", 8786, False)
    assert parsed("tls://cluster:8786") == ("cluster", 8786, True)
    assert "tcp" in scheduler_command("127.0.0.1", 8786, None)
    with pytest.raises(OptionError, match="needs certificates"):
        scheduler_command("", 8786, None)


def _why_refused(scheduler: Path, client: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a client with one folder's certificates is told by a TLS server with those of another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(scheduler / "scheduler.pem", scheduler / "scheduler-key.pem")
    context.load_verify_locations(scheduler / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    here, there = socket.socketpair()  # no test reaches for the network

    def answer() -> None:
        with suppress(ssl.SSLError, OSError), context.wrap_socket(there, server_side=True) as wrapped:
            wrapped.send(b"x")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    monkeypatch.setattr(connecting, "socket", SimpleNamespace(create_connection=lambda *_: here))
    try:
        return connecting.why_refused("cluster", 8786, client)
    finally:
        monkeypatch.undo()
        here.close()
        thread.join(PATIENCE)


def test_why_a_scheduler_does_not_talk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, others, then = (tmp_path / name for name in ("now", "others", "then"))
    for folder in (now, others):
        make_certificates(folder)
    assert _why_refused(now, now, monkeypatch) == ""
    assert "not signed by our authority" in _why_refused(others, now, monkeypatch)
    earlier = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    clock = SimpleNamespace(
        UTC=datetime.UTC, timedelta=datetime.timedelta, datetime=SimpleNamespace(now=lambda _zone: earlier)
    )
    monkeypatch.setattr(certificates, "datetime", clock)
    make_certificates(then, days=20)
    monkeypatch.undo()
    said = "its certificate has expired; make new ones with `radcnn cohort certificates`, and copy them again."
    assert _why_refused(then, then, monkeypatch) == said


def test_a_worker_says_before_the_work_what_keeps_it_from_it(tmp_path: Path) -> None:
    import torch

    from model_factory import describe, unet
    from napari_radcnn.cohort.chain import chain_of, resolve
    from napari_radcnn.cohort.cluster.models import packs_of
    from napari_radcnn.cohort.cluster.remote import enter
    from napari_radcnn.errors import TrustError
    from napari_radcnn.files import file_hash
    from napari_radcnn.version import __version__

    torch.jit.save(torch.jit.script(unet()), tmp_path / "net.ts")
    describe(tmp_path / "model.json", weights="net.ts", architecture=None)
    with pytest.raises(TrustError) as caught:
        resolve(chain_of(tmp_path / "model.json"))
    trust = caught.value.sha256
    assert trust == file_hash(tmp_path / "net.ts")
    steps = resolve(chain_of(tmp_path / "model.json"), trust=trust)
    packs, renamed, origins = packs_of(steps, trust)
    ((name, data),) = packs.items()
    assert list(origins) == [renamed[0].name]
    assert Path(origins[renamed[0].name]).parent == tmp_path

    def problem(packs: dict[str, bytes], **changes: object) -> str:
        asked = {
            "version": __version__,
            "steps": [{"model": renamed[0].model, "identity": steps[0].identity}],
            "trust": trust,
            "sha256": {name: hashlib.sha256(data).hexdigest()},
            "paths": [str(tmp_path)],
        }
        return str(json.loads(enter(json.dumps(asked | changes), packs))["problem"])

    assert "contains code" in problem(packs, trust=None)
    assert "damaged during the transfer" in problem({name: data[:-1] + b"x"})
    assert "no model 'sent-" in problem({})
    assert problem(packs) == ""
    assert problem({}) == ""  # it stays there
    assert "has a different model called" in problem({}, steps=[{"model": name, "identity": "1:0"}])
    assert "no model 'nothing'" in problem({}, steps=[{"model": "nothing", "identity": "1:0"}])
    assert f"has napari-radcnn {__version__}, not 9.9" in problem({}, version="9.9")
    unseen = str(tmp_path / "not shared")
    assert f"cannot access {unseen}: share that folder with it, or send the files (--send)" == problem(
        {}, paths=[str(tmp_path), unseen]
    )


class _Future:
    """A task that ended with an answer."""

    status = "finished"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def result(self) -> tuple[str, bytes]:
        return json.dumps(self.answer.to_dict()), b""


class _Watch:
    """Two workers, known by name and address."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = frozenset(allowed)

    def address_of(self, name: str) -> str:
        return {"small": "tls://a:1", "large": "tls://b:1"}.get(name, "")


class _Client:
    """Takes tasks, and keeps to whom they may go."""

    def __init__(self) -> None:
        self.given: list[tuple[Job, list[str]]] = []

    def submit(self, _function: object, text: str, *_: object, workers: list[str], **how: object) -> Any:
        assert how["allow_other_workers"] is False
        self.given.append((Job.from_dict(json.loads(text)), workers))
        return SimpleNamespace(add_done_callback=lambda _call: None)


def test_a_case_that_lacks_memory_goes_elsewhere_three_times_at_most(tmp_path: Path) -> None:
    cluster, client = Cluster("tls://x:1"), _Client()
    cluster._watch = _Watch("tls://a:1", "tls://b:1")  # type: ignore[assignment]
    job = Job("c", {}, (), {}, {}, str(tmp_path / "a+b" / "out" / ".radcnn-work" / "run-7"))
    task = cluster._submit(client, "t", job, frozenset(), [])  # type: ignore[arg-type]
    assert client.given[-1][1] == ["tls://a:1", "tls://b:1"]
    short = Answer("c", "failed", "no memory", [], is_short=True, where="small")
    assert cluster._answer(task, _Future(short)) is None
    task = cluster._submit(client, "t", task.job, task.avoided, task.lost)  # type: ignore[arg-type]
    assert client.given[-1][1] == ["tls://b:1"]
    # whoever had it before may still write for it: elsewhere
    places = [Path(given.staging) for given, _ in client.given]
    assert {place.parent for place in places} == {tmp_path / "a+b" / "out" / ".radcnn-work"}
    assert [place.name.partition("+")[0] for place in places] == ["run-7", "run-7"]
    assert places[0] != places[1]
    assert cluster._answer(task, _Future(replace(short, where="large"))) is None
    answer = cluster._answer(task, _Future(short))
    assert answer is not None
    assert (answer.state, answer.reason, answer.tries) == ("failed", "no memory", 3)
    # what fails otherwise has failed
    other = Answer("c", "failed", "no scan", [], where="small")
    assert cluster._answer(_Task(job, None, frozenset()), _Future(other)) == other


def test_a_case_is_not_given_to_a_worker_that_has_not_been_asked(tmp_path: Path) -> None:
    cluster, client = Cluster("tls://x:1"), _Client()
    cluster._watch = _Watch()  # type: ignore[assignment]
    job = Job("c", {}, (), {}, {}, str(tmp_path / "w" / "run-7"))
    task = cluster._submit(client, "t", job, frozenset(), [])  # type: ignore[arg-type]
    assert (task.future, task.allowed, client.given) == (None, frozenset(), [])


def test_sending_needs_somebody_to_send_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 1)
    words = ["cohort", "run", "convert", str(cases), "-o", str(tmp_path / "out")]
    assert main([*words, "--send"]) == 2
    assert "--scheduler" in capsys.readouterr().err
    assert main([*words, "--scheduler", "tls://127.0.0.1:9", "--certificates", str(tmp_path / "none")]) == 2
    assert "no such certificate" in capsys.readouterr().err


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the cheap model, for ``PYTHONPATH``."""
    return cohorts.lay_out_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[clusters.Processes]:
    """Start a scheduler and two workers."""
    with clusters.Processes(tmp_path_factory.mktemp("cluster"), models) as processes:
        processes.scheduler()
        processes.worker("one")
        processes.worker("two")
        yield processes


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, models: Path) -> tuple[Path, Path]:
    """Return a list of ten cases, one of which kills its process, and what processes here make of it."""
    folder = tmp_path_factory.mktemp("cohort")
    cases = cohorts.write_cohort(folder / "in", 10, {4: 9001})
    words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(folder / "whole"), *_OPTION]
    status, told, errors = cohorts.finished(words, models)
    assert status == ExitStatus.INCOMPLETE, errors
    assert "9 cases done, 1 failed" in told
    return cases, folder / "whole"


_OPTION = ["--option", "seconds=0.3"]


def _words(cluster: clusters.Processes, cases: Path, out: Path) -> list[str]:
    return ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(out), *_OPTION, *cluster.words]


def _is_same(out: Path, whole: Path) -> bool:
    return cohorts.table_without_times(out) == cohorts.table_without_times(whole) and cohorts.hashes_of(
        out
    ) == cohorts.hashes_of(whole)


def test_workers_that_scans_are_sent_to_give_what_this_computer_gives(
    cluster: clusters.Processes, cohort: tuple[Path, Path], tmp_path: Path, models: Path
) -> None:
    cases, whole = cohort
    out = tmp_path / "out"
    status, _, errors = cohorts.finished([*_words(cluster, cases, out), "--send"], models)
    assert status == ExitStatus.INCOMPLETE, errors
    assert _is_same(out, whole)
    log = (out / "log.jsonl").read_text()
    assert '"where": "one"' in log
    assert '"where": "two"' in log
    made_by = (out / "c001" / "toy-waiting.nii.gz.radcnn.json").read_text()
    assert str(cases.parent / "scan001.nii.gz") in made_by


def test_a_worker_that_is_killed_loses_nothing(
    cluster: clusters.Processes, cohort: tuple[Path, Path], tmp_path: Path, models: Path
) -> None:
    cases, whole = cohort
    out = tmp_path / "out"
    with cohorts.started(_words(cluster, cases, out), models) as process:
        while '"answered"' not in (log := (out / "log.jsonl").read_text() if (out / "log.jsonl").exists() else ""):
            assert process.poll() is None, log
            time.sleep(0.05)
        cluster.kill("two")
        told, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == ExitStatus.INCOMPLETE, errors
    cluster.worker("two")
    assert "9 cases done, 1 failed" in told, errors
    assert _is_same(out, whole)


def test_others_do_not_get_in(cluster: clusters.Processes, tmp_path: Path, models: Path) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 1)
    make_certificates(tmp_path / "others")
    words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(tmp_path / "out"), *_OPTION]
    with_others = ["--scheduler", cluster.address, "--certificates", str(tmp_path / "others")]
    status, _, errors = cohorts.finished([*words, *with_others], models)
    assert status == 5
    assert "its certificate was not signed by our authority" in errors
    # the right authority, but a certificate that it did not sign: the scheduler is the one who refuses
    (tmp_path / "others" / "ca.pem").write_bytes((cluster.certificates / "ca.pem").read_bytes())
    status, _, errors = cohorts.finished([*words, *with_others], models)
    assert status == 5
    assert "it refuses our certificate" in errors


@pytest.mark.slow  # `test_a_worker_says_before_the_work_what_keeps_it_from_it` asks without processes
def test_workers_that_do_not_fit_are_named(
    cluster: clusters.Processes, cohort: tuple[Path, Path], tmp_path: Path, models: Path
) -> None:
    cases, whole = cohort
    words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(tmp_path / "out"), *_OPTION]
    # a worker of another version, and one that has no such model
    older = tmp_path / "older"
    older.mkdir()
    (older / "sitecustomize.py").write_text("import napari_radcnn.version as v\nv.__version__ = '0.0.1'\n")
    path = cohorts.environment(models)["PYTHONPATH"]
    cluster.worker("older", PYTHONPATH=f"{older}:{path}")
    cluster.worker("bare", PYTHONPATH=path.rpartition(":")[0])
    status, _, errors = cohorts.finished([*words, *cluster.words], models)
    assert status == ExitStatus.INCOMPLETE, errors
    assert "worker older is not used: has napari-radcnn 0.0.1, not" in errors
    assert "worker bare is not used: There is no model 'toy-waiting'" in errors
    assert _is_same(tmp_path / "out", whole)
    assert '"where": "older"' not in (tmp_path / "out" / "log.jsonl").read_text()
    cluster.kill("one")
    cluster.kill("two")
    status, _, errors = cohorts.finished([*words[:-1], "seconds=0", *cluster.words], models)
    assert status == 4
    assert "no worker can be used" in errors


@pytest.mark.slow
def test_clients_workers_and_the_scheduler_killed_at_twenty_moments(tmp_path: Path, models: Path) -> None:
    import random

    chance = random.Random(11)
    cases = cohorts.write_cohort(tmp_path / "in", 60, {3: 9001, 7: 9004})
    (tmp_path / "in" / "scan005.nii.gz").unlink()
    (tmp_path / "in" / "scan009.nii.gz").write_bytes(b"")
    (tmp_path / "in" / "scan011.nii.gz").write_bytes(b"not a scan at all")
    words = ["cohort", "run", cohorts.MODEL, str(cases), *_OPTION]
    status, _, errors = cohorts.finished([*words, "-o", str(tmp_path / "whole"), "--jobs", "2"], models)
    assert status == ExitStatus.INCOMPLETE, errors
    out = tmp_path / "out"
    with clusters.Processes(tmp_path, models) as cluster:
        killed: list[str] = []
        while len(killed) < 20:
            _start_all(cluster)
            with cohorts.started([*words, "-o", str(out), *cluster.words], models) as process:
                time.sleep(chance.uniform(1.0, 12.0))
                if process.poll() is not None:  # done: begun anew, so that every kill meets a run that is under way
                    for path in sorted((out / "records").glob("*.json"))[::2]:
                        path.unlink()
                    continue
                victim = ("client", "one", "two", "scheduler")[len(killed) % 4]
                killed.append(victim)
                if victim in ("one", "two"):
                    cluster.kill(victim)
                    time.sleep(chance.uniform(0.0, 3.0))
                elif victim == "scheduler":
                    cluster.close()
        assert len(killed) == 20
        _start_all(cluster)
        status, told, errors = cohorts.finished([*words, "-o", str(out), *cluster.words], models)
    assert status == ExitStatus.INCOMPLETE, errors
    assert "55 cases done" in told
    assert _is_same(out, tmp_path / "whole")


def _start_all(cluster: clusters.Processes) -> None:
    if "scheduler" not in cluster.running:
        cluster.scheduler()
    for name in ("one", "two"):
        if name not in cluster.running:
            cluster.worker(name)

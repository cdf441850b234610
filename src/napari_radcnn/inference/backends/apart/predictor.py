"""A network that is a program from elsewhere, opened and computed in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict

from napari_radcnn.errors import ModelError, RadcnnError
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.agreement import Outputs
from napari_radcnn.inference.backends.apart.messages import Words, network_words
from napari_radcnn.inference.backends.apart.process import Process
from napari_radcnn.inference.backends.base import Patch, Predictor
from napari_radcnn.inference.backends.choice import open_predictor
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.networks.files import FileNetwork
from napari_radcnn.progress import Monitor

#: How long the layers of a network may take to be counted, s: one that never ends is found out here first.
_WEIGHING_SECONDS = 15.0


class ApartPredictor:
    """A network in another process; a `Predictor`.

    Parameters
    ----------
    process : Process
        In which it is open.
    facts : mapping
        The attributes of the predictor there.
    monitor : Monitor
        Looked at while it computes: a cancel ends the process.
    """

    def __init__(self, process: Process, facts: Words, monitor: Monitor) -> None:
        self._process: Process | None = process
        self._monitor = monitor
        self.warnings: list[str] = []
        self._take(facts)

    def _take(self, facts: Words) -> None:
        self.backend, self.device, self.precision = (str(facts[name]) for name in ("backend", "device", "precision"))
        self.agreement: float | None = facts["agreement"]
        self.measured_on: str | None = facts["measured_on"]

    def __call__(self, patch: Patch) -> Patch:
        """Return ``(classes, k, j, i)`` of a ``(channels, k, j, i)`` patch; see `Predictor`."""
        if self._process is None:
            raise ModelError("This network has been closed; open it again.")
        self._process.send({"do": "run"}, patch)
        words, answer = self._process.wait(self._monitor.check)
        self._take(words["opened"])
        self.warnings = list(words["late"])
        if answer is None:
            raise ModelError("The process that computes the network gave no answer; run it again.")
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.end()
        self._process = None


def open_file_network(
    network: FileNetwork,
    patch: Shape,
    settings: RunSettings,
    *,
    threads: int,
    sample: Patch | None = None,
    tolerance: float = 0.995,
    outputs: Outputs = "classes",
    monitor: Monitor,
    scan: Callable[[], str] | None = None,
) -> tuple[Predictor, tuple[str, ...]]:
    """Open a network of a file where it computes fastest, in a process of its own if it is a program from elsewhere.

    Such a program (ONNX, TorchScript, a bundle's own code) may never end, crash, or take all the memory. In a process
    of its own that costs nothing but the run, and a cancel ends it whatever it is doing; a native call within this
    process could not be interrupted.

    Parameters
    ----------
    network : FileNetwork
        The network.
    patch, settings, threads, sample, tolerance, outputs, scan
        As of `napari_radcnn.inference.backends.choice.open_predictor`.
    monitor : Monitor
        Told what takes long, and asked whether to go on, many times a second.

    Returns
    -------
    predictor : Predictor
        Must be closed.
    warnings : tuple of str
        Which backends were dropped, and why.

    Raises
    ------
    ResourceError, ModelError
        As of `open_predictor`; also if the process crashes or is ended by the operating system.
    CancelledError
        If the user asked to stop, also in the middle of a patch.
    """
    if not network.is_program:
        return open_predictor(
            network,
            patch,
            settings,
            threads=threads,
            sample=sample,
            tolerance=tolerance,
            outputs=outputs,
            monitor=monitor,
            scan=scan,
        )
    process = Process(network.file.path.name)
    request = {
        "do": "open",
        "network": network_words(network),
        "patch": list(patch),
        "settings": asdict(settings),
        "threads": threads,
        "tolerance": tolerance,
        "outputs": outputs,
        "asks": scan is not None,
    }
    with ExitStack() as stack:
        stack.callback(process.end)
        process.send(request, sample)
        while True:
            words, _ = process.wait(monitor.check)
            if "say" in words:
                monitor.say(words["say"])
            elif "ask" in words and scan is not None:
                process.send({"scan": scan()})
            else:
                stack.pop_all()
                return ApartPredictor(process, words["opened"], monitor), tuple(words["warnings"])


def weigh_onnx(network: FileNetwork, patch: Shape) -> int | None:
    """Return the bytes of an ONNX network's weights and of all values that are there at a time, for one patch.

    Returns
    -------
    int or None
        None where it cannot be told: OpenVINO is missing, cannot read the file, or does not come to an end.
    """
    process = Process(network.file.path.name)
    try:
        process.send({"do": "weigh", "network": network_words(network), "patch": list(patch)})
        words, _ = process.wait(lambda: None, limit=_WEIGHING_SECONDS)
        return int(words["bytes"])
    except (RadcnnError, TimeoutError):
        return None
    finally:
        process.end()

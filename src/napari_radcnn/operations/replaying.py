"""A result made again, from its manifest, and compared with what the manifest says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn import provenance
from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.foreign.installed import identity_of
from napari_radcnn.interactive.engines.registry import find_engine
from napari_radcnn.io.pixel_size import LARGEST_MM, SMALLEST_MM, can_be_typed, with_pixel_size
from napari_radcnn.manifest import check_replayable, doubts_of, is_same_result, read_manifest, suitability_of
from napari_radcnn.models import ModelSpec, find_model, get_model
from napari_radcnn.operations.planning import plan
from napari_radcnn.operations.running import run
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import LabelMap, Result
from napari_radcnn.spec.identity import is_same_identity
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.io import OnIrregular

#: Called with what speaks against a run before it begins, one line each.
Warn = Callable[[Sequence[str]], object]


@dataclass(frozen=True, eq=False)
class Replay:
    """What a replay gave.

    Attributes
    ----------
    result : Result
        As the operation returned it that made it first.
    manifest : mapping
        What was made again; that of the new result is its ``provenance``.
    scans : tuple of Volume
        What it was made from, the model's inputs in order.
    is_same : bool or None
        Whether the result is the same to the last voxel, or in the first five digits of its numbers; None where the
        manifest does not say what it was.
    """

    result: Result
    manifest: Mapping[str, Any]
    scans: tuple[Volume, ...]
    is_same: bool | None

    @property
    def compared(self) -> str:
        """What `is_same` is about: ``"voxels"``, or the ``"numbers"`` of a classification or a value."""
        recorded = self.manifest.get("result")
        return "numbers" if isinstance(recorded, Mapping) and "numbers" in recorded else "voxels"


def replay(
    manifest: str | Path | Mapping[str, Any],
    *,
    label_maps: Sequence[LabelMap] = (),
    trust: str | None = None,
    anyway: bool = False,
    on_irregular: OnIrregular = "refuse",
    warn: Warn | None = None,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> Replay:
    """Make a result again as its manifest says, with the model, options, device and number of threads named there.

    Parameters
    ----------
    manifest : path or mapping
        ``OUT.radcnn.json``, which lies beside each result; or the ``provenance`` of a result.
    label_maps : sequence of LabelMap
        What an interactive result copied from; each is recognized by its voxels.
    trust : str, optional
        SHA-256 of a foreign model whose code may run, see `napari_radcnn.open_model`.
    anyway : bool
        Whether a model runs on a scan that it was not made for; it does where it did so before, and where the manifest
        is from before that was judged.
    on_irregular : {"refuse", "resample", "split"}
        How the scan is read, see `napari_radcnn.read`.
    warn : callable, optional
        Called with what speaks against the run before it begins: a list of lines, which may be empty.
    progress : callable, optional
        Called as ``progress(done, total, message)`` in the thread that runs.
    cancel : object with ``is_set()``, optional
        Such as `threading.Event`.

    Returns
    -------
    Replay
        The result, and whether it is the same.

    Raises
    ------
    ReadError
        If the manifest cannot be read or is of a newer schema, or the scan is not there or no longer what it was.
    ModelError
        If the model is not there, has other weights, or is not installed.
    ResourceError, CancelledError, OptionError, SessionError
        As the operation that made it.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> radcnn.replay("denoised.nii.gz.radcnn.json").is_same
    True
    """
    source = manifest if isinstance(manifest, Mapping) else Path(manifest)
    if isinstance(source, Mapping):
        check_replayable(source, "The manifest")
    found = dict(source) if isinstance(source, Mapping) else read_manifest(source)
    reading = _Reading(progress, cancel, on_irregular)
    if isinstance(source, Path) and warn is not None and isinstance(found.get("output"), str):
        warn(doubts_of(source.with_name(found["output"])))
    result: Result
    if "steps" in found:
        result, scans = _play(found, source, label_maps, reading, warn)
    else:
        result, scans = _run(
            found, trust, anyway or suitability_of(found).get("state", "refused") == "refused", reading, warn
        )
    return Replay(result, found, scans, is_same_result(found, result.provenance))


@dataclass(frozen=True)
class _Reading:
    """How scans are read again."""

    progress: Progress | None
    cancel: CancelEvent | None
    on_irregular: OnIrregular

    def find(self, identity: Mapping[str, Any]) -> Volume:
        """Return the scan that a manifest names.

        Raises
        ------
        ReadError
            If it cannot be read, or is no longer what it was.
        """
        from napari_radcnn.io import read

        path = Path(identity["path"])
        for volume in read(path, progress=self.progress, cancel=self.cancel, on_irregular=self.on_irregular):
            for found in (volume, *_with_size(volume, identity)):
                if provenance.identify(found)["sha256"] == identity["sha256"]:
                    return found
        raise ReadError(f"{path}: its voxels or its grid no longer match the manifest.")


def _with_size(volume: Volume, identity: Mapping[str, Any]) -> list[Volume]:
    """Return a picture with the pixel size that was typed when it was run on; nothing where none can have been."""
    mm = (identity.get("spacing_mm") or [0.0])[-1]
    is_typed = can_be_typed(volume) and volume.geometry.shape[0] == 1 and SMALLEST_MM <= mm <= LARGEST_MM
    return [with_pixel_size(volume, mm)] if is_typed else []


def _run(
    manifest: Mapping[str, Any], trust: str | None, anyway: bool, reading: _Reading, warn: Warn | None
) -> tuple[Result, tuple[Volume, ...]]:
    """Run a model again."""
    spec, changes = _model_of(manifest["model"], trust)
    wanted = manifest.get("inputs") or {"": manifest["input"]}
    scans = tuple(reading.find(identity) for identity in wanted.values())
    settings, options = manifest["settings"], manifest["options"]
    if warn is not None:
        expected = plan(scans, spec, options, device=settings["device"], precision=settings["precision"])
        warn([*changes, *(text for scan in scans for text in scan.warnings), *expected.warnings])
    result = run(
        scans,
        spec,
        options,
        device=settings["device"],
        precision=settings["precision"],
        progress=reading.progress,
        cancel=reading.cancel,
        # in bfloat16 the last bits, and a voxel in a million, hang on the number of threads
        threads=manifest.get("threads"),
        anyway=anyway,
    )
    return result, scans


def _model_of(described: Mapping[str, Any], trust: str | None) -> tuple[ModelSpec, list[str]]:
    """Return the model that a manifest describes, and what of it is not as it was.

    Raises
    ------
    ModelError
        If a foreign model is no longer where it was, or has other weights.
    """
    origin = described.get("origin")
    spec = get_model(described["name"]) if origin is None else find_model(Path(origin), trust=trust)
    version = described.get("version")
    changes = []
    if spec.version != version:
        changes.append(
            f"'{spec.name}' is version {spec.version} on this computer, but version {version} in the manifest."
        )
    if origin is not None:
        known = {one["sha256"] for one in described["weights"]}
        if known != {file.sha256 for file in spec.files}:
            raise ModelError(f"{origin}: its weights no longer match the manifest.")
    if not is_same_identity(described.get("identity"), identity_of(spec)):
        if origin is not None:
            raise ModelError(
                f"{origin}: the weights match the manifest, but the description or configuration beside them has "
                "changed: restore it, or run the model again."
            )
        changes.append(
            f"'{spec.name}' on this computer differs slightly from the model in the manifest: the result may differ."
        )
    return spec, changes


def _play(
    manifest: Mapping[str, Any],
    source: Path | Mapping[str, Any],
    label_maps: Sequence[LabelMap],
    reading: _Reading,
    warn: Warn | None,
) -> tuple[LabelMap, tuple[Volume, ...]]:
    """Play the steps of an interactive result again."""
    from napari_radcnn.interactive.script import read_script, script_from_dict
    from napari_radcnn.play import check_engines, play

    if isinstance(source, Path):
        script = read_script(source, label_maps)
    else:
        script = script_from_dict(source, "The manifest", label_maps)
    check_engines(script)
    scan = reading.find(manifest["input"])
    if warn is not None:
        warn([*_changes_of_engines(manifest), *scan.warnings])
    return play(scan, script, progress=reading.progress, cancel=reading.cancel), (scan,)


def _changes_of_engines(manifest: Mapping[str, Any]) -> list[str]:
    """Return what of the engines is no longer as it was."""
    changes = []
    for described in manifest.get("engines") or [manifest["model"]]:
        spec = find_engine(str(described.get("name")))
        if spec is None:
            continue
        version, weights = described.get("version"), {one.get("sha256") for one in described.get("weights", ())}
        if version != spec.version:
            changes.append(
                f"'{spec.name}' is version {spec.version} on this computer, but version {version} in the manifest."
            )
        elif weights != {file.sha256 for file in spec.weights}:
            changes.append(f"The weights of '{spec.name}' on this computer differ from those in the manifest.")
    return changes

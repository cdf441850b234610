"""Networks converted to OpenVINO's format, kept in this computer's cache folder.

Conversion needs torch, which takes seconds to import, and computes the network once in float32. From a kept model a run
begins without either.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.errors import WriteError
from napari_radcnn.files import hidden_path, make_ready, owned
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.base import NetworkSource
from napari_radcnn.inference.backends.openvino.cpu import convert, import_openvino, openvino_core
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.user_folders import cache_folder
from napari_radcnn.version import package_version

if TYPE_CHECKING:
    import openvino

#: Of the folder, bytes; the models that were not used for the longest time go first.
_MOST = 4 * 2**30


def converted_model(source: NetworkSource, patch: Shape, *, is_compared: bool) -> openvino.Model:
    """Return a network as OpenVINO's model: the kept one, else converted and kept.

    Parameters
    ----------
    source, patch, is_compared
        See `convert`.

    Raises
    ------
    BackendError
        If OpenVINO cannot express the network.
    """
    if source.onnx_path is not None:  # as quick to read as a kept one
        return convert(source, patch, is_compared=is_compared)
    file = _file(source, patch)
    with suppress(RuntimeError, OSError):  # not there, or damaged: it is made anew
        if _is_whole(file):
            model = openvino_core().read_model(file)
            file.touch()
            return model
    model = convert(source, patch, is_compared=is_compared)
    _keep(model, file)
    return model


def _parts(file: Path) -> tuple[Path, Path, Path]:
    """Return where a kept model's layers, weights and the checksums of both lie."""
    return file, file.with_suffix(".bin"), file.with_suffix(".sha256")


def _is_whole(file: Path) -> bool:
    """Return whether a kept model is what was written: OpenVINO itself does not look at its weights."""
    layers, weights, sums = _parts(file)
    if not (layers.is_file() and weights.is_file() and sums.is_file()):
        return False
    return sums.read_bytes().decode("ascii", "replace").split() == [file_sha256(layers), file_sha256(weights)]


def _file(source: NetworkSource, patch: Shape) -> Path:
    versions = " ".join(package_version(name) for name in ("napari-radcnn", "torch", "openvino"))
    about = f"{source.identity} {source.spatial_dims} {source.channels} {patch} {versions}"
    return cache_folder() / "openvino" / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.xml"


def _keep(model: openvino.Model, file: Path) -> None:
    """Write a model, its checksums last, without which it is not taken; a full disk does no harm."""
    ov = import_openvino()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        make_ready(file.parent)
        with owned(file):
            folder = hidden_path(file)
            try:
                folder.mkdir()
                made, made_weights, made_sums = _parts(folder / file.name)
                ov.save_model(model, made, compress_to_fp16=False)
                made_sums.write_text(f"{file_sha256(made)} {file_sha256(made_weights)}\n", encoding="ascii")
                _, weights, sums = _parts(file)
                sums.unlink(missing_ok=True)
                made_weights.replace(weights)
                made.replace(file)
                made_sums.replace(sums)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            _forget_old(file)
    except (OSError, RuntimeError, WriteError):  # among them: another process is keeping the same model
        return


def _forget_old(newest: Path) -> None:
    """Delete the models that were not used for the longest time, until the rest is small enough."""
    room = _MOST
    for file in sorted(newest.parent.glob("*.xml"), key=lambda file: file.stat().st_mtime, reverse=True):
        room -= sum(part.stat().st_size for part in (file, file.with_suffix(".bin")) if part.exists())
        if room < 0 and file != newest:
            with suppress(OSError):  # in use, on Windows
                for part in reversed(_parts(file)):
                    part.unlink(missing_ok=True)

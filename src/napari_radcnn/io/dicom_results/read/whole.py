"""Read a result file whole, unless it says to be more than it can be."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size
from napari_radcnn.io.dicom.headers import DEFLATED, deflated_start

if TYPE_CHECKING:
    from pydicom import Dataset

#: What a deflated result may take when it is inflated.
_MOST_INFLATED = 512 << 20
_CHUNK = 1 << 20


def read_whole(path: Path) -> Dataset:
    """Return the dataset of a DICOM file, pixels included.

    Raises
    ------
    ReadError
        If it is deflated and would inflate to more than 512 MiB; pydicom would allocate what it asks for.
    """
    from pydicom import dcmread

    with path.open("rb") as file:
        if DEFLATED.encode() in file.read(1024):
            file.seek(deflated_start(file))
            engine, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
            rest = file.read()
            while rest and size <= _MOST_INFLATED:
                size += len(engine.decompress(rest, _CHUNK))
                rest = engine.unconsumed_tail
            if size > _MOST_INFLATED:
                raise ReadError(
                    f"{path.name}: the file of {binary_size(path.stat().st_size)} decompresses to more than "
                    f"{binary_size(_MOST_INFLATED)}; it is damaged or malicious."
                )
    return dcmread(path, force=True)  # old planning systems write no preamble

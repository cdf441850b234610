"""The pixels of a segmentation's frames: packed bits, bytes, or compressed, also where the pixels are single bits."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.headers import damage

if TYPE_CHECKING:
    from pydicom import Dataset

#: Uncompressed, in pydicom's hands once a file is read: implicit, explicit, deflated as a whole, big endian.
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
_BIG_ENDIAN, _RLE = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
_PLUGIN = "pydicom"
#: Each frame deflated on its own (DICOM PS3.5, A.4.12), of which pydicom 3.0 does not know the name.
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


class SegmentPixels:
    """The pixels of the frames of a segmentation.

    Parameters
    ----------
    dataset : pydicom.Dataset
        The whole file.
    path : Path
        What errors call it.
    shape : (int, int)
        Rows and columns.
    bits : int
        BitsAllocated: 1, 8 or 16.
    count : int
        Number of frames.

    Raises
    ------
    ReadError
        If the file is shorter than it says.
    """

    def __init__(self, dataset: Dataset, path: Path, shape: tuple[int, int], bits: int, count: int) -> None:
        self.dataset, self.path, self.shape, self.bits, self.count = dataset, path, shape, bits, count
        self.syntax = str(dataset.file_meta.TransferSyntaxUID)
        self.is_native = self.syntax in _NATIVE
        needed = (count * shape[0] * shape[1] * bits + 7) // 8
        if self.is_native and len(dataset.get("PixelData", b"")) < needed:
            raise ReadError(f"{path.name}: the segmentation has fewer pixels than its header states: it is truncated.")

    def frame(self, n: int) -> npt.NDArray[Any]:
        """Return frame n.

        Raises
        ------
        ReadError
            If it cannot be decoded.
        """
        size = self.shape[0] * self.shape[1]
        if self.is_native:
            return self._packed(self.dataset.PixelData, n * size).reshape(self.shape)
        try:
            return self._compressed(n, size).reshape(self.shape)
        except damage() as error:
            from pydicom.uid import UID

            name = UID(self.syntax).name
            called = f"{name} ({self.syntax})" if name != self.syntax else self.syntax
            raise ReadError(
                f"{self.path.name}: the pixels of the segmentation, compressed as {called}, cannot be decoded "
                f"({type(error).__name__}): export it uncompressed."
            ) from error

    def _compressed(self, n: int, size: int) -> npt.NDArray[Any]:
        from pydicom.encaps import get_frame
        from pydicom.pixels import pixel_array

        if self.syntax == _DEFLATED_FRAMES:
            most = (size * self.bits + 7) // 8
            engine = zlib.decompressobj(-zlib.MAX_WBITS)
            data = engine.decompress(get_frame(self.dataset.PixelData, n, number_of_frames=self.count), most + 1)
            return self._packed(data, 0)
        if self.syntax == _RLE and self.bits == 1:
            return self._run_lengths(n, size)
        # pydicom's own decoder says what is wrong with damaged run lengths; pylibjpeg-rle 2.2 panics on them
        return np.asarray(pixel_array(self.dataset, index=n, decoding_plugin=_PLUGIN if self.syntax == _RLE else ""))

    def _run_lengths(self, n: int, size: int) -> npt.NDArray[Any]:
        """Return a frame of bits: run lengths of packed bits, or, as some write them, of a byte each."""
        from pydicom.pixels import get_decoder

        decoder, packed_size = get_decoder(_RLE), (size + 7) // 8
        try:
            return self._decoded(decoder, n, size)  # a decoder takes more than it needs, but not less
        except damage():
            return self._packed(self._decoded(decoder, n, packed_size).tobytes(), 0)

    def _decoded(self, decoder: Any, n: int, length: int) -> npt.NDArray[Any]:
        found, _ = decoder.as_array(
            self.dataset.PixelData, index=n, raw=True, rows=1, columns=length, number_of_frames=self.count,
            samples_per_pixel=1, photometric_interpretation="MONOCHROME2", pixel_representation=0, bits_allocated=8,
            bits_stored=8, pixel_keyword="PixelData", decoding_plugin=_PLUGIN,
        )  # fmt: skip
        return np.asarray(found).ravel()

    def _packed(self, data: bytes, start: int) -> npt.NDArray[Any]:
        """Return the pixels of a frame that begins at pixel `start`."""
        size = self.shape[0] * self.shape[1]
        if self.bits == 1:  # bits of all frames follow each other, the lowest first (DICOM PS3.5, 8.1.1)
            packed = np.frombuffer(data, np.uint8)[start // 8 : (start + size + 7) // 8]
            return np.unpackbits(packed, bitorder="little")[start % 8 : start % 8 + size]
        width = self.bits // 8
        order = ">" if self.syntax == _BIG_ENDIAN else "<"
        return np.frombuffer(data, f"{order}u{width}", size, start * width)

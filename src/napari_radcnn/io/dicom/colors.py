"""Colors as 8-bit RGB, as screens show them; what is lost by that is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.frames import image_size
from napari_radcnn.io.dicom.headers import Instance, damage, number, text

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_PALETTE = "PALETTE COLOR"
#: Color spaces that become RGB: as pydicom converts them, and as decoders of JPEG and JPEG 2000 do.
_CONVERTED = ("RGB", "YBR_FULL", "YBR_FULL_422")
_CODED = ("YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420", "YBR_PARTIAL_422")
_JPEG = "1.2.840.10008.1.2.4."
_RED, _GREEN, _BLUE = "Red", "Green", "Blue"
_DATA = "{}PaletteColorLookupTableData"
_SEGMENTED = "Segmented{}PaletteColorLookupTableData"
_DESCRIPTOR = "{}PaletteColorLookupTableDescriptor"


def check_color(instance: Instance) -> None:
    """Refuse colors that would not come out as RGB.

    Raises
    ------
    ReadError
        If the color space of a picture with several samples is not one that is converted, or has too many bits.
    """
    if image_size(instance)[2] == 1 or instance.keyword != "PixelData":
        return
    kind = text(instance.tags, "PhotometricInterpretation")
    is_coded = instance.transfer_syntax.startswith(_JPEG)
    if kind not in _CONVERTED and not (is_coded and kind in _CODED):
        raise ReadError(f"{instance.path.name}: the photometric interpretation '{kind}' cannot be read.")
    if kind.startswith("YBR") and not is_coded and _stored(instance) > 8:
        raise ReadError(
            f"{instance.path.name}: {kind} colors of {_stored(instance)} bits cannot be read; export them as RGB."
        )


def eight_bits(values: npt.NDArray[Any], instance: Instance) -> npt.NDArray[np.uint8]:
    """Return the upper 8 of the stored bits of RGB; see `color_notes`.

    Parameters
    ----------
    values : (frames, rows, columns, samples) array of uint8, uint16 or uint32
        Decoded; of four samples the last is left out.
    instance : Instance
        Their file.

    Raises
    ------
    ReadError
        If there is one sample a pixel, which is neither gray nor a palette's.
    """
    if values.ndim == 3:
        kind = text(instance.tags, "PhotometricInterpretation")
        raise ReadError(f"{instance.path.name}: the photometric interpretation '{kind}' cannot be read.")
    values = values[..., :3]
    if values.dtype == np.uint8:
        return values
    return (values >> max(_stored(instance) - 8, 0) & 0xFF).astype(np.uint8)


def palette_colors(indices: npt.NDArray[Any], instance: Instance) -> npt.NDArray[np.uint8]:
    """Return the colors that stand at these places of the file's palette (DICOM PS3.3, C.7.6.3.1.5 and .6).

    Parameters
    ----------
    indices : (...) array of int
        Stored values.
    instance : Instance
        Their file.

    Returns
    -------
    (..., 3) array of uint8

    Raises
    ------
    Exception
        One of `damage`, if the palette is missing or damaged.
    """
    colors, first = _colors(_table(instance))
    within = np.clip(indices.astype(np.int64) - first, 0, len(colors) - 1)
    if colors.dtype == np.uint16:
        colors = colors >> (0 if _are_in_low_byte(colors) else 8)
    return colors.astype(np.uint8)[within]


def color_notes(instance: Instance) -> list[str]:
    """Say where colors of more than 8 bits are shown with 8."""
    if text(instance.tags, "PhotometricInterpretation") == _PALETTE:
        try:
            return _palette_notes(_table(instance))
        except damage():  # is refused when it is decoded
            return []
    stored = _stored(instance)
    if image_size(instance)[2] == 1 or stored <= 8:
        return []
    return [f"The colors have {stored} bits in the file and 8 here: the lower {stored - 8} bits are dropped."]


def _palette_notes(table: Any) -> list[str]:
    colors, _ = _colors(table)
    if colors.dtype == np.uint8:
        return []
    if _are_in_low_byte(colors):
        said = "The palette's colors are at most 255 of 65535 in the file; they are assumed to have 8 bits."
        return [said] if table[_DESCRIPTOR.format(_RED)].value[2] > 8 else []
    low, high = colors & 0xFF, colors >> 8
    if not np.any((low != 0) & (low != high)):
        return []
    return ["The palette's colors have 16 bits in the file and 8 here: the lower 8 bits are dropped."]


def _table(instance: Instance) -> Any:
    """Return a dataset with nothing but the palette, its data little endian whatever the file is."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    table = Dataset()
    table.file_meta = FileMetaDataset()
    table.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for color in (_RED, _GREEN, _BLUE):
        for name in (_DESCRIPTOR, _DATA, _SEGMENTED):
            if name.format(color) not in instance.dataset:
                continue
            element = instance.dataset[name.format(color)]
            value = element.value
            if instance.transfer_syntax == _BIG_ENDIAN and element.VR == "OW":
                value = np.frombuffer(value, np.uint16).byteswap().tobytes()
            table.add_new(element.tag, element.VR, value)
    return table


def _colors(table: Any) -> tuple[npt.NDArray[Any], int]:
    """Return the colors of a palette, ``(n, 3)`` of uint8 or uint16, and the stored value of the first."""
    from pydicom.pixels import apply_color_lut

    count, first, depth = table[_DESCRIPTOR.format(_RED)].value
    count = count or 1 << 16
    if _DATA.format(_RED) not in table:
        if depth <= 8 and count > 1 << 8:  # pydicom 3.0 counts its places modulo 256
            raise ValueError("a segmented palette of more than 256 colors of 8 bits")
        return apply_color_lut(np.arange(first, first + count), table)[..., :3], first
    columns = []
    for color in (_RED, _GREEN, _BLUE):
        data = table[_DATA.format(color)].value
        is_wide = len(data) >= 2 * count if count > 1 else depth > 8
        columns.append(np.frombuffer(data, "<u2" if is_wide else "u1", count))
    return np.stack(columns, -1), first


def _are_in_low_byte(colors: npt.NDArray[Any]) -> bool:
    """Whether words hold 8-bit colors, whatever the descriptor says."""
    return int(colors.max()) <= 0xFF


def _stored(instance: Instance) -> int:
    allocated = int(number(instance.tags, "BitsAllocated", instance.path) or 8)
    return int(number(instance.tags, "BitsStored", instance.path) or allocated)

"""Read PNG, JPEG and TIFF as radiographs: one picture without a place, whose pixels have no size that is known.

What such files call resolution is that of a printer or a screen, and no mm in the patient: it is not used.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.problems import stem_of
from napari_radcnn.progress import CancelEvent, Progress, report
from napari_radcnn.volume import Volume, VolumeMetadata

if TYPE_CHECKING:
    from PIL.Image import Image

#: How the files begin: PNG, JPEG, TIFF and BigTIFF in either byte order.
STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: How Pillow holds gray values; of everything else the colors are taken.
_GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_UNCALIBRATED = "The size of its pixels is not known: lengths are in pixels, not mm."


def read_picture(path: Path, progress: Progress | None = None, _cancel: CancelEvent | None = None) -> list[Volume]:
    """Read one picture; a colored one whose colors are all gray becomes gray.

    Raises
    ------
    ReadError
        If the file is damaged, no picture, or holds several.
    """
    from PIL import Image, UnidentifiedImageError

    report(progress, 0, 1, f"Reading {path.name}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                count = getattr(image, "n_frames", 1)
                if count > 1:
                    raise ReadError(
                        f"{path.name}: contains {count} pictures; open it with napari's own reader, or save "
                        "the one that is the radiograph as a file of its own."
                    )
                array = _pixels(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ReadError(f"{path.name}: cannot be read as a picture ({error}).") from error
    except (SyntaxError, ValueError, EOFError, OverflowError) as error:  # a broken PNG is a SyntaxError to Pillow
        raise ReadError(f"{path.name}: the picture is damaged ({error}); copy it again.") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ReadError(f"{path.name}: the picture is damaged or cut off ({error}); copy it again.") from error
    report(progress, 1, 1, f"Read {path.name}")
    geometry = Geometry.from_parts((1, *array.shape[:2]), (1.0, 1.0, 1.0))
    about = VolumeMetadata(
        name=stem_of(path), source=path, source_format="picture", is_calibrated=False, is_placed=False
    )
    return [Volume(array[None], geometry, about, (_UNCALIBRATED,))]


def _pixels(image: Image) -> npt.NDArray:
    """Return the picture as gray values `(rows, columns)` or 8-bit colors `(rows, columns, 3)`, upright."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("LA", "La"):
        upright = upright.convert("L")
    if upright.mode in _GRAY:
        array = np.asarray(upright)
        array = array.astype(np.uint8) * 255 if array.dtype == bool else array
        return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
    colors = np.asarray(upright.convert("RGB"))
    is_gray = np.array_equal(colors[..., 0], colors[..., 1]) and np.array_equal(colors[..., 0], colors[..., 2])
    return np.ascontiguousarray(colors[..., 0] if is_gray else colors)

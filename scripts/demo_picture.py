"""Draw three planes of a scan with the outline of a label map: demo_picture.py SCAN LABELS PICTURE."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import napari_radcnn as radcnn
from napari_radcnn.preprocessing import resize

_MM_A_PIXEL = 0.5
_GAP = 12
_OUTLINE = (255, 140, 60)
#: Array axis that is cut, and the letters on the left, right, top and bottom of the plane.
_PLANES = ((0, "RLAP"), (1, "RLSI"), (2, "APSI"))


def main(scan_path: str, labels_path: str, picture_path: str) -> None:
    # (I, P, L): rows and columns of every plane then run as on a radiologist's screen, from top left.
    scan = radcnn.read(scan_path)[0].reoriented("IPL")
    labels = radcnn.read(labels_path)[0].reoriented("IPL")
    low, high = scan.contrast_limits()
    shape = [round(n * s / _MM_A_PIXEL) for n, s in zip(scan.geometry.shape, scan.geometry.spacing, strict=True)]
    image = np.clip((resize(scan.array, shape, "linear") - low) / (high - low), 0, 1)
    mask = resize((labels.array > 0).astype(np.float32), shape, "linear") > 0.5
    center = [int(np.mean(np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis}))))) for axis in range(3)]
    panels = [_panel(image, mask, axis, center[axis], letters) for axis, letters in _PLANES]
    width = sum(panel.width for panel in panels) + _GAP * (len(panels) + 1)
    picture = Image.new("RGB", (width, max(panel.height for panel in panels) + 2 * _GAP))
    left = _GAP
    for panel in panels:
        picture.paste(panel, (left, (picture.height - panel.height) // 2))
        left += panel.width + _GAP
    picture.save(Path(picture_path))


def _panel(image: np.ndarray, mask: np.ndarray, axis: int, index: int, letters: str) -> Image.Image:
    plane = (image.take(index, axis) * 255).astype(np.uint8)
    inside = mask.take(index, axis)
    rgb = np.repeat(plane[..., None], 3, axis=-1)
    rgb[_boundary(inside)] = _OUTLINE
    panel = Image.fromarray(rgb)
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(size=18)
    height, width = plane.shape
    places = ((10, height / 2), (width - 10, height / 2), (width / 2, 12), (width / 2, height - 12))
    for letter, place in zip(letters, places, strict=True):
        draw.text(place, letter, fill=(255, 230, 120), font=font, anchor="mm")
    return panel


def _boundary(inside: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Draw the results of the demo.

demo_picture.py labels SCAN LABELS PICTURE: three planes of a scan with the outlines of its labels.
demo_picture.py restored SCAN RESTORED PICTURE: the middle slice before, after, and what was taken away.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import napari_radcnn as radcnn
from napari_radcnn.preprocessing import resize

_MM_A_PIXEL = 0.5
_GAP = 12
#: Colors of the labels 1, 2, 3: told apart by those who see no red or no green, too.
_OUTLINES = ((255, 140, 60), (86, 180, 233), (240, 228, 66))
_TEXT = (255, 230, 120)
#: Window of soft tissue, and half the window of what was taken away, in HU; width of a CT slice in the picture.
_SOFT_TISSUE, _TAKEN_HU, _RESTORED_PIXELS = (-160.0, 240.0), 60, 420
#: Array axis that is cut, and the letters on the left, right, top and bottom of the plane.
_PLANES = ((0, "RLAP"), (1, "RLSI"), (2, "APSI"))


def draw_labels(scan_path: str, labels_path: str, picture_path: str) -> None:
    # (I, P, L): rows and columns of every plane then run as on a radiologist's screen, from top left.
    scan = radcnn.read(scan_path)[0].reoriented("IPL")
    labels = radcnn.read(labels_path)[0].reoriented("IPL")
    shape = [round(n * s / _MM_A_PIXEL) for n, s in zip(scan.geometry.shape, scan.geometry.spacing, strict=True)]
    image = _gray(resize(scan.array, shape, "linear"), scan.contrast_limits())
    values = range(1, int(labels.array.max()) + 1)
    masks = [resize((labels.array == value).astype(np.float32), shape, "linear") > 0.5 for value in values]
    inside = np.logical_or.reduce(masks)
    center = [int(np.mean(np.flatnonzero(inside.any(tuple({0, 1, 2} - {axis}))))) for axis in range(3)]
    panels = []
    for axis, letters in _PLANES:
        plane = _rgb(image.take(center[axis], axis))
        for mask, color in zip(masks, _OUTLINES, strict=False):
            plane[_boundary(mask.take(center[axis], axis))] = color
        panels.append(_panel(plane, letters))
    _save(panels, picture_path)


def draw_restored(scan_path: str, restored_path: str, picture_path: str) -> None:
    scan, restored = (radcnn.read(path)[0].reoriented("SPL") for path in (scan_path, restored_path))
    index = scan.geometry.shape[0] // 2
    before, after = (volume.array[index].astype(np.float32) for volume in (scan, restored))
    size = (round(_RESTORED_PIXELS * before.shape[0] / before.shape[1]), _RESTORED_PIXELS)
    shown = [_gray(picture, _SOFT_TISSUE) for picture in (before, after)]
    shown.append(_gray(before - after, (-_TAKEN_HU, _TAKEN_HU)))
    words = ("before", "after", f"taken away (-{_TAKEN_HU} to {_TAKEN_HU} HU)")
    panels = []
    for picture, word in zip(shown, words, strict=True):
        panel = Image.fromarray(_rgb(resize(picture[None], (1, *size), "linear")[0]))
        ImageDraw.Draw(panel).text((10, 10), word, fill=_TEXT, font=ImageFont.load_default(size=18))
        panels.append(panel)
    _save(panels, picture_path)


def _gray(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)


def _rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat((gray * 255).astype(np.uint8)[..., None], 3, axis=-1)


def _save(panels: list[Image.Image], path: str) -> None:
    width = sum(panel.width for panel in panels) + _GAP * (len(panels) + 1)
    picture = Image.new("RGB", (width, max(panel.height for panel in panels) + 2 * _GAP))
    left = _GAP
    for panel in panels:
        picture.paste(panel, (left, (picture.height - panel.height) // 2))
        left += panel.width + _GAP
    picture.save(Path(path))


def _panel(rgb: np.ndarray, letters: str) -> Image.Image:
    panel = Image.fromarray(rgb)
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(size=18)
    height, width = rgb.shape[:2]
    places = ((10, height / 2), (width - 10, height / 2), (width / 2, 12), (width / 2, height - 12))
    for letter, place in zip(letters, places, strict=True):
        draw.text(place, letter, fill=_TEXT, font=font, anchor="mm")
    return panel


def _boundary(inside: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside)


if __name__ == "__main__":
    {"labels": draw_labels, "restored": draw_restored}[sys.argv[1]](*sys.argv[2:])

"""Parts that no list names: folders of this package, and entry points of installed packages."""

from napari_radcnn.discovery.folders import BROKEN, leave_out, look_into, reason_of
from napari_radcnn.discovery.packages import Added, LeftOut, Package, blamed

__all__ = ["BROKEN", "Added", "LeftOut", "Package", "blamed", "leave_out", "look_into", "reason_of"]

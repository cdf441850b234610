"""``python -m napari_radcnn.gui [PATH ...]``: what ``radcnn open`` starts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_radcnn.errors import RadcnnError


def main(arguments: list[str] | None = None) -> int:
    """Open the viewer and return the exit status of the command line."""
    parser = argparse.ArgumentParser(
        prog="radcnn open", description="Open napari with the RadCNN reader, layers and panel."
    )
    parser.add_argument("path", nargs="*", type=Path, help="image file or folder")
    paths = parser.parse_args(arguments).path
    from napari_radcnn.gui.launch import open_viewer

    try:
        open_viewer(paths)
    except RadcnnError as error:
        sys.stderr.write(f"radcnn: {error}\n")
        return int(error.exit_status)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m napari_radcnn.cli``."""

import sys

from napari_radcnn.cli import main

sys.exit(main())

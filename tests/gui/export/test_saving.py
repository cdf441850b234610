"""What the Export dock offers is what the table of tasks says can be written."""

from __future__ import annotations

import pytest

from napari_radcnn.gui.export.saving import choices
from napari_radcnn.io.formats import writable_suffixes
from napari_radcnn.tasks import DETECTIONS, IMAGE, LABELS


@pytest.mark.parametrize(("offered", "kind"), [("image", IMAGE), ("labels", LABELS), ("findings", DETECTIONS)])
def test_every_suffix_of_the_table_is_offered_and_no_other(offered, kind):
    suffixes = {choice.suffix for choice in choices(offered)}
    written = {*kind.writers, *(writable_suffixes() if kind.is_image else ())}
    assert suffixes == written - {".dcm"}  # the same as .seg.dcm, for who types it

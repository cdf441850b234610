"""Series of Canon's that are one scan: in volumes of several times or directions, each slice is a series of its own.

Their SeriesInstanceUIDs differ in the last part, the number of the slice, and share the SeriesNumber
(https://github.com/rordenlab/dcm2niix/issues/495).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from napari_radcnn.io.dicom.frames import frame_count
from napari_radcnn.io.dicom.headers import Instance, text

_VENDORS = ("CANON", "TOSHIBA")
_SAME = ("PatientID", "StudyInstanceUID", "Modality", "SeriesNumber")


def with_slices_together(series: Sequence[list[Instance]]) -> list[list[Instance]]:
    """Return the files of every series, those of slices that were stored as series each put together.

    Parameters
    ----------
    series : sequence of list of Instance
        The files of every series, at least one each.
    """
    candidates: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for n, instances in enumerate(series):
        tags = instances[0].tags
        if len(instances) > 1 and text(tags, "Manufacturer").upper().startswith(_VENDORS):
            stem = text(tags, "SeriesInstanceUID").rpartition(".")[0]
            candidates[(*(text(tags, keyword) for keyword in _SAME), stem)].append(n)
    merged = list(series)
    for (*_, number, stem), members in candidates.items():
        if number and stem and len(members) > 1 and _are_slices([series[n] for n in members]):
            first, *others = sorted(members, key=lambda n: _last_part(series[n]))
            merged[first] = [instance for n in (first, *others) for instance in series[n]]
            for n in others:
                merged[n] = []
    return [instances for instances in merged if instances]


def _are_slices(series: Sequence[Sequence[Instance]]) -> bool:
    """Whether each holds as many images as the others, at one place, and no two the same place."""
    places = [{text(instance.tags, "ImagePositionPatient") for instance in instances} for instances in series]
    is_one_place = all(len(found) == 1 and "" not in found for found in places)
    is_apart = len(set().union(*places)) == len(series) and len({len(instances) for instances in series}) == 1
    return is_one_place and is_apart and all(frame_count(one) == 1 for instances in series for one in instances)


def _last_part(instances: Sequence[Instance]) -> tuple[int, str]:
    last = text(instances[0].tags, "SeriesInstanceUID").rpartition(".")[2]
    return (int(last), "") if last.isdigit() else (0, last)

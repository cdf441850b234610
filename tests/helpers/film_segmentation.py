"""A DICOM segmentation of a radiograph: frames without positions that name the picture they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom

from dicom_factory import write_dicom_series
from films import read_film
from mixed_folders import labels_on
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.volume import Volume


def film_with_segments(folder: Path, picture: np.ndarray, **tags: object) -> tuple[Volume, Path]:
    """Write a radiograph, and its brightest pixels as a segmentation, into a folder of its own each; return both."""
    film = read_film(folder / "film", picture, **tags)
    (header,) = (pydicom.dcmread(path) for path in sorted((folder / "film").iterdir()))
    field = world_field(oblique_geometry((2, *picture.shape)))
    write_dicom_series(folder / "made", field.with_array(np.rint(field.array).astype(np.int16)), modality="CT")
    labels_on(folder / "made", folder / "x.seg.dcm")
    dataset = pydicom.dcmread(folder / "x.seg.dcm")
    mask = picture > 500
    dataset.NumberOfFrames, dataset.StudyInstanceUID = 1, header.StudyInstanceUID
    dataset.PixelData = np.packbits(mask.ravel(), bitorder="little").tobytes()
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator", "DimensionIndexSequence"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:1]
    groups = (dataset.PerFrameFunctionalGroupsSequence[0], dataset.SharedFunctionalGroupsSequence[0])
    for group in groups:
        for keyword in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"):
            if keyword in group:
                delattr(group, keyword)
    for group in groups:
        for derivation in group.get("DerivationImageSequence", []):
            for source in derivation.SourceImageSequence:
                source.ReferencedSOPInstanceUID = header.SOPInstanceUID
    series = dataset.ReferencedSeriesSequence[0]
    series.SeriesInstanceUID = header.SeriesInstanceUID
    series.ReferencedInstanceSequence = series.ReferencedInstanceSequence[:1]
    series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = header.SOPInstanceUID
    (folder / "results").mkdir()
    path = folder / "results" / "x.seg.dcm"
    dataset.save_as(path)
    (folder / "x.seg.dcm").unlink()
    return film, path

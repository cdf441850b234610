"""How well a result agrees with a reference: labels, images, findings, classes, values."""

from napari_radcnn.metrics.classes import (
    calibration_error,
    compare_classes,
    compare_present,
    decisions,
    kappa,
    roc_auc,
    roc_curve,
)
from napari_radcnn.metrics.concordance import compare_risks
from napari_radcnn.metrics.findings import Hits, average_precision, compare_findings, froc, match, sensitivity_at
from napari_radcnn.metrics.images import body_mask, compare_images, image_errors
from napari_radcnn.metrics.numbers import compare_numbers, icc, pearson
from napari_radcnn.metrics.overlap import dice, jaccard, surface_dice, surface_distances, volume_error
from napari_radcnn.metrics.volumes import compare

__all__ = [
    "Hits",
    "average_precision",
    "body_mask",
    "calibration_error",
    "compare",
    "compare_classes",
    "compare_findings",
    "compare_images",
    "compare_numbers",
    "compare_present",
    "compare_risks",
    "decisions",
    "dice",
    "froc",
    "icc",
    "image_errors",
    "jaccard",
    "kappa",
    "match",
    "pearson",
    "roc_auc",
    "roc_curve",
    "sensitivity_at",
    "surface_dice",
    "surface_distances",
    "volume_error",
]

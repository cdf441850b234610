"""What spoke for an answer: Grad-CAM, saliency, occlusion, prediction difference."""

from napari_radcnn.evidence.maps import (
    Map,
    grad_cam,
    input_gradient,
    occlusion,
    prediction_difference,
    saliency,
)

__all__ = ["Map", "grad_cam", "input_gradient", "occlusion", "prediction_difference", "saliency"]

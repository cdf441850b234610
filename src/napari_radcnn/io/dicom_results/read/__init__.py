"""Results in DICOM read back: segmentations, contours, reports."""

"""Results written as DICOM: segmentations, reports, derived series."""

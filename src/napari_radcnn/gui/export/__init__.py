"""The dock that writes layers, also as DICOM."""

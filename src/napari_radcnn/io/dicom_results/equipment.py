"""What DICOM objects that are written here name as the equipment that made them (DICOM PS3.3, C.7.5)."""

MANUFACTURER = "napari-radcnn developers"
PRODUCT = "napari-radcnn"
#: There is no device, hence no number of one; the attribute must not be empty (DICOM PS3.3, C.7.5.2).
SERIAL_NUMBER = "0"
DISCLAIMER = "Research use only, not for diagnosis."

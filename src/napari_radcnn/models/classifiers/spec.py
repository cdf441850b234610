"""The classifiers, as the catalogue finds them."""

from napari_radcnn.models.classifiers import adrenal_mass, cxr_pneumonia

SPECS = (adrenal_mass.SPEC, cxr_pneumonia.SPEC)

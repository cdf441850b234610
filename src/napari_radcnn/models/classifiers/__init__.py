"""Classifiers of a whole scan: `adrenal-mass` and `cxr-pneumonia`."""

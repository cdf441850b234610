"""How the classifiers are trained: five networks each, every fold held out once."""

RECIPES = {"adrenal-mass": "adrenal_mass", "cxr-pneumonia": "cxr_pneumonia"}

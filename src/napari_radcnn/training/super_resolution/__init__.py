"""How the models for thin slices are trained: thick slices made from thin ones."""

RECIPES = {"ct-super-resolution": "ct", "mr-super-resolution": "mr"}

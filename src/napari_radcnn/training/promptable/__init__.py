"""How `promptable-3d` is trained: simulated clicks on organs, shapes and lesions."""

RECIPES = {"promptable-3d": "recipe"}

"""How our own network of `brain-extraction` is trained: whole heads drawn in random contrasts."""

RECIPES = {"brain-extraction": "recipe"}

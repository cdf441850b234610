"""How `brain-structures` is trained: teachers name the structures of heads drawn in random contrasts."""

RECIPES = {"brain-structures": "recipe"}

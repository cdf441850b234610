"""How `brain-tissue` is trained: heads drawn from label maps in random contrasts."""

RECIPES = {"brain-tissue": "recipe"}

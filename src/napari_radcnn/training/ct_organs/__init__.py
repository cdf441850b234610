"""How `ct-organs` is made."""

RECIPES = {"ct-organs": "recipe"}

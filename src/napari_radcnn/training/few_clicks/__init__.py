"""How `few-clicks`, a network that segments what is pointed at, is made."""

RECIPES = {"few-clicks": "recipe"}

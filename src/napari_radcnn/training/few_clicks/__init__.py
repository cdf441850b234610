"""How `few-clicks`, a network that segments what is pointed at, is made."""

"""How `brain-structures` does."""

"""What made the weights that ship; one module a recipe, with the data it needs named in it."""

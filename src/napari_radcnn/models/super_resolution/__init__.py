"""Thin slices out of thick ones: `ct-super-resolution` and `mr-super-resolution`."""

"""Heads whose tissue is known, and cubes of them in any contrast: what the networks of brains learn from."""

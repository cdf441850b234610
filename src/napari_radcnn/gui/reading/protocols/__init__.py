"""Hanging protocols: how scans of a kind of study are laid out, by a table and as it was done the last time."""

"""Figures of `ct-tissues`."""

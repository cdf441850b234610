"""Figures of `ct-organs`."""

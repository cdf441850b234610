"""Figures of `brain-extraction`."""

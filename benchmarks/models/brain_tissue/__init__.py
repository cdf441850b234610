"""Figures of `brain-tissue`."""

"""Figures of the models for thin slices."""

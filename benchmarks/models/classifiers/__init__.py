"""Figures of the classifiers."""

"""Figures of `nlm-denoise`."""

"""Figures of `ct-denoise`."""

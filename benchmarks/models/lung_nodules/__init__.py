"""Figures of `lung-nodules`."""

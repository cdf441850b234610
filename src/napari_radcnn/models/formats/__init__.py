"""Models that others made: one module a format."""

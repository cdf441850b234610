"""Figures that the documentation quotes, measured on the computer at hand: ``make benchmarks``."""

"""Organs of a body CT, by a small network at 3 mm; edges are drawn on the scan's own grid."""

"""What a body CT shows, found by rules on its Hounsfield units.

Arrays here have axes (k, j, i) that run towards S, P, L. Shapes are judged on smaller grids (`grids.shrink`), where
the noise is averaged away; the values of the scan itself draw the edges (`classes.classify`).
"""

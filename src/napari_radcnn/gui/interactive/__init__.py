"""The dock in which clicks, scribbles, boxes and lassos outline objects."""

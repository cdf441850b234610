"""A package that adds a format, a model and an engine to napari-radcnn."""

"""What napari calls by its manifest besides the docks: reader, writers, samples."""

"""The viewer: docks, readers and layers. The only package that knows napari and Qt."""

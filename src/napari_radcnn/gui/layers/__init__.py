"""From a volume or a result to layers, and how they look; `layers.py` alone knows napari's order of axes."""

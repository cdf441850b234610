"""The one RadCNN panel: its pages, found by icon and by name."""

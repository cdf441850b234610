"""Models: what they are (spec), which there are (registry), where their weights lie."""

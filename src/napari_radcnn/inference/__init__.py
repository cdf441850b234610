"""The engine: plan, tiles, devices, and the recipe of each kind of model."""

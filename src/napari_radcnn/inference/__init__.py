"""The engine: plan, tiles, devices, and the pipeline of each kind of model."""

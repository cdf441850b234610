"""MONAI bundles: their configuration read without running it."""

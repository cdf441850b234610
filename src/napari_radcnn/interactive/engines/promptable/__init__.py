"""The engine `promptable-3d`: a small 3-D network of our own."""

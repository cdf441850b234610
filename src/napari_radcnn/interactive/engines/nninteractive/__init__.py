"""The engine `nninteractive`: nnInteractive's network, here or on a server."""

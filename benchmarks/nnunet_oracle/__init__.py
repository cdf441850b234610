"""nnU-Net as an oracle; see README.md."""

"""What a run takes: memory and time, reckoned before and learned from runs."""

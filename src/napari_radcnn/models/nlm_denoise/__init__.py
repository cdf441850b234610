"""`nlm-denoise`: non-local means, no network."""

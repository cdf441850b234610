"""`ct-denoise`: the noise of a low dose taken off a CT."""

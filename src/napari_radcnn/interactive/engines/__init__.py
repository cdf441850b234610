"""What turns prompts into a mask: one module an engine, behind the Protocol in `base`."""

"""The operations that a chain is made of: what each needs, does with one case, and tells of it."""

"""`brain-tissue`: fluid, gray and white matter in an MR of any contrast."""

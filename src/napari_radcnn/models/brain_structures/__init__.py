"""`brain-structures`: seventeen structures of the brain in an MR of any contrast."""

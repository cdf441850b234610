"""`brain-extraction`: the brain in a T1 MR of the head."""

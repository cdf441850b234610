"""The review of findings: a list, their layer, and views of each."""

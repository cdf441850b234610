"""The Cohort page: the cases of a list with their state, a run over them, and a case opened with its result."""

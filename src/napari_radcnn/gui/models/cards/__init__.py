"""Results of models that have no layer of their own, as cards and lists in the dock."""

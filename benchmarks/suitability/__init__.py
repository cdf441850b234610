"""Whether scans and models are judged rightly: pairs that do and do not belong together, counted for each model."""

"""`toy-doubling`: a model with everything that a folder of the catalogue needs, and nothing else."""

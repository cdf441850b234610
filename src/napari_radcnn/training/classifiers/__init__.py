"""How the classifiers are trained: five networks each, every fold held out once."""

"""How fast the engine is, and what memory it takes, beside others."""

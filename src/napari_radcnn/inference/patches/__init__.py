"""Where patches lie, how they are read, and how their answers are put together."""

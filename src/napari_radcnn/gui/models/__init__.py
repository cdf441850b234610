"""The dock that chooses a model, says what a run will cost, and runs it."""

"""What the cards of the models say, measured; a folder a model."""

"""What made the weights that ship: a folder a model, which says in ``RECIPES`` what it trains, and what they share."""

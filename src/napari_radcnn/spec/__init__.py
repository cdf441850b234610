"""What a model is: a description that costs nothing to list; its options, weights and card."""

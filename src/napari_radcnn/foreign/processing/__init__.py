"""How a network from elsewhere is run by steps that its description names."""

"""The engine `region`: gray values and edges, no network."""

"""Networks: built from their description or read from files; what they are good for stands elsewhere."""

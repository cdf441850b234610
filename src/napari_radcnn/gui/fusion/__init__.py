"""The dock that lays one scan over another."""

"""The interactive session, without Qt: one scan, its objects, and every step that made them."""

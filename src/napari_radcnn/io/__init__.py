"""Reading and writing scans and results: one module per family of formats, and the registry."""

"""The dock that lists the scans of a folder and opens them."""

"""Networks from elsewhere that answer once for a whole scan: how they are described and run."""

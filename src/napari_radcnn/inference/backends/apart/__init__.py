"""Networks that are programs from elsewhere, computed in a process of their own, which can be ended at any time."""

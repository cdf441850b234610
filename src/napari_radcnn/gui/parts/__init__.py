"""Parts that docks share: forms, jobs in the background, keys, small widgets."""

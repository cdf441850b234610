"""The engine `few-clicks`: a network that looks, and a walk through the scan's own values that decides."""

"""The page of measurements: the segments of a label map in numbers, and rulers."""

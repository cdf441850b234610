"""Two or three scans side by side: linked by where they lie in the patient, and what is seen of one in the other."""

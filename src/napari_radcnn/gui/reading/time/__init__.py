"""Reading along time: steps, a cine, and the curve of the value under the cursor."""

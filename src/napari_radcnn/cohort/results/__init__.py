"""What a run leaves: files of each case and its record, a table of all, and a log."""

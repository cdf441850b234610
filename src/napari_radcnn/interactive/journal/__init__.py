"""What of a session is kept on the disk while it runs, so that nothing is lost."""

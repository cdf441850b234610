"""How many clicks the interactive engines need, and how long an answer takes."""

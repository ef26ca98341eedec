"""Tasks: the data-only catalogue and what is read from it."""

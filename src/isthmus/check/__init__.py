"""Checks before any training: every dataset, tokenizer, head and scorer of a study, all problems in one list."""

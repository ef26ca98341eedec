"""One way to tell a person what goes on: a line on standard output, flushed, so that logs can be followed."""


def say(sentence: str) -> None:
    """Print one line at once."""
    print(sentence, flush=True)

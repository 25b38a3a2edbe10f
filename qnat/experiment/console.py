"""The two streams of a command: results and remarks."""

import sys


def say(text: str) -> None:
    """A line of the result, on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A remark, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()

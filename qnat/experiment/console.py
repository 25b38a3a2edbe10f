"""The two streams of a command: results and remarks. Either may be missing, closed, or know no letters but ASCII."""

import codecs
import contextlib
import io
import os
import sys
import unicodedata
from typing import Any

_ASCII = {"–": "-", "—": "-", "−": "-", "…": "...", "≤": "<=", "≥": ">=", "·": "*", "×": "x", "½": "1/2", "│": "|"}
"""What stands for our own signs where they cannot be shown; Greek letters go by their names."""


def say(text: str, *, styled: bool = False) -> None:
    """Lines of the result, on standard output.

    Args:
        text: the lines. styled: signs that a terminal obeys are meant; else they are shown escaped.

    Raises:
        OSError: they cannot be written, because nobody reads any more or the disk is full. Nothing more will be tried.
    """
    if sys.stdout is None or sys.stdout.closed:
        return
    try:
        sys.stdout.write(_encodable(sys.stdout, text if styled else in_lines(text)) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon(sys.stdout)
        raise
    except OSError as error:
        _abandon(sys.stdout)
        raise OSError(f"Cannot write to standard output ({error.strerror}).") from None


def note(text: str) -> None:
    """A remark, one line on standard error; a run does not end because it cannot be made."""
    try:
        sys.stderr.write(_encodable(sys.stderr, literal(text)) + "\n")
        sys.stderr.flush()
    except OSError:  # full
        _abandon(sys.stderr)
    except (ValueError, AttributeError):  # closed, missing
        pass


def literal(text: object) -> str:
    """A text of someone else on one line: control characters, which a terminal would obey, are shown escaped."""
    return "".join(_escaped(sign) if _is_control(sign) else sign for sign in str(text))


def in_lines(text: object) -> str:
    """A text of several lines, each of them literal."""
    return "\n".join(map(literal, str(text).split("\n")))


def watched() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escaped(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # a byte that is no text
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return f"\\u{ord(sign):04x}" if ord(sign) < 2**16 else f"\\U{ord(sign):08x}"


def ready() -> None:
    """Prepares the standard streams of a process.

    A descriptor that is closed is opened on nothing, since the next file opened would take its number and get what is
    written to it; what a stream cannot encode is written in other words, whoever writes it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (as long as the process)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _in_other_words(error: UnicodeError) -> tuple[str | bytes, int]:
    """Signs for what cannot be encoded, as a handler of errors for codecs."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


_ERRORS = "qnat"
codecs.register_error(_ERRORS, _in_other_words)


def _encodable(stream: Any, text: str) -> str:
    """The text as this stream can take it."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, _ERRORS).decode(encoding)


def _plain(sign: str) -> str:
    family, _, letter = unicodedata.name(sign, "").partition(" LETTER ")
    return _ASCII.get(sign) or (letter.lower() if family.startswith("GREEK") else "") or _escaped(sign)


def _abandon(stream: Any) -> None:
    """Lets what a stream still holds go nowhere: Python writes it once more at the end, and would complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

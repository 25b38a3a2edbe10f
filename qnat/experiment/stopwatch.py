"""Where the time of this process goes: what compiles, trains, writes and draws; the rest is importing and reading."""

import contextlib
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Literal

Part = Literal["compile", "train", "write", "draw"]
PARTS: tuple[Part, ...] = ("compile", "train", "write", "draw")

_BEGAN = time.perf_counter() - time.process_time()
"""When the process began: what it did before this module was loaded is taken from its processor time."""
_spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)


@contextlib.contextmanager
def timed(part: Part, *ledgers: MutableMapping[str, float]) -> Iterator[None]:
    """Adds the seconds inside to a part of the whole and of every ledger, whatever happens inside."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - began
        for ledger in (_spent, *ledgers):
            ledger[part] += seconds


def account() -> str:
    """The seconds of this process so far, and what they went into."""
    whole = time.perf_counter() - _BEGAN
    parts = {"import": whole - sum(_spent.values())} | {part: _spent[part] for part in PARTS}
    return f"{whole:.1f} s in all: {in_words(parts)}"


def in_words(spent: Mapping[str, float]) -> str:
    """Seconds by what they went into."""
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items())

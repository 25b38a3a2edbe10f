"""What follows a run from outside, such as a logger."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..store.result import Result
from ..task import Task

Rows = Sequence[Mapping[str, Any]]


class Callback(Protocol):
    """Follows a run; its three methods are called between chunks of steps, about twice a second, never inside one.

    An exception of `started` or `recorded` ends the run as Ctrl-C does: what was recorded is stored first, the folder
    can be resumed, and the exception goes on to whoever called `run`. KeyboardInterrupt stops it on purpose.
    """

    def started(self, record: Mapping[str, Any], task: Task, step: int) -> None:
        """Before the first step of this process; `step` is 0, or the row from which a resumed run goes on.

        Args:
            record: the resolved spec, as run.json has it. task: the problem. step: rows from here on are yet to come,
                and those of a process that was killed may come once more.
        """

    def recorded(self, rows: Rows) -> None:
        """The rows since the last call, as metrics.jsonl has them: "step" and every curve that has a value there.

        A value is a number, or a list of them if there are several seeds.
        """

    def ended(self, run: Result | None) -> None:
        """Once, after everything is stored: with the finished run, or None if it stopped or failed."""


class Audience:
    """The callbacks of a run. `run`: what they are told in the end."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = tuple(callbacks)
        self.run: Result | None = None
        self._began: list[Callback] = []

    def start(self, record: Mapping[str, Any], task: Task, step: int) -> None:
        """Tells all that it starts."""
        for each in self.callbacks:
            self._began.append(each)
            each.started(record, task, step)

    def tell(self, rows: Rows) -> None:
        """Tells all what was recorded."""
        for each in self.callbacks:
            each.recorded(rows)

    def end(self) -> None:
        """Tells all that were told of a start, whatever one of them raises."""
        with contextlib.ExitStack() as stack:
            for each in reversed(self._began):
                stack.callback(each.ended, self.run)


@contextlib.contextmanager
def followed(callbacks: Sequence[Callback]) -> Iterator[Audience]:
    """Callbacks that hear of the end however it comes."""
    audience = Audience(callbacks)
    try:
        yield audience
    finally:
        audience.end()

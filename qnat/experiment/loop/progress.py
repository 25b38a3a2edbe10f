"""Progress on a terminal, and Ctrl-C between chunks."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ..console import literal, watched


class Interrupt:
    """Remembers a Ctrl-C until the running chunk has ended; a second one is not held back."""

    def __init__(self) -> None:
        self.asked = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    @contextlib.contextmanager
    def held(self) -> Iterator["Interrupt"]:
        """Holds Ctrl-C back in the main thread; elsewhere Python delivers none."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = signal.signal(signal.SIGINT, self._handle)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)


class Silence:
    """The display of a run that nobody watches."""

    def update(self, step: int, loss: float | None, gap: float | None) -> None:
        """Shows nothing."""


class _Bar(Silence):
    def __init__(self, bar: Any, job: Any) -> None:
        self._bar, self._job = bar, job

    def update(self, step: int, loss: float | None, gap: float | None) -> None:
        shown = f"loss {loss:.6g}" if loss is not None else ""
        shown += f"  gap {gap:.2e}" if gap is not None else ""
        self._bar.update(self._job, completed=step, shown=shown)


@contextlib.contextmanager
def display(label: str, first: int, steps: int, wanted: bool | None) -> Iterator[Silence]:
    """A bar with loss, gap to the exact value, steps/s and time left; nothing unless stderr is a terminal."""
    if not (watched() if wanted is None else wanted):
        yield Silence()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.{1 if task.speed < 10 else 0}f} steps/s" if task.speed else "")

    def words(name: str) -> TextColumn:
        return TextColumn(f"{{task.{name}}}", markup=False)  # a name may look like markup

    columns = (words("description"), BarColumn(), MofNCompleteColumn(), words("fields[shown]"))
    with Progress(
        *columns, Speed(Column(no_wrap=True)), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        yield _Bar(bar, bar.add_task(literal(label), total=steps, completed=first, shown=""))

"""The process of a command: Ctrl-C, what JAX is told, what is said when a command fails."""

import contextlib
import os
import pathlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from qnat.experiment.console import note
from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import shown

if TYPE_CHECKING:
    from qnat.experiment.words.spec import RunSpec

INTERRUPTED = 130


def complain(error: object, status: int) -> int:
    """Says what went wrong; returns the exit status."""
    note(f"qnat: {error}")
    return status


@contextlib.contextmanager
def interruptible(out: pathlib.Path, *, made: bool) -> Iterator[None]:
    """Tells whoever presses Ctrl-C how to go on.

    Outside the training loop, which has a handler of its own, the process ends there and then: JAX crashes if an
    exception breaks into its loading or compiling. Every write survives that, as it survives a kill.
    """
    advice = f"The same command with --out {out} --resume continues."

    def end(_number: int, _frame: object) -> NoReturn:
        complain(f"Stopped. {advice}", INTERRUPTED)
        os._exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, end) if threading.current_thread() is threading.main_thread() else None
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{str(error) or 'Stopped.'} {advice}") from None
    # found out late, in a file of data for example; the folder made for the run is still empty
    except (RefusedError, ModuleNotFoundError):
        if made:
            with contextlib.suppress(OSError):
                out.rmdir()
                out.parent.rmdir()
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def prepare_jax(*specs: "RunSpec") -> None:
    """The precision that runs ask for, or double; and a cache of compiled programs that outlives the process."""
    import warnings

    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the platforms of JAX fail in either way
        wanted = shown(os.environ.get("JAX_PLATFORMS", ""), 60)
        raise RefusedError(f"JAX starts on no device (JAX_PLATFORMS is '{wanted}'); unset it, or take cpu.") from error
    jax.config.update("jax_enable_x64", precision_of(specs[0]) == "double")
    if (cache := _cache()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache / f"jax-{jax.__version__}"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # its writes are not atomic: a damaged entry is compiled anew; a full disk takes none
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")


def precision_of(spec: "RunSpec") -> str:
    """Double, where the task leaves no choice."""
    return getattr(spec, "precision", "double")


def _cache() -> pathlib.Path | None:
    """Where compiled programs are kept; None if there is no such place: no home, or one that cannot be written."""
    try:
        path = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "qnat"
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return path if os.access(path, os.W_OK | os.X_OK) else None

"""What JAX is told before a command computes."""

import os
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qnat.experiment.words.spec import RunSpec


def prepare_jax(*specs: "RunSpec") -> None:
    """The precision that runs ask for, or double; and a cache of compiled programs that outlives the process."""
    import warnings

    import jax

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

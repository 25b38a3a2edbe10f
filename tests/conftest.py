"""What every test runs under: float64, typed keys, a compilation cache that survives the session."""

import os
import pathlib

import jax
import matplotlib as mpl

mpl.use("Agg")
jax.config.update("jax_enable_x64", True)
# a raw uint32 key, the old style, is an error: keys are typed and consumed once
jax.config.update("jax_legacy_prng_key", "error")

_CACHE = (
    pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "qnat" / f"jax-{jax.__version__}"
)
jax.config.update("jax_compilation_cache_dir", str(_CACHE))
# even the smallest program: a second run of the suite then takes half the time
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

_room = 3e9
"""Bytes at which a process forgets its compiled programs: hundreds of tests compile more than they share."""


def _resident() -> float:
    """Bytes in memory, where the system tells."""
    statm = pathlib.Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0.0


def pytest_runtest_teardown() -> None:
    global _room  # noqa: PLW0603 (what is freed is not always given back: the next time is measured from here)
    if _resident() > _room:
        jax.clear_caches()
        _room = _resident() + 2e9

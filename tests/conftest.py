"""What every test runs under: float64, typed keys, programs that compile fast, and a count of them."""

import gc
import importlib.metadata
import os
import pathlib
from collections import defaultdict
from collections.abc import Iterator

# Most of the time goes into compiling, and XLA without its optimisations takes less than half of it. Whoever sets the
# variable, even to nothing, is obeyed: `.ci/nightly` so runs the suite as users' programs are compiled.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    # jaxlib 0.12 refuses to start with it
    + " --xla_cpu_use_fusion_emitters=false" * importlib.metadata.version("jaxlib").startswith("0.10."),
)

import jax
import matplotlib as mpl
import pytest

# what is traced is many small objects, most of which stay: looking for garbage every 700 of them costs a twentieth
gc.set_threshold(50_000)
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

CEILING = 30
"""XLA programs that an everyday test may compile in a process of its own: a jitted check is one, an eager operation or
an eager oracle one each. A careless test is above it, a new method is not."""
HIGHER = {
    "tests": 80,  # the README's example, as one types it
    "tests/cli": 60,  # whole commands
    "tests/experiment": 40,  # whole runs, some outside jit
}
"""Directories whose tests may compile more."""

_compiled = 0
_at_setup = pytest.StashKey[int]()
_spent: dict[str, list[tuple[int, str, str]]] = defaultdict(list)


def _count(event: str, _seconds: float, **_more: object) -> None:
    global _compiled  # noqa: PLW0603 (JAX tells listeners, and has no counter to ask)
    # told of every program that is new to the process, whether it is compiled or found in the cache on disk
    _compiled += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_count)


def _directory(nodeid: str) -> str:
    return str(pathlib.PurePosixPath(nodeid.partition("::")[0]).parent)


def _ceiling(nodeid: str) -> int:
    return HIGHER.get(_directory(nodeid), CEILING)


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_at_setup] = _compiled


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    before = _compiled
    try:
        yield
    finally:  # with what fixtures compiled, which the ceiling leaves out: they are shared
        item.user_properties.append(("programs", _compiled - item.stash[_at_setup]))
    if item.get_closest_marker("slow") is not None:
        return
    ceiling, count = _ceiling(item.nodeid), _compiled - before
    if count > ceiling:
        pytest.fail(
            f"This test compiled {count} programs; one of {_directory(item.nodeid)} may compile {ceiling}. Jit whole "
            "checks instead of single operations, and write oracles in NumPy.",
            pytrace=False,
        )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        limit = "" if "slow" in report.keywords else f" of {_ceiling(report.nodeid)}"
        _spent[_directory(report.nodeid)].append((dict(report.user_properties)["programs"], report.nodeid, limit))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was compiled: most of the time of this suite."""
    if not _spent:
        return
    terminalreporter.section("XLA programs", sep="-")
    terminalreporter.line(f"{'':18} {'tests':>6} {'programs':>9} {'a test':>7}  most, ceiling")
    for directory, tests in sorted(_spent.items()):
        total, (most, dearest, limit) = sum(count for count, *_ in tests), max(tests)
        terminalreporter.line(
            f"{directory:18} {len(tests):6} {total:9} {total / len(tests):7.1f}  "
            f"{most}{limit} ({dearest.rpartition('/')[2]})"
        )
    terminalreporter.line(
        f"{'':18} {sum(map(len, _spent.values())):6} {sum(c for tests in _spent.values() for c, *_ in tests):9}"
    )


class _Stops:
    def __init__(self, chunks: int) -> None:
        self.left = chunks

    def started(self, record: object, task: object, step: object) -> None:
        pass

    def recorded(self, rows: object) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def ended(self, run: object) -> None:
        pass


@pytest.fixture(scope="session")
def stops() -> type[_Stops]:
    """`stops(chunks)` is a callback that stops a run after so many chunks."""
    return _Stops


@pytest.fixture(scope="session")
def compiled_by_collecting() -> int:
    """Programs that importing the tests compiled."""
    return _collected


_collected = 0


def pytest_collection_finish() -> None:
    global _collected  # noqa: PLW0603 (a hook has nobody to return it to)
    _collected = _compiled


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

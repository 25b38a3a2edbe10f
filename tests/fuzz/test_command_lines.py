"""Whatever is typed: an answer or one sentence. Legal commands end where they would train."""

import pytest
from hypothesis import strategies as st

from qnat.experiment.registry import find_spec, task_names

# the command line of a failing case may be long
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

_USUAL = """0 1 2 3 -1 1.5 1e400 nan inf -0 true none a,b 1,2 , 1,,2 100000000 1000000000000 1_0 0x2 1j [x] :smile: $x$
    %s {} é h.txt c.json d.npy no.txt . .. / /dev/null c4k3 32-c8k3 c4k3s2-16-c4k3s2 8-4-8 - -- wyd:2 wyd:9 sandwiched:0
    bkm adam sgd natural full tfim random data digits classify regress shadows exact pauli"""
_WORDS = st.one_of(
    st.sampled_from((*_USUAL.split(), "", " ", "9" * 400, "9" * 5000, "x\x1b[31m", "a\nb", "\udcff")),
    st.text(max_size=8),
    st.integers().map(str),
    st.floats().map(str),
)
_COMMON = (
    "--out",
    "--resume",
    "--force",
    "--json",
    "--spec",
    "--tune",
    "--warm-start",
    "--help",
    "--colour",
    "-h",
    "--",
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with options of its task, mostly, and values of all kinds."""
    command = draw(
        st.sampled_from(("run", "run", "run", "sweep", "compare", "cite", "list", "dance", "show", "finish"))
    )
    if command not in ("run", "sweep"):
        return [command, *draw(st.lists(_WORDS, max_size=3)), *draw(st.lists(st.sampled_from(_COMMON), max_size=1))]
    task = draw(st.sampled_from((*task_names(), "gibbs", "learning", "network", "gibs")))
    names = [f"--{name.replace('_', '-')}" for name in find_spec(task).options()] if task in task_names() else ["--n"]
    arguments = [command, task]
    for name in draw(st.lists(st.sampled_from((*names, *names, *_COMMON)), max_size=4)):
        arguments += [name, *draw(st.lists(_WORDS, max_size=1 if name != "--resume" else 0))]
    return arguments


@pytest.mark.parametrize("examples", [18, pytest.param(5000, marks=pytest.mark.slow)])
def test_command_lines(stopped, fuzz, examples):
    fuzz(st.tuples(command_lines()), examples)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [100])
def test_processes(fuzz, examples):
    fuzz(st.tuples(command_lines()), examples, processes=True)

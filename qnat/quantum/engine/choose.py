"""The choice between plans, by predicted time on N × batch amplitudes."""

import functools

import jax

from ..circuit import Circuit, Gate
from .plan import Plan, make_plan

# Nanoseconds, one core of an AMD EPYC (Zen 4), complex128; ratios are what matters. `python benchmarks/engine.py` shows
# whether the choice still is the fast one.
_PRODUCT = {1: 1.2, 2: 1.3, 3: 1.8, 4: 2.9, 5: 5.4, 6: 10.0}  # one window, for every amplitude
_GATHER, _GATHER_FAR = 1.4, 6.0  # one amplitude, from the cache and from memory
_STEP = 1500.0  # one window, whatever its size
_CACHE = 2**17  # amplitudes that stay in the cache
_SAMPLE = 4  # layers that the choice looks at


def predicted(plan: Plan, batch: int) -> float:
    """Nanoseconds of one evaluation."""
    amplitudes = 2**plan.n * batch * plan.planes / 2
    far = amplitudes > _CACHE
    gather = _GATHER_FAR if far and plan.m == plan.n else _GATHER
    groups = 1 if plan.m == plan.n else 2 ** (plan.n - plan.m) / plan.together
    sweep = plan.windows * (_STEP * groups + amplitudes * (gather + _PRODUCT[plan.k]))
    phases = 0 if plan.m == plan.n else len(plan.bounds) * amplitudes * (_GATHER_FAR + 3.0)
    layers, size = plan.program.blocks.shape[1], 2**plan.k
    build = plan.windows * (6.0 * size**2 + (layers > 1) * layers * (350.0 + 0.35 * size**3))
    return sweep + phases + build


@functools.lru_cache(maxsize=128)
def _choose(n: int, block: tuple[Gate, ...], layers: int, batch: int, platform: str) -> Plan:
    sample = Circuit(n, block, min(layers, _SAMPLE))
    amplitudes = 2**n * batch
    widths = sorted({min(n, k) for k in (3, 4, 5, *([n] if n <= 6 else []))})
    options: list[tuple[int, int | None, bool]] = [(k, None, False) for k in widths]
    if amplitudes <= 2**15:
        options += [(k, None, True) for k in widths]
    if amplitudes > _CACHE and n > 16 and platform == "cpu":
        options += [(k, m, False) for k in (3, 4) for m in (14, 15)]

    def cost(option: tuple[int, int | None, bool]) -> float:
        k, m, flat = option
        return predicted(make_plan(sample, k, m, flat=flat, beam=1), batch)

    k, m, flat = min(options, key=cost)
    return make_plan(Circuit(n, block, layers), k, m, flat=flat)


def plan(circuit: Circuit, batch: int = 1) -> Plan:
    """The plan that should be the fastest for that many states at a time; made once for every circuit."""
    return _choose(circuit.n, circuit.block, circuit.layers, batch, jax.default_backend())

"""The choice between plans, by predicted time on N × batch amplitudes."""

import functools
import os

import jax

from ..circuits.circuit import Circuit, Gate
from .plan import Plan, make_plan

# Nanoseconds on one core of an AMD EPYC (Zen 4) in complex128; their ratios are what the choice depends on.
_WINDOW = {  # by planes and k: gather and product, for every amplitude
    1: {1: 0.8, 2: 0.9, 3: 1.1, 4: 1.5, 5: 2.2, 6: 3.4},
    2: {1: 1.6, 2: 1.8, 3: 2.2, 4: 4.1, 5: 6.4, 6: 11.0},
}
_FAR, _PHASE = 2.5, 8.5  # what an amplitude costs more where the state exceeds the cache, for a window and for a phase
_STEP = 600.0  # a window of any size
_CACHE = 2**17  # amplitudes that stay in the cache
_CHUNK = 14  # wires of a phase: its chunks and their cotangents stay in the fast cache
_SAMPLE = 4  # layers that the choice looks at


def predicted(plan: Plan, batch: int) -> float:
    """Nanoseconds of one evaluation."""
    amplitudes = 2**plan.n * batch
    window, groups, phases = _WINDOW[plan.planes][plan.k], 1.0, 0.0
    if plan.m < plan.n:
        groups = 2 ** (plan.n - plan.m) / plan.together
        phases = len(plan.bounds) * amplitudes * _PHASE
    elif amplitudes > _CACHE:
        window += _FAR
    layers, size = plan.program.blocks.shape[1], 2**plan.k
    build = 4.0 * size**2 + (layers > 1) * layers * (560.0 + 0.38 * size**3)
    return phases + plan.windows * (build + groups * _STEP + amplitudes * window)


@functools.lru_cache(maxsize=128)
def _choose(n: int, block: tuple[Gate, ...], layers: int, batch: int, platform: str, together: int) -> Plan:
    sample = Circuit(n, block, min(layers, _SAMPLE))
    amplitudes = 2**n * batch
    widths = sorted({min(n, k) for k in ((3, 4, n) if n <= 6 else (3, 4))})
    phased = amplitudes > _CACHE and n > 16 and platform == "cpu"
    options = [(k, _CHUNK if phased else None, False) for k in widths]
    if amplitudes <= 2**15:
        options += [(k, None, True) for k in widths]

    def cost(option: tuple[int, int | None, bool]) -> float:
        k, m, flat = option
        return predicted(make_plan(sample, k, m, flat=flat, beam=1), batch)

    k, m, flat = min(options, key=cost)
    return make_plan(Circuit(n, block, layers), k, m, flat=flat, together=together)


def plan(circuit: Circuit, batch: int = 1) -> Plan:
    """The plan that should be the fastest for that many states at a time; made once for every circuit."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    together = 4 if threads > 1 else 1  # chunks: one stays in the cache, several occupy several threads
    return _choose(circuit.n, circuit.block, circuit.layers, batch, jax.default_backend(), together)

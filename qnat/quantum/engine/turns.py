"""How angles turn states inside the windows that take them: U≤† (−iG) U≤, U≤ all that acts in the window before."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ..circuits.circuit import Circuit, Gate
from .insertions import Insertions
from .matrices import gate_matrices, kron, multiply, prefixes, rows_of
from .plan import Plan, make_plan
from .routes import Route


@functools.lru_cache(maxsize=128)
def planned(n: int, block: tuple[Gate, ...], layers: int, width: int) -> Plan:
    """A plan of so wide windows."""
    # of four wires, one product takes a whole layer of gates
    return make_plan(Circuit(n, block, layers), n if n <= 4 else width, flat=n <= 4)


def _pulled(matrices: Complex[Array, "G d d"], before: Complex[Array, "G d d"]) -> Complex[Array, "G d d"]:
    return multiply(before.conj().mT, multiply(matrices, before))


def _generators(plan: Plan, where: Insertions, angles: Float[Array, " P"]) -> Complex[Array, "G 4 4"]:
    """U≤† G U≤ of every operation inside its block of two wires."""
    program = plan.program
    dtype = jnp.result_type(angles.dtype, jnp.complex64)
    ones, twos = (gate_matrices(gates, angles, plan.planes) for gates in (program.ones, program.twos))
    before_run, runs = prefixes(ones[program.runs])
    step, first, second = np.moveaxis(program.steps, -1, 0)
    pairs = kron(runs[first], runs[second])
    before_step, _ = prefixes(multiply(twos[step], pairs))
    place, run, both = tuple(where.place.T), tuple(where.run.T), where.on == 2
    # on both wires: through the runs of its own step; on one: through its run alone, beside the identity
    two = jnp.asarray(program.twos.generator[np.where(both, where.number, 0)], dtype)
    one = jnp.asarray(program.ones.generator[np.where(both, 0, where.number)], dtype)
    two, one = _pulled(two, pairs[place]), _pulled(one, before_run[run])
    identity = jnp.eye(2, dtype=dtype)[None]
    on = where.on[:, None, None]
    return _pulled(
        jnp.where(on == 2, two, jnp.where(on == 0, kron(one, identity), kron(identity, one))), before_step[place]
    )


def turns(
    plan: Plan, route: Route, angles: Float[Array, " P"], before: Float[Array, "T J a a"]
) -> Float[Array, "R a a"]:
    """What makes, of the rows of a state at the input of its window, those of its derivative there, for every row."""
    where, k = route.where, plan.k
    turned = -1j * _generators(plan, where, angles)
    turned = turned.real if plan.planes == 1 else turned
    pairs = jnp.zeros((len(turned), 2**k, 2**k), turned.dtype)
    for below in np.unique(where.below):
        group = np.flatnonzero(where.below == below)
        under, above = (jnp.eye(2**count, dtype=turned.dtype) for count in (below, k - 2 - below))
        pairs = pairs.at[group].set(kron(above, kron(turned[group], under)))
    rows = rows_of(pairs.real, pairs.imag) if plan.planes == 2 else pairs.mT
    if before.shape[1] > 1:
        through = before[route.window, where.layer]
        rows = through @ rows @ through.mT
    if len(route.angle) < len(rows):  # operations of a window that share an angle
        return jnp.zeros((len(route.angle), *rows.shape[1:]), rows.dtype).at[route.row].add(rows)
    return rows[np.argsort(route.row)]

"""A state on many devices, each of which holds an equal part of its amplitudes; no device ever holds more.

States are real arrays (batch, 2^n, planes), sharded along their second axis over a mesh of one axis: of D = 2^g devices
number h holds the basis states whose first g wires read h. What a device does to its 2^m amplitudes is what `evolve`
does to all of them; in between, `exchange` says who sends which blocks to whom. All devices run one program, which
therefore also runs over the processes of `jax.distributed`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from ..circuits.circuit import Circuit
from ..operators import planes as pauli_planes
from ..operators.pauli import PauliSum
from .evolve import Matrices, Mode, States, gather, gathers, reversible, window, window_back
from .exchange import Locals, Moves, ShardedPlan, groups, sharded_plan
from .matrices import window_matrices
from .parity import Basis

_LARGEST = 31  # wires of a shard; positions in it are 32-bit integers


def device_wires(mesh: Mesh, n: int) -> int:
    """g, the number of wires that tell devices apart, where n wires can be sharded over the mesh."""
    if len(mesh.axis_names) != 1:
        raise ValueError(f"A state is sharded over a mesh of one axis; this one has the axes {mesh.axis_names}.")
    g = mesh.size.bit_length() - 1
    if mesh.size != 2**g:
        raise ValueError(f"A state is sharded over a number of devices that is a power of two; got {mesh.size}.")
    if not 2 <= n - g <= _LARGEST:
        raise ValueError(
            f"A device holds the amplitudes of 2 to {_LARGEST} wires; {n} wires on {mesh.size} devices leave {n - g}."
        )
    return g


def _shard_map(function: Callable, mesh: Mesh, takes: str, gives: str) -> Callable:
    """The function on every device; "s" stands for states, "c" for what is the same everywhere."""
    spec = {"s": PartitionSpec(None, mesh.axis_names[0]), "c": PartitionSpec()}
    mesh = Mesh(mesh.devices, mesh.axis_names)  # jax.make_mesh would put the sharding into the types of results
    inside, outside = (tuple(spec[letter] for letter in letters) for letters in (takes, gives))
    return jax.shard_map(
        function, mesh=mesh, in_specs=inside, out_specs=outside if len(outside) > 1 else outside[0], check_vma=False
    )


def _number(bits: Int[Array, " n"]) -> Int[Array, ""]:
    return jnp.dot(bits, jnp.asarray(1 << np.arange(len(bits))[::-1], bits.dtype))


@functools.partial(jax.jit, static_argnames=("mesh", "planes", "dtype"))
def basis_state_sharded(
    bits: Int[Array, " n"], mesh: Mesh, *, planes: int = 2, dtype: jax.typing.DTypeLike = float
) -> Float[Array, "1 N planes"]:
    """|b⟩, wire 0 first; every device writes its own part."""
    n = len(bits)
    g = device_wires(mesh, n)

    def shard(bits: Int[Array, " n"]) -> Float[Array, "1 M planes"]:
        here = lax.axis_index(mesh.axis_names[0]) == _number(bits[:g])
        return jnp.zeros((1, 2 ** (n - g), planes), dtype).at[0, _number(bits[g:]), 0].set(here.astype(dtype))

    return _shard_map(shard, mesh, "c", "s")(bits)


def _on_device(states: States, tables: Locals, device: Int[Array, ""]) -> States:
    return gather(states, jnp.asarray(tables.high ^ tables.offset[device]), jnp.asarray(tables.low))


def _exchange(states: States, axis: str, devices: int, basis: Basis) -> States:
    """Blocks change places within every coset. JAX cannot batch `all_to_all` in groups, so two rules are given."""
    if not basis:
        return states

    @jax.custom_batching.custom_vmap
    def send(states: States) -> States:
        return lax.all_to_all(states, axis, 1, 1, axis_index_groups=groups(basis, devices), tiled=True)

    @send.def_vmap
    def _(_size: int, _batched: list[bool], states: Float[Array, "more batch N planes"]) -> tuple[Array, bool]:
        return send(states.reshape(-1, *states.shape[2:])).reshape(states.shape), True

    linear = jax.custom_jvp(send)
    linear.defjvp(lambda at, change: (linear(*at), linear(*change)))
    return linear(states)


def _move(plan: ShardedPlan, axis: str, states: States, step: Moves) -> States:
    """One gather of the whole state."""
    device = lax.axis_index(axis)
    ways = [functools.partial(_exchange, axis=axis, devices=plan.devices, basis=basis) for basis in plan.bases]
    states = lax.switch(step.which, ways, _on_device(states, step.first, device))
    return _on_device(states, step.second, device)


def _send(states: States, axis: str, pairs: list[tuple[int, int]]) -> States:
    """Whole shards from device to device."""
    return states if all(a == b for a, b in pairs) else lax.ppermute(states, axis, pairs)


def _rows(moves: Moves, rows: slice | int) -> Moves:
    return jax.tree.map(lambda table: jnp.asarray(table[rows]), moves)


def _run(plan: ShardedPlan, axis: str, matrices: Matrices, states: States) -> States:
    inner, bounds = gathers(plan.chunk.inner), jnp.asarray(plan.chunk.bounds)

    def phase(states: States, step: tuple) -> tuple[States, None]:
        move, start, stop = step

        def body(t: Int[Array, ""], states: States) -> States:
            return window(plan.chunk, states, matrices[t], inner.high[t], inner.low[t])

        return lax.fori_loop(start, stop, body, _move(plan, axis, states, move)), None

    if plan.chunk.windows:
        states = lax.scan(phase, states, (_rows(plan.moves, slice(-1)), bounds[:-1], bounds[1:]))[0]
    return _send(_move(plan, axis, states, _rows(plan.moves, -1)), axis, list(enumerate(plan.last)))


def _run_back(
    plan: ShardedPlan, axis: str, matrices: Matrices, states: States, cotangent: States
) -> tuple[Matrices, States]:
    """Cotangents of the matrices and of the first states, from the last states and their cotangent."""
    inner, bounds = gathers(plan.chunk.inner, inverse=True), jnp.asarray(plan.chunk.bounds)

    def phase(carry: tuple[States, States, Matrices], step: tuple) -> tuple[tuple[States, States, Matrices], None]:
        move, start, stop = step

        def body(i: Int[Array, ""], carry: tuple[States, States, Matrices]) -> tuple[States, States, Matrices]:
            states, cotangent, slopes = carry
            t = start + stop - 1 - i
            pair = window_back(plan.chunk, states, cotangent, matrices[t], inner.high[t], inner.low[t])
            return pair[0], pair[1], slopes.at[t].add(pair[2])

        states, cotangent, slopes = lax.fori_loop(start, stop, body, carry)
        return (_move(plan, axis, states, move), _move(plan, axis, cotangent, move), slopes), None

    back = [(there, here) for here, there in enumerate(plan.last)]
    last = _rows(plan.inverse, -1)
    states, cotangent = (_move(plan, axis, _send(x, axis, back), last) for x in (states, cotangent))
    slopes = jnp.zeros_like(matrices)
    if plan.chunk.windows:
        steps = (_rows(plan.inverse, slice(-1)), bounds[:-1], bounds[1:])
        (_, cotangent, slopes), _ = lax.scan(phase, (states, cotangent, slopes), steps, reverse=True)
    return lax.psum(slopes, axis), cotangent


@functools.partial(jax.jit, static_argnames=("circuit", "mesh", "mode"))
def evolve_sharded(
    circuit: Circuit, angles: Float[Array, " P"], states: States, mesh: Mesh, *, mode: Mode = "reverse"
) -> States:
    """U(t) applied to states (batch, 2^n, planes) that are sharded along their second axis; so is the result.

    Args:
        circuit: U on n wires.
        angles: (P,) radians, the same on every device; their precision is that of the result.
        states: of one plane (real amplitudes; the circuit must be real too) or two (real part, imaginary part).
        mesh: D = 2^g devices along one axis, with 2 ≤ n − g.
        mode: as for `qnat.quantum.backends.statevector.evolve`.
    """
    plan, axis = sharded_plan(circuit, 2 ** device_wires(mesh, circuit.n)), mesh.axis_names[0]
    batch, size, planes = states.shape
    if size != 2**circuit.n or not plan.chunk.planes <= planes <= 2:
        raise ValueError(
            f"States of this circuit are (batch, {2**circuit.n}, planes) with {plan.chunk.planes} or 2 planes; "
            f"got {states.shape}."
        )
    own = plan.chunk.planes  # a real circuit acts on both planes of a state alike
    start = states.astype(angles.dtype) if own == planes else jnp.moveaxis(states.astype(angles.dtype), -1, 0)
    run = _shard_map(functools.partial(_run, plan, axis), mesh, "cs", "s")
    back = _shard_map(functools.partial(_run_back, plan, axis), mesh, "css", "cs")
    found = (run if mode == "forward" else reversible(run, back))(
        window_matrices(plan.chunk, angles), start.reshape(-1, size, own)
    )
    return found if own == planes else jnp.moveaxis(found.reshape(planes, batch, size), 0, -1)


def state_sharded(
    circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], mesh: Mesh, *, mode: Mode = "reverse"
) -> Float[Array, "1 N planes"]:
    """U(t)|b⟩, sharded; one plane if the circuit is real."""
    planes = sharded_plan(circuit, 2 ** device_wires(mesh, circuit.n)).chunk.planes
    start = basis_state_sharded(bits, mesh, planes=planes, dtype=angles.dtype)
    return evolve_sharded(circuit, angles, start, mesh, mode=mode)


def _product_here(
    masks: pauli_planes.Masks, m: int, axis: str, coefficients: Float[Array, " T"], states: States
) -> States:
    """H v on one device: wires above m flip whole shards and give signs, the others are those of the shard."""
    device, devices = lax.axis_index(axis), lax.axis_size(axis)
    above, below = ([(x >> s & mask, z >> s & mask) for x, z in masks] for s, mask in ((m, devices - 1), (0, 2**m - 1)))
    odd = [(x & z).bit_count() % 2 for x, z in above]
    wide = states if states.shape[-1] == 2 or not any(odd) else jnp.pad(states, ((0, 0), (0, 0), (0, 1)))

    def add(flip: int, total: States) -> States:
        shard = _send(wide, axis, [(h ^ flip, h) for h in range(devices)])
        for turned in (0, 1):
            terms = [j for j, (x, _) in enumerate(above) if (x, odd[j]) == (flip, turned)]
            if terms:
                here = tuple(above[j] for j in terms)
                scale = pauli_planes.with_phases(here, coefficients[np.array(terms)].astype(states.dtype))
                scale = scale * pauli_planes.signs(np.array([z for _, z in here]), device)[:, 0]
                part = pauli_planes.apply(tuple(below[j] for j in terms), scale, shard)
                total = total + (pauli_planes.times_i(part) if turned else part)
        return total

    # a loop, or XLA keeps all flipped shards at once
    ways = [functools.partial(add, flip) for flip in sorted({x for x, _ in above})]
    total = lax.fori_loop(0, len(ways), lambda i, total: lax.switch(i, ways, total), jnp.zeros_like(wide))
    return total[..., : states.shape[-1]]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _product(masks: pauli_planes.Masks, mesh: Mesh, coefficients: Float[Array, " T"], states: States) -> States:
    m = states.shape[1].bit_length() - 1 - device_wires(mesh, states.shape[1].bit_length() - 1)
    here = functools.partial(_product_here, masks, m, mesh.axis_names[0])
    return _shard_map(here, mesh, "cs", "s")(coefficients, states)


def _inner(a: States, b: States) -> Float[Array, " batch"]:
    return jnp.sum(a * b, axis=(1, 2))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _expectation(
    masks: pauli_planes.Masks, mesh: Mesh, coefficients: Float[Array, " T"], states: States
) -> Float[Array, " batch"]:
    return _inner(states, _product(masks, mesh, coefficients, states))


@functools.partial(_expectation.defjvp, symbolic_zeros=True)
def _expectation_jvp(
    masks: pauli_planes.Masks,
    mesh: Mesh,
    primals: tuple[Array, Array],
    tangents: tuple[Array | SymbolicZero, Array | SymbolicZero],
) -> tuple[Array, Array]:
    # as in pauli_planes, with H(dc) v in place of single strings
    (coefficients, states), (change, moved) = primals, tangents
    product = _product(masks, mesh, coefficients, states)
    value = _inner(states, product)
    tangent = jnp.zeros_like(value)
    if not isinstance(moved, SymbolicZero):
        tangent = tangent + 2 * _inner(product, moved)
    if not isinstance(change, SymbolicZero):
        tangent = tangent + _inner(states, _product(masks, mesh, change, states))
    return value, tangent


def apply_sharded(observable: PauliSum, states: States, mesh: Mesh) -> States:
    """H v; a string that flips device wires sends whole shards, once for every set of flipped device wires."""
    if states.shape[-1] == 1 and not observable.is_real:
        raise ValueError("A string with an odd number of Y makes real states complex; give them a second plane.")
    return _product(observable.masks, mesh, observable.coefficients, states)


@functools.partial(jax.jit, static_argnames="mesh")
def expectation_sharded(observable: PauliSum, states: States, mesh: Mesh) -> Float[Array, " batch"]:
    """⟨v|H|v⟩ of every state; value and gradient together cost one product with H, in every mode of derivative."""
    return _expectation(observable.masks, mesh, observable.coefficients, states)

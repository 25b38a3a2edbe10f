"""Expectations from measured bitstrings: groups of Pauli strings, shots divided among them, standard errors."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact, Int, PRNGKeyArray

from qnat.inference.estimate import Estimate

from ..backends import AbstractBackend
from ..circuits.circuit import Circuit
from ..operators.pauli import PauliSum
from .groups import TO_Z, Group, allocate, commuting_groups, in_basis


class Measurement(eqx.Module):
    """How an observable is measured with a number of shots: the settings, and the shots of each.

    Attributes:
        observable: a Pauli sum; its coefficients may be traced once the measurement is made.
        groups: what is measured together. shots: how often, for each group.
    """

    observable: PauliSum
    groups: tuple[Group, ...] = eqx.field(static=True)
    shots: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, observable: PauliSum, shots: int, deviations: Sequence[float] | None = None) -> None:
        """Divides `shots` in proportion to the one-shot standard deviations of the groups.

        Where these are not known, their bounds Σ|c| stand for them. `deviations` of this class finds them from the
        counts of a pilot run or from exact probabilities.
        """
        self.observable = observable
        self.groups = commuting_groups(observable)
        if not self.groups:
            raise ValueError("A multiple of the identity needs no measurement; give an observable with another string.")
        sizes = np.abs(np.asarray(observable.coefficients))
        bounds = [float(sizes[list(group.terms)].sum()) for group in self.groups]
        self.shots = allocate(shots, bounds if deviations is None else deviations)

    @property
    def constant(self) -> Float[Array, ""]:
        """The coefficient of the identity."""
        identity = np.array([set(string) == {"I"} for string in self.observable.strings])
        return self.observable.coefficients @ identity

    @property
    def outcomes(self) -> Float[Array, "G d"]:
        """What each bitstring counts for in each group: Σⱼ cⱼ Πᵢ sᵢ over the letters of the string."""
        rows, n = np.arange(2**self.observable.n), self.observable.n
        found = []
        for group in self.groups:
            supports = [[letter != "I" for letter in self.observable.strings[term]] for term in group.terms]
            masks = np.array(supports) @ (1 << np.arange(n)[::-1])
            signs = 1 - 2 * (np.bitwise_count(rows & masks[:, None]).astype(int) & 1)
            found.append(self.observable.coefficients[np.array(group.terms)] @ signs)
        return jnp.stack(found)

    def probabilities(self, states: Inexact[Array, "... d"]) -> Float[Array, "G ... d"]:
        """Born's rule for given amplitudes, in the basis of each group."""
        n, found = self.observable.n, []
        for group in self.groups:
            rotated = states
            for wire, letter in enumerate(group.basis):
                if letter != "Z":
                    dtype = jnp.result_type(states.dtype, jnp.complex64) if letter == "Y" else states.dtype
                    split = rotated.reshape(-1, 2**wire, 2, 2 ** (n - 1 - wire))
                    rotated = jnp.einsum("ab,xibj->xiaj", TO_Z[letter].astype(dtype), split).reshape(states.shape)
            found.append(jnp.abs(rotated) ** 2)
        return jnp.stack(found)

    def counts(self, probabilities: Float[Array, "G d"], *, key: PRNGKeyArray) -> Float[Array, "G d"]:
        """How often each outcome is met, multinomial."""
        return jax.random.multinomial(key, jnp.asarray(self.shots, probabilities.dtype), _normalised(probabilities))

    @jax.jit
    def estimate(self, counts: Float[Array, "G d"]) -> Estimate:
        """The expectation and its standard error from how often each outcome was met."""
        means, variances = self._moments(counts)
        shots = jnp.sum(counts, axis=-1)
        return Estimate(self.constant + jnp.sum(means), jnp.sqrt(jnp.sum(variances / shots)))

    def deviations(self, counts: Float[Array, "G d"]) -> Float[Array, " G"]:
        """One-shot standard deviations of the groups, from the counts of a pilot run."""
        return jnp.sqrt(self._moments(counts)[1])

    def _moments(self, counts: Float[Array, "G d"]) -> tuple[Float[Array, " G"], Float[Array, " G"]]:
        """Means and unbiased variances of single shots."""
        outcomes, shots = self.outcomes, jnp.sum(counts, axis=-1)
        means = jnp.sum(counts * outcomes, axis=-1) / shots
        return means, jnp.sum(counts * (outcomes - means[:, None]) ** 2, axis=-1) / (shots - 1)

    def run(
        self,
        backend: AbstractBackend,
        circuit: Circuit,
        angles: Float[Array, " P"],
        bits: Int[Array, " n"],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "G d"]:
        """Counts of the outcomes of U|b⟩: from amplitudes where JAX traces the backend, else by its own sampling."""
        self._check(circuit)
        if backend.traceable:
            return self.counts(self.probabilities(backend.state(circuit, angles, bits)), key=key)
        keys = jax.random.split(key, len(self.groups))
        found = [
            _sampled(backend, circuit, group, angles, bits, shots, each)
            for group, shots, each in zip(self.groups, self.shots, keys, strict=True)
        ]
        return jnp.asarray(np.stack(found), self.observable.coefficients.dtype)

    def run_each(
        self,
        backend: AbstractBackend,
        circuit: Circuit,
        angles: Float[Array, " P"],
        p: Float[Array, " d"],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "G d d"]:
        """Counts [g, x, y] of starting bitstrings x ~ p and the outcomes y of U|x⟩."""
        first, second = jax.random.split(key)
        shots = jnp.asarray(self.shots, p.dtype)
        starts = jax.random.multinomial(first, shots, jnp.broadcast_to(p, (shots.size, p.size)))
        if backend.traceable:
            outcomes = _normalised(self.probabilities(self._states(backend, circuit, angles)))
            return jax.random.multinomial(second, starts, outcomes)
        self._check(circuit)
        starts, found = np.asarray(starts), np.zeros((*starts.shape, p.size))
        for g, x in np.argwhere(starts > 0):
            each, bits = jax.random.fold_in(jax.random.fold_in(second, g), x), jnp.asarray(self._bits[x], int)
            found[g, x] = _sampled(backend, circuit, self.groups[g], angles, bits, int(starts[g, x]), each)
        return jnp.asarray(found, p.dtype)

    def run_mixture(
        self,
        backend: AbstractBackend,
        circuit: Circuit,
        angles: Float[Array, " P"],
        p: Float[Array, " d"],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "G d"]:
        """Counts [g, y] of the outcomes of U|x⟩, x ~ p; in simulation one draw from the mixture."""
        if backend.traceable:
            outcomes = jnp.einsum("x,gxy->gy", p, self.probabilities(self._states(backend, circuit, angles)))
            return self.counts(outcomes, key=key)
        return jnp.sum(self.run_each(backend, circuit, angles, p, key=key), axis=1)

    @property
    def _bits(self) -> Int[np.ndarray, "d n"]:
        n = self.observable.n
        return np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1

    def _states(self, backend: AbstractBackend, circuit: Circuit, angles: Float[Array, " P"]) -> Complex[Array, "d d"]:
        """U|x⟩ of every bitstring."""
        self._check(circuit)
        return jax.vmap(lambda bits: backend.state(circuit, angles, bits))(self._bits)

    def _check(self, circuit: Circuit) -> None:
        if circuit.n != self.observable.n:
            raise ValueError(f"A circuit on {circuit.n} wires has no expectation on {self.observable.n}; use as many.")


def _normalised(probabilities: Float[Array, "... d"]) -> Float[Array, "... d"]:
    return probabilities / jnp.sum(probabilities, axis=-1, keepdims=True)


def _sampled(
    backend: AbstractBackend,
    circuit: Circuit,
    group: Group,
    angles: Float[Array, " P"],
    bits: Int[Array, " n"],
    shots: int,
    key: PRNGKeyArray,
) -> Int[np.ndarray, " d"]:
    """How often a backend's own measurement gives each outcome in the basis of a group."""
    outcomes = backend.sample(in_basis(circuit, group.basis), angles, bits, shots=shots, key=key)
    # on the host: JAX would compile a program for every number of shots
    return np.bincount(np.asarray(outcomes) @ (1 << np.arange(circuit.n)[::-1]), minlength=2**circuit.n)


def estimate(
    backend: AbstractBackend,
    circuit: Circuit,
    angles: Float[Array, " P"],
    bits: Int[Array, " n"],
    observable: PauliSum,
    *,
    shots: int,
    key: PRNGKeyArray,
) -> Estimate:
    """⟨b|U† O U|b⟩ as a device finds it, unbiased, with its standard error, in the units of the observable.

    Args:
        backend: any; where JAX traces it, this function can be traced as well.
        circuit: U. angles: (P,) radians. bits: (n,) b, wire 0 first.
        observable: O, of known coefficients; where these are traced, make the `Measurement` beforehand.
        shots: how often the circuit is run in all.
        key: of the outcomes.

    Raises:
        ValueError: fewer than two shots a group of commuting strings, or a multiple of the identity.
    """
    plan = Measurement(observable, shots)
    return plan.estimate(plan.run(backend, circuit, angles, bits, key=key))

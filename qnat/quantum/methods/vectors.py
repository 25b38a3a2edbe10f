"""The free energy of a mixture of rotated bit strings from a few vectors, without any array of 4^n numbers.

ρ = U diag(p) U† with A = U†HU: Tr ρH = Σ_b p_b ⟨b|A|b⟩. The K most probable strings are summed over exactly; for the
rest stand vectors √p∘s of random signs s, E s_b s_c = δ_bc. Whatever the signs are, entropy and log p are exact, and A
is diagonal at an optimum that the circuit reaches: there all noise of the energy and of the latent gradient is gone.

The derivative of that energy by an angle keeps its noise there. With Aₖ = U†∂ₖU, Q = √p and any number c

    gₖ = Re⟨[Aₖ, Q] s, {βA + log p − c, Q} s⟩

has the same mean. At such an optimum βA + log p is a number; with c near it, as the strings tell, every gₖ is zero
there: the quiet gradient. And the variance of any component is bounded by the metric 4⟨[Aₖ, Q], [Aₖ, Q]⟩ times the
squared distance from the optimum, so that a natural step does not blow noise up in directions that hardly matter.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qnat.experiment.bounds import check_whole
from qnat.inference.estimate import Estimate

from ..circuits.circuit import Circuit
from ..engine import evolve_planes, plan, window_matrices
from ..engine.evolve import Mode
from ..models import LatentGibbs
from ..models.latent import Params
from ..operators.pauli import PauliSum

_TOGETHER = 8  # strings that pass a circuit at a time, at most; more are no faster, and take memory


class Draw(NamedTuple):
    """What stands for the sum over all bit strings.

    Attributes:
        strings: (K,) numbers of those that are summed over exactly.
        signs: (R, d) random signs ±1, zero on the strings.
    """

    strings: Int[Array, " K"]
    signs: Float[Array, "R d"]


def draw(log_p: Float[Array, " d"], strings: int, vectors: int, *, key: PRNGKeyArray) -> Draw:
    """The `strings` most probable bit strings, and so many vectors of fresh signs on the others."""
    top = jax.lax.top_k(log_p, strings)[1]
    signs = jax.random.rademacher(key, (vectors, log_p.size), log_p.dtype)
    return Draw(top, signs.at[:, top].set(0))


def planes_of(circuit: Circuit) -> int:
    """Real numbers of an amplitude: one of a real circuit, else two."""
    return plan(circuit).planes


def as_planes(states: Float[Array, "batch d"], planes: int) -> Float[Array, "batch d planes"]:
    """Real states, with an imaginary part of zeros where the circuit makes one."""
    return jnp.pad(states[..., None], ((0, 0), (0, 0), (0, planes - 1)))


def run(
    circuit: Circuit, angles: Float[Array, " P"], states: Float[Array, "batch d planes"], mode: Mode = "reverse"
) -> Float[Array, "batch d planes"]:
    """U(t) on every state."""
    found = plan(circuit, len(states))
    return evolve_planes(found, window_matrices(found, angles), states, mode)


def _blocks(strings: Int[Array, " K"]) -> tuple[Int[Array, "blocks B"], Float[Array, "blocks B"]]:
    """The strings in blocks of equal size, and 1 for each, 0 for what fills up the last block."""
    count = strings.size
    size = min(_TOGETHER, count)
    missing = -count % size
    present = jnp.pad(jnp.ones(count), (0, missing))
    return jnp.pad(strings, (0, missing)).reshape(-1, size), present.reshape(-1, size)


def check_strings(model: LatentGibbs, strings: int) -> None:
    """Raises ValueError unless vectors are of use to the model, and it has so many bit strings."""
    if not isinstance(model, LatentGibbs):
        raise ValueError(f"Vectors need a model with a circuit, a LatentGibbs; got {type(model).__name__}.")
    n = model.circuit.n
    if n < 2:
        raise ValueError("One qubit needs no vectors; its density matrix has four numbers.")
    check_whole(strings=(strings, 0))
    if strings > 2**n:
        raise ValueError(f"There are {2**n} bit strings of {n} qubits; got {strings}, so ask for fewer.")


class Parts(NamedTuple):
    """What vectors or blocks of strings contribute to β⟨H⟩, one a row.

    Attributes:
        energy: of it. weights: of w_b, with ∂β⟨H⟩ = Σ w_b ∂log p_b. quiet, plain: of its derivative by the angles, the
        quiet one and that of the energy as it is estimated.
    """

    energy: Float[Array, " rows"]
    weights: Float[Array, "rows _"]
    quiet: Float[Array, "rows P"]
    plain: Float[Array, "rows P"]


class Slopes(NamedTuple):
    """An estimated free energy and its derivatives.

    Attributes:
        value: β⟨H⟩ − S. gradient: by "latent" and "angles"; its errors vanish at an optimum that the circuit reaches.
        plain: (P,) the derivative of the estimate itself by the angles, which has the same mean.
    """

    value: Estimate
    gradient: dict[str, Estimate]
    plain: Float[Array, " P"]


def _mean(exact: Float[Array, "..."], samples: Float[Array, "R ..."]) -> Estimate:
    """A sum of an exact part and the mean of independent samples; one sample alone knows no error."""
    count = len(samples)
    error = jnp.sqrt(jnp.var(samples, axis=0) / (count - 1)) if count > 1 else jnp.full_like(exact, jnp.nan)
    return Estimate(exact + jnp.mean(samples, axis=0), error)


def _averaged(model: LatentGibbs, params: Params, drawn: Draw, measured: Callable[[Array], Array]) -> Estimate:
    """The mean over ρ of what is measured of states U|ψ⟩, (batch, d, planes) ↦ (batch, …) and quadratic in them."""
    p = jnp.exp(model.log_probabilities(params["latent"]))
    root, circuit, angles, planes = jnp.sqrt(p), model.circuit, params["angles"], planes_of(model.circuit)

    def block(rows: tuple[Array, Array]) -> Float[Array, "*o"]:
        strings, weights = rows
        states = as_planes(jax.nn.one_hot(strings, p.size, dtype=p.dtype), planes)
        return jnp.tensordot(weights, measured(run(circuit, angles, states)), axes=1)

    def vector(signs: Float[Array, " d"]) -> Float[Array, "*o"]:
        return measured(run(circuit, angles, as_planes((root * signs)[None], planes)))[0]

    samples = jax.lax.map(vector, drawn.signs)
    exact = jnp.zeros(samples.shape[1:], p.dtype)
    if drawn.strings.size:
        strings, present = _blocks(drawn.strings)
        exact = jnp.sum(jax.lax.map(block, (strings, present * p[strings])), axis=0)
    return _mean(exact, samples)


def expectations(model: LatentGibbs, params: Params, strings: PauliSum, drawn: Draw) -> Estimate:
    """⟨Pⱼ⟩ of every string, coefficients left out, (T,)."""
    return _averaged(model, params, drawn, strings.string_expectations_planes)


def real_part(hamiltonian: PauliSum, planes: int) -> PauliSum:
    """What a state of so many planes sees of H: a real one does not see strings with an odd number of Y."""
    even = [string.count("Y") % 2 == 0 for string in hamiltonian.strings]
    if planes == 2 or all(even):
        return hamiltonian
    kept = np.flatnonzero(even)
    if not kept.size:
        return PauliSum(jnp.zeros(1), ("I" * hamiltonian.n,))
    return PauliSum(hamiltonian.coefficients[kept], tuple(hamiltonian.strings[i] for i in kept))


def _pulled(
    pull: Callable[..., tuple[Array, Array]], images: Float[Array, "batch d planes"], weights: Float[Array, " batch"]
) -> tuple[Float[Array, " P"], Float[Array, "batch d planes"]]:
    """The weighted sum of what images pull back to the angles, and what each pulls back to its state, in one pull.

    Floating-point numbers bear a state's weight and its inverse; none is so small that this would fail, and a weight of
    zero is replaced by one that no sum notices.
    """
    scale = jnp.maximum(weights, jnp.sqrt(jnp.finfo(images.dtype).tiny))[:, None, None]
    slope, back = pull(scale * images)
    return slope, back / scale


class VectorFreeEnergy(eqx.Module):
    """F = β⟨H⟩ − S of a `LatentGibbs`, and its gradient, estimated by strings and vectors.

    Attributes:
        model: the model. hamiltonian: H. beta: inverse temperature.
    """

    model: LatentGibbs
    hamiltonian: PauliSum
    beta: Float[Array, ""]

    def __check_init__(self) -> None:
        if self.hamiltonian.n != (n := self.model.circuit.n):
            raise ValueError(f"The model has {n} qubits and the Hamiltonian {self.hamiltonian.n}; give both the same.")

    def energy(self, params: Params, drawn: Draw) -> Estimate:
        """⟨H⟩; of R vectors with the standard error of their mean, which is NaN for one."""
        return _averaged(self.model, params, drawn, self.hamiltonian.expectation_planes)

    def value(self, params: Params, drawn: Draw) -> Estimate:
        """F, with the standard error of `energy`."""
        log_p = self.model.log_probabilities(params["latent"])
        energy = self.energy(params, drawn)
        return Estimate(self.beta * energy.value + jnp.exp(log_p) @ log_p, self.beta * energy.standard_error)

    def slopes(self, params: Params, drawn: Draw) -> Slopes:
        """F as `value` gives it, and its gradient from the same vectors."""
        log_p = self.model.log_probabilities(params["latent"])
        p = jnp.exp(log_p)
        root = jnp.sqrt(p)
        count = params["angles"].size
        exact, level = Parts(*(jnp.zeros((1, *shape)) for shape in ((), (p.size,), (count,), (count,)))), jnp.zeros(())
        if drawn.strings.size:
            strings, present = _blocks(drawn.strings)
            twice = jnp.full(p.size, 2.0).at[drawn.strings].set(1)
            parts = jax.lax.map(lambda rows: self._strings(params, p, twice, *rows), (strings, present))
            weights = jnp.zeros(p.size).at[strings].add(parts.weights)
            exact = parts._replace(weights=weights[None])
            top = p[drawn.strings]
            level = (jnp.sum(parts.energy) + top @ log_p[drawn.strings]) / jnp.sum(top)
        known = 2 * root * (log_p - level)
        outside = jnp.ones(p.size).at[drawn.strings].set(0)
        sampled = jax.lax.map(lambda signs: self._vector(params, root, known, outside, signs), drawn.signs)
        exact = jax.tree.map(lambda x: jnp.sum(x, axis=0), exact)
        value = _mean(exact.energy + p @ log_p, sampled.energy)
        # ∂F = Σ ∂log p_b (w_b + p_b log p_b), and ∂log p_b = −∂E_b + ⟨∂E⟩
        local = exact.weights + p * log_p

        def latent(weights: Float[Array, " d"]) -> Float[Array, " T"]:
            return self.model.latent_gradient(params["latent"], jnp.sum(weights) * p - weights)

        gradient = {
            "latent": _mean(latent(local), jax.lax.map(latent, sampled.weights)),
            "angles": _mean(exact.quiet, sampled.quiet),
        }
        return Slopes(value, gradient, exact.plain + jnp.mean(sampled.plain, axis=0))

    def _strings(
        self,
        params: Params,
        p: Float[Array, " d"],
        twice: Float[Array, " d"],
        strings: Int[Array, " B"],
        present: Float[Array, " B"],
    ) -> Parts:
        """A block of strings, weighed by p: pairs with both among the strings count once, with one of them twice."""
        circuit, planes = self.model.circuit, planes_of(self.model.circuit)
        start = as_planes(jax.nn.one_hot(strings, p.size, dtype=p.dtype), planes)
        states, pull = jax.vjp(lambda angles, start: run(circuit, angles, start), params["angles"], start)
        weight = present * p[strings]
        image = self.beta * self.hamiltonian.apply_planes(states)
        levels = jnp.sum(states * image, axis=(1, 2))
        slope, back = _pulled(pull, image, weight)
        weighted = back * (present[:, None] * twice * (p[strings][:, None] - p))[..., None]
        quiet, _ = pull(run(circuit, params["angles"], weighted))
        return Parts(weight @ levels, weight * levels, quiet, 2 * slope)

    def _vector(
        self,
        params: Params,
        root: Float[Array, " d"],
        known: Float[Array, " d"],
        outside: Float[Array, " d"],
        signs: Float[Array, " d"],
    ) -> Parts:
        """Of one vector; `known` is {log p − c, Q}, `outside` zero on the strings."""
        circuit, planes = self.model.circuit, planes_of(self.model.circuit)
        start = as_planes(jnp.stack([root * signs, signs]), planes)
        states, pull = jax.vjp(lambda angles, start: run(circuit, angles, start), params["angles"], start)
        image = self.beta * self.hamiltonian.apply_planes(states)
        slope, both = _pulled(pull, image, jnp.array([1.0, 0.0]))
        excess = both[0] + root[:, None] * both[1] + as_planes((known * signs)[None], planes)[0]
        excess = excess * outside[:, None]
        quiet, _ = pull(run(circuit, params["angles"], jnp.stack([excess, -root[:, None] * excess])))
        return Parts(jnp.sum(states[0] * image[0]), root * signs * both[0, :, 0], quiet, 2 * slope)

"""The free energy of a mixture of rotated bit strings from a few vectors, without any array of 4^n numbers.

ρ = U diag(p) U† with A = U†HU: Tr ρH = Σ_b p_b ⟨b|A|b⟩. The K most probable strings are summed over exactly; for the
rest stand vectors √p∘s of random signs s, E s_b s_c = δ_bc. Whatever the signs are, entropy and log p are exact, and A
is diagonal at an optimum that the circuit reaches: there all noise of the energy and of the latent gradient is gone.

The derivative of that energy by an angle keeps its noise there. With Aₖ = U†∂ₖU and Q = √p the mean of

    gₖ = 2β Re⟨Aₖ Q s, [A, Q] s⟩

is the same, and where A is diagonal every one of them is zero: the quiet gradient.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qnat.inference.estimate import Estimate

from ..circuits.circuit import Circuit
from ..engine import evolve_planes, plan, window_matrices
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


def run(circuit: Circuit, angles: Float[Array, " P"], states: Float[Array, "batch d planes"]) -> Float[Array, "b d p"]:
    """U(t) on every state, to be derived backwards."""
    found = plan(circuit, len(states))
    return evolve_planes(found, window_matrices(found, angles), states)


def _blocks(strings: Int[Array, " K"]) -> tuple[Int[Array, "blocks B"], Float[Array, "blocks B"]]:
    """The strings in blocks of equal size, and 1 for each, 0 for what fills up the last block."""
    count = strings.size
    size = min(_TOGETHER, count)
    missing = -count % size
    present = jnp.pad(jnp.ones(count), (0, missing))
    return jnp.pad(strings, (0, missing)).reshape(-1, size), present.reshape(-1, size)


class Parts(NamedTuple):
    """What strings or vectors contribute, one of them or a block of them a row.

    Attributes:
        energy: of ⟨H⟩. weights: of w_b, ∂⟨H⟩ = Σ w_b ∂log p_b. quiet, plain: of ∂⟨H⟩ by the angles, the quiet one and
        the derivative of the energy as it is estimated.
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


class VectorFreeEnergy(eqx.Module):
    """F = β⟨H⟩ − S of a `LatentGibbs`, and its gradient, estimated by strings and vectors.

    Attributes:
        model: the model. hamiltonian: H. beta: inverse temperature.
    """

    model: LatentGibbs
    hamiltonian: PauliSum
    beta: Float[Array, ""]

    def _times(self, states: Float[Array, "batch d planes"]) -> Float[Array, "batch d planes"]:
        return self.hamiltonian.apply_planes(states)

    def value(self, params: Params, drawn: Draw) -> Estimate:
        """F; of R vectors with the standard error of their mean, which is NaN for one."""
        log_p = self.model.log_probabilities(params["latent"])
        p, circuit, planes = jnp.exp(log_p), self.model.circuit, planes_of(self.model.circuit)

        def block(rows: tuple[Array, Array]) -> Float[Array, ""]:
            strings, weights = rows
            states = as_planes(jax.nn.one_hot(strings, p.size, dtype=p.dtype), planes)
            levels = self.hamiltonian.expectation_planes(run(circuit, params["angles"], states))
            return weights @ levels

        def vector(signs: Float[Array, " d"]) -> Float[Array, ""]:
            states = as_planes((jnp.sqrt(p) * signs)[None], planes)
            return self.hamiltonian.expectation_planes(run(circuit, params["angles"], states))[0]

        exact = p @ log_p
        if drawn.strings.size:
            strings, present = _blocks(drawn.strings)
            exact = exact + self.beta * jnp.sum(jax.lax.map(block, (strings, present * p[strings])))
        return _mean(exact, self.beta * jax.lax.map(vector, drawn.signs))

    def slopes(self, params: Params, drawn: Draw) -> Slopes:
        """F as `value` gives it, and its gradient from the same vectors."""
        log_p = self.model.log_probabilities(params["latent"])
        p = jnp.exp(log_p)
        root = jnp.sqrt(p)
        count, parts = params["angles"].size, []
        exact = Parts(jnp.zeros(1), jnp.zeros((1, p.size)), jnp.zeros((1, count)), jnp.zeros((1, count)))
        if drawn.strings.size:
            strings, present = _blocks(drawn.strings)
            twice = jnp.full(p.size, 2.0).at[drawn.strings].set(1)
            parts = jax.lax.map(lambda rows: self._strings(params, p, twice, *rows), (strings, present))
            weights = jnp.zeros(p.size).at[strings].add(parts.weights)
            exact = parts._replace(weights=weights[None])
        outside = jnp.ones(p.size).at[drawn.strings].set(0)
        sampled = jax.lax.map(lambda signs: self._vector(params, root, outside, signs), drawn.signs)
        exact = jax.tree.map(lambda x: self.beta * jnp.sum(x, axis=0), exact)
        sampled = jax.tree.map(lambda x: self.beta * x, sampled)
        value = _mean(exact.energy + p @ log_p, sampled.energy)
        # ∂F = Σ ∂log p_b (βw_b + p_b log p_b), and ∂log p_b = −∂E_b + ⟨∂E⟩
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
        image = self._times(states)
        levels = jnp.sum(states * image, axis=(1, 2))
        slope, _ = pull(2 * weight[:, None, None] * image)
        back = pull(image)[1]
        weighted = back * (present[:, None] * twice * (p[strings][:, None] - p))[..., None]
        quiet, _ = pull(run(circuit, params["angles"], weighted))
        return Parts(weight @ levels, weight * levels, quiet, slope)

    def _vector(
        self, params: Params, root: Float[Array, " d"], outside: Float[Array, " d"], signs: Float[Array, " d"]
    ) -> Parts:
        circuit, planes = self.model.circuit, planes_of(self.model.circuit)
        start = as_planes(jnp.stack([root * signs, signs]), planes)
        states, pull = jax.vjp(lambda angles, start: run(circuit, angles, start), params["angles"], start)
        image = self._times(states)
        both = pull(image)[1]
        slope, _ = pull(2 * image.at[1].set(0))
        commutator = (both[0] - root[:, None] * both[1]) * (2 * outside)[:, None]
        turned = run(circuit, params["angles"], commutator[None])
        quiet, _ = pull(jnp.concatenate([turned, jnp.zeros_like(turned)]))
        energy = jnp.sum(states[0] * image[0])
        return Parts(energy, root * signs * both[0, :, 0], quiet, slope)

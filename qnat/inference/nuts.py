"""The no-U-turn sampler of blackjax as a process of several chains."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .chains import Chains, extended
from .process import Info, Process


class NutsState(NamedTuple):
    """chains: their draws. kernel: blackjax's states, step_size: (C,), inverse_mass: (C, d) variances."""

    chains: Chains
    kernel: Any
    step_size: Float[Array, " C"]
    inverse_mass: Float[Array, "C d"]


class _Nuts(eqx.Module):
    energy: Callable[[Float[Array, " d"]], Float[Array, ""]]
    warm_up: int = eqx.field(static=True)

    def log_density(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return -self.energy(x)

    def init(self, params: Chains, *, key: PRNGKeyArray) -> NutsState:
        import blackjax
        from blackjax.adaptation.base import get_filter_adapt_info_fn

        warm = blackjax.window_adaptation(
            blackjax.nuts, self.log_density, adaptation_info_fn=get_filter_adapt_info_fn()
        )

        def one(at: tuple[Float[Array, " d"], PRNGKeyArray]) -> Any:
            (state, found), _ = warm.run(at[1], at[0], num_steps=self.warm_up)
            return state, found["step_size"], found["inverse_mass_matrix"]

        keys = jax.random.split(key, len(params.position))
        kernel, size, mass = jax.lax.map(one, (params.position, keys))
        return NutsState(params._replace(position=kernel.position), kernel, size, mass)

    def step(self, state: NutsState, batch: Any = None, *, key: PRNGKeyArray) -> tuple[NutsState, Info]:
        import blackjax

        def one(at: Any) -> Any:
            kernel, size, mass, each = at
            new, info = blackjax.nuts(self.log_density, size, mass).step(each, kernel)
            return new, info.acceptance_rate, info.is_divergent

        keys = jax.random.split(key, len(state.step_size))
        new, acceptance, divergent = jax.lax.map(one, (state.kernel, state.step_size, state.inverse_mass, keys))
        scalars = {"acceptance": jnp.mean(acceptance), "divergent": jnp.mean(divergent.astype(float))}
        value = -jnp.mean(state.kernel.logdensity)
        return state._replace(chains=extended(state.chains, new.position), kernel=new), Info(value, scalars)

    def params(self, state: NutsState) -> Chains:
        return state.chains


def nuts(energy: Callable[[Float[Array, " d"]], Float[Array, ""]], *, warm_up: int = 500) -> Process:
    """Hamiltonian Monte Carlo without U-turns: a step is a transition of every chain; parameters are `Chains`.

    Chains start where those of the parameters are, each with a warm-up of its own that finds its step size and
    variances; its draws are not kept. The value is the mean energy of the chains.

    Args:
        energy: −log density, differentiable. warm_up: transitions before the first step.

    Reference: M. Hoffman, A. Gelman, J. Mach. Learn. Res. 15, 1593 (2014).
    """
    importlib.import_module("blackjax")  # so that a package that is missing is told of before anything runs
    method = _Nuts(energy, warm_up)
    return Process(method.init, method.step, method.params)

"""Models written for numpyro as posteriors."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qnat.experiment.errors import RefusedError

from .posterior import Posterior


class _Joint(eqx.Module):
    model: Callable[..., Any] = eqx.field(static=True)

    def __call__(self, params: Any, data: tuple[tuple[Any, ...], dict[str, Any]]) -> Float[Array, ""]:
        from numpyro.infer.util import potential_energy

        return -potential_energy(self.model, data[0], data[1], params)


def from_numpyro(model: Callable[..., Any], *args: Any, **kwargs: Any) -> Posterior:
    """The posterior of a numpyro model: log p of its latent sites and of what it observes.

    Parameters are a dictionary of its latent sites in unconstrained coordinates, whose Jacobian is in the density, as
    in numpyro's own inference; `numpyro.infer.util.constrain_fn` takes draws back. It starts at prior draws.

    Args:
        model: a function with `numpyro.sample` sites. args, kwargs: what it is called with, the data among them.

    Raises:
        RefusedError: it has no latent site, or a discrete one.
    """
    import numpyro
    from numpyro.distributions import biject_to

    trace = numpyro.handlers.trace(numpyro.handlers.seed(model, jax.random.key(0))).get_trace(*args, **kwargs)
    latent = {name: site for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]}
    if not latent:
        raise RefusedError("The numpyro model has no latent site; its parameters are numpyro.sample sites without obs.")
    for name, site in latent.items():
        if site["fn"].support.is_discrete:
            raise RefusedError(f"Site {name} of the numpyro model is discrete; sum over it inside the model.")
    start = {name: biject_to(site["fn"].support).inv(site["value"]) for name, site in latent.items()}
    return Posterior(_Joint(model), jax.tree.map(jnp.asarray, start), (args, kwargs))

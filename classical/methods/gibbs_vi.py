"""Variational Gibbs inference: maximum likelihood from rows with missing entries, of densities of whole rows.

Every missing entry holds a value, its imputation, which is kept from step to step. A step draws one missing entry x_j
of each row anew from a conditional q_j(x_j | x_−j), and climbs

    J = E_{x_j ~ q_j} log p(x_j, x_−j) + H(q_j)

in the parameters of the density and of the conditionals; then the conditionals move the imputations, as a Gibbs sampler
does. In the q_j the highest J is the least KL(q_j ‖ p(x_j | x_−j)), and with none left the chain has p(missing | seen)
for its law and the gradient is that of EM. Without a missing entry J is log p(x).

Reference: V. Simkus, B. Rhodes, M. Gutmann, J. Mach. Learn. Res. 24 (2023), arXiv:2111.13180.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from qnat.geometry.charts import AbstractChart
from qnat.inference.process import Info, Process
from qnat.optim import projected

from ..data.imputed import IncompleteTable, with_entries
from ..data.missing import Rows
from ..models.conditionals import ConditionalParams, GaussianConditionals
from .gibbs_bound import LogProb, divergence, lower_bound

_JUDGED = 256
"""Rows of which the divergence of the conditionals is told, at most."""


class GibbsState(NamedTuple):
    """What is kept from step to step.

    Attributes:
        point, coordinates: of the density. conditionals: parameters of the q_j. filled: (N, d) rows with imputations.
        optimizers: states of the transforms of the density and of the conditionals. step: steps so far.
    """

    point: PyTree[Array]
    coordinates: PyTree[Array]
    conditionals: ConditionalParams
    filled: Float[Array, "N d"]
    optimizers: tuple[PyTree[Array], PyTree[Array]]
    step: Int[Array, ""]


class _Gibbs(eqx.Module):
    log_prob: LogProb
    chart: AbstractChart
    table: IncompleteTable
    conditionals: GaussianConditionals
    optimizer: optax.GradientTransformation
    conditional_optimizer: optax.GradientTransformation
    updates: int = eqx.field(static=True)
    warmup: Int[Array, ""]
    batch: int = eqx.field(static=True)
    quadratic: bool = eqx.field(static=True)

    def init(self, params: PyTree[Array], *, key: PRNGKeyArray) -> GibbsState:
        first, second = jax.random.split(key)
        coordinates, conditionals = self.chart.from_point(params), self.conditionals.start(first, self.table)
        optimizers = self._optimizer.init(coordinates), self.conditional_optimizer.init(conditionals)
        filled = self.table.marginals(second)
        return GibbsState(params, coordinates, conditionals, filled, optimizers, jnp.zeros((), jnp.int32))

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        return projected(self.optimizer, self.chart.project)

    def step(self, state: GibbsState, batch: Any = None, *, key: PRNGKeyArray) -> tuple[GibbsState, Info]:
        rows_key, climb_key, warm_key, gibbs_key, judge_key = jax.random.split(key, 5)
        total = len(self.table.x)
        rows = jnp.arange(total)
        if self.batch < total:
            rows = jax.random.permutation(rows_key, total)[: self.batch]
        x, weights = state.filled[rows], self.table.weights[rows] * (total / self.batch)
        warm = state.step < self.warmup
        place = (state.coordinates, state.conditionals)
        value, (slope, conditional_slope) = jax.value_and_grad(self._loss)(place, x, weights, rows, climb_key)
        conditional_slope = jax.lax.cond(
            warm,
            lambda: jax.grad(self._regression)(state.conditionals, x, weights, rows, warm_key),
            lambda: conditional_slope,
        )
        ours, theirs = state.optimizers
        conditionals, theirs = _moved(self.conditional_optimizer, conditional_slope, theirs, state.conditionals)

        def climbed() -> Any:
            coordinates, inner = _moved(self._optimizer, slope, ours, state.coordinates)
            filled = state.filled.at[rows].set(self._gibbs(conditionals, x, rows, gibbs_key))
            return self.chart.to_point(coordinates), coordinates, filled, inner

        def still() -> Any:
            return state.point, state.coordinates, state.filled, ours

        point, coordinates, filled, ours = jax.lax.cond(warm, still, climbed)
        after = GibbsState(point, coordinates, conditionals, filled, (ours, theirs), state.step + 1)
        return after, Info(value, {"e_step_kl": self._judged(state, judge_key)} if self.quadratic else {})

    def params(self, state: GibbsState) -> PyTree[Array]:
        return state.point

    def _loss(self, place: Any, x: Array, weights: Array, rows: Array, key: PRNGKeyArray) -> Float[Array, ""]:
        """−J, its mean over rows."""
        first, second = jax.random.split(key)
        picked = self.table.pick(first, rows, missing=True)
        noise = jax.random.normal(second, rows.shape, x.dtype)
        point = self.chart.to_point(place[0])
        return -jnp.vdot(weights, lower_bound(self.log_prob, self.conditionals, point, place[1], x, picked, noise))

    def _regression(
        self, params: ConditionalParams, x: Array, weights: Array, rows: Array, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """−log q_j of an entry that is seen, up to a constant."""
        entry = self.table.pick(key, rows, missing=False).entry
        mean, deviation = self.conditionals(params, x, entry)
        gap = (x[jnp.arange(len(x)), entry] - mean) / deviation
        return jnp.vdot(weights, gap**2 / 2 + jnp.log(deviation))

    def _gibbs(self, params: ConditionalParams, x: Array, rows: Array, key: PRNGKeyArray) -> Float[Array, "B d"]:
        def update(x: Array, key: PRNGKeyArray) -> tuple[Array, None]:
            first, second = jax.random.split(key)
            picked = self.table.pick(first, rows, missing=True)
            mean, deviation = self.conditionals(params, x, picked.entry)
            noise = jax.random.normal(second, rows.shape, x.dtype)
            return with_entries(x, picked, mean + deviation * noise), None

        return jax.lax.scan(update, x, jax.random.split(key, self.updates))[0]

    def _judged(self, state: GibbsState, key: PRNGKeyArray) -> Float[Array, ""]:
        """The mean of the divergence over rows with a missing entry, of some that are drawn."""
        first, second = jax.random.split(key)
        total = len(self.table.x)
        rows = jnp.arange(total) if total <= _JUDGED else jax.random.randint(first, (_JUDGED,), 0, total)
        picked = self.table.pick(second, rows, missing=True)
        found = divergence(
            self.log_prob, self.conditionals, state.point, state.conditionals, state.filled[rows], picked
        )
        weights = self.table.weights[rows] * picked.some
        return jnp.vdot(weights, found) / jnp.maximum(jnp.sum(weights), jnp.finfo(weights.dtype).tiny)


def _moved(
    optimizer: optax.GradientTransformation, slope: PyTree[Array], state: Any, params: PyTree[Array]
) -> tuple[PyTree[Array], Any]:
    updates, state = optimizer.update(slope, state, params)
    return optax.apply_updates(params, updates), state


def gibbs_vi(
    log_prob: LogProb,
    chart: AbstractChart,
    data: Rows,
    optimizer: optax.GradientTransformation,
    conditional_optimizer: optax.GradientTransformation,
    *,
    hidden: tuple[int, ...] = (),
    updates: int = 3,
    warmup: int = 100,
    batch: int | None = None,
    quadratic: bool = False,
) -> Process:
    """Maximum likelihood from rows with entries missing at random, by a density of whole rows only.

    Imputations start from values of the same column in other rows, conditionals from ridge regressions that predict
    entries that are seen from rows so imputed. The value of a step is −J, the mean over rows in
    nats: −log p of imputed rows less the entropy of one entry, which is no bound on the likelihood of what is seen. It
    is an estimate, by one entry a row and one draw of it.

    Args:
        log_prob: of points and whole rows; with a log prior in it, the posterior's mode is sought.
        chart: coordinates of the points, in which `optimizer` steps.
        data: the rows. optimizer, conditional_optimizer: of the density and of the conditionals, such as Adam.
        hidden: widths of the body that the conditionals share; () for linear ones, the form of a normal distribution.
        updates: entries of a row that a step draws anew, one after another.
        warmup: first steps, in which the density and the imputations stay and the conditionals learn from what is seen.
        batch: rows of a step, in a new order each; all, unless given.
        quadratic: whether log p is quadratic in each entry, as that of normal distributions: then steps tell
            `e_step_kl`, the mean of KL(q_j ‖ p(x_j | x_−j)) over missing entries, in nats.

    Raises:
        ValueError: a column has no two different values; batch is not from 1 to the number of rows.
    """
    x, missing, _ = map(np.asarray, data.entries)
    seen = np.where(missing, np.nan, x)
    never = missing.all(axis=0)
    deviation = np.where(never, 0, np.nanstd(np.where(never, 0, seen), axis=0))
    if (flat := np.flatnonzero(deviation == 0)).size:
        raise ValueError(f"Column {flat[0]} has no two different values, and so no conditional; leave it out.")
    if batch is not None and not 1 <= batch <= len(x):
        raise ValueError(f"batch is {batch}; it must be from 1 to {len(x)}, the number of rows.")
    method = _Gibbs(
        log_prob,
        chart,
        IncompleteTable.of(data),
        GaussianConditionals(jnp.asarray(np.nanmean(seen, axis=0)), jnp.asarray(deviation), hidden),
        optimizer,
        conditional_optimizer,
        updates,
        jnp.asarray(warmup, jnp.int32),
        batch or len(x),
        quadratic,
    )
    return Process(method.init, method.step, method.params)
